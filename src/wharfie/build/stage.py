"""One stage, instruction by instruction; the layers of each come from the cache or are made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from wharfie.build import copystep, runstep
from wharfie.build import instructions as ins
from wharfie.build.cache import digest
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.build.progress import StepReport
from wharfie.build.reading import triggered
from wharfie.build.runmounts import Mounts
from wharfie.build.shop import Shop
from wharfie.build.stagestate import StageState
from wharfie.build.variables import Globals, Scope
from wharfie.errors import WharfieError
from wharfie.images import config as configs
from wharfie.images.layers import Layer
from wharfie.support.faults import point

Make = Callable[[], Awaitable[Layer | None]]


class StageBuilder:
    """Builds one stage."""

    def __init__(
        self,
        shop: Shop,
        stage: ins.Stage,
        base: str,
        given: Globals,
        origin: Callable[[str, int], Awaitable[StageState | str]],
        numbers: tuple[int, int],
    ) -> None:
        """``origin``: the tree that a ``--from`` names; ``numbers``: of the first step, and of all."""
        self._shop = shop
        self._stage = stage
        self._base = base
        self._given = given
        self._find = origin
        self._number, self._total = numbers
        self._no_cache = shop.options.no_cache or stage.name in [
            name.lower() for name in shop.options.no_cache_for
        ]
        self._report: StepReport | None = None
        self._last = 0

    async def run(self, state: StageState) -> StageState:
        """Do all instructions on top of ``state``, which begins the stage. Raises BuildFailed."""
        head = self._stage.head
        shown = f"FROM {self._base}" + (f" AS {head.name}" if head.name else "")
        report = self._begin(head, shown)
        triggers = list(state.configuration.run.on_build or ())
        if triggers:
            self._shop.reads = None  # what they read of the context, nobody could know before
        state.configuration.run.on_build = None
        report.done(configs.image_id(state.document()))
        scope = Scope(self._given, list(state.configuration.run.env or ()), state.arguments)
        try:
            for expression in triggers:
                await self._step(triggered(expression, self._given.escape, head.line), state, scope, None)
            for item in self._stage.steps:
                self._number += 1
                await self._step(item, state, scope, self._begin(item, _shown(item)))
        finally:
            self._shop.reporter.end(self._stage.index)
        return state

    def _begin(self, item: ins.Instruction, text: str) -> StepReport:
        name = self._stage.head.name or f"stage-{self._stage.index}"
        lines = (item.line.first, item.line.last)
        self._report = StepReport(
            self._shop.reporter, self._stage.index, name, self._number, self._total, text, lines
        )
        return self._report

    async def _step(
        self, item: ins.Instruction, state: StageState, scope: Scope, report: StepReport | None
    ) -> None:
        report = report or self._begin(item, _shown(item))
        await asyncio.sleep(0)  # a long file of known steps does not keep the daemon from all else
        try:
            if isinstance(item, ins.Run):
                await self._run(item, state, scope, report)
            elif isinstance(item, ins.Copy):
                await self._copy(item, state, scope, report)
            else:
                await self._configure(item, state, scope, report)
        except (WharfieError, OSError) as error:
            report.failed(error)
            raise _located(error, item) from error
        report.done(configs.image_id(state.document()))

    async def _origin(self, name: str) -> StageState | str:
        return await self._find(name, self._stage.index)

    async def _run(self, item: ins.Run, state: StageState, scope: Scope, report: StepReport) -> None:
        wanted = runstep.expanded(item, scope, state, self._shop)
        mounts = Mounts(self._shop, self._origin)
        await mounts.identify(wanted.mounts)
        key = runstep.key_of(self._shop, state, wanted, mounts)

        async def make() -> Layer | None:
            return await runstep.done(self._shop, state, wanted, mounts, report, self._origin)

        await self._cached(key, wanted.shown, state, make, report)

    async def _copy(self, item: ins.Copy, state: StageState, scope: Scope, report: StepReport) -> None:
        wanted = copystep.expanded(item, scope, state)
        origin = await self._origin(item.origin)
        async with copystep.sources(self._shop, wanted, origin) as (found, content):
            below = "" if item.link else state.chain
            key: list[object] = [
                "copy", below, item.add, content, wanted.destination, wanted.chown, wanted.chmod, wanted.into,
                item.link, item.parents, item.unpack, item.keep_git_dir, wanted.patterns, wanted.documents,
                [source.pivot for source in found], self._shop.options.epoch,
            ]  # fmt: skip

            async def make() -> Layer | None:
                return await copystep.written(self._shop, state, wanted, found)

            await self._cached(key, f"{_shown(item)} # buildkit", state, make, report)

    async def _configure(
        self, item: ins.Instruction, state: StageState, scope: Scope, report: StepReport
    ) -> None:
        before = configs.encode(configs.ImageConfig(config=state.configuration.run)).decode()
        shown = state.configuration.apply(item, scope)
        if isinstance(item, ins.OnBuild):
            return  # as in Docker, the history does not tell
        if isinstance(item, ins.Arg):
            state.step(shown, None, state.created or self._now())
            return

        async def make() -> Layer | None:
            if isinstance(item, ins.Workdir):
                return await copystep.directory_made(self._shop, state, state.configuration.run.working_dir)
            return None

        await self._cached(
            ["config", state.chain, before, shown, self._shop.options.epoch], shown, state, make, report
        )

    async def _cached(
        self, key: list[object], shown: str, state: StageState, make: Make, report: StepReport
    ) -> None:
        name = digest(*key)
        lock = self._shop.locks.get(name) or self._shop.locks.setdefault(name, asyncio.Lock())
        async with lock:
            entry = await self._shop.known(name, self._stage.index, fresh=self._no_cache)
            if entry is not None:
                report.cached()
                state.step(shown, entry.layer, entry.created)
                return
            layer = await make()
            created = self._now()
            self._shop.cache.add(name, str(key[0]), shown, layer, created)
            point("a step is in the cache")
            state.step(shown, layer, created)

    def _now(self) -> int:
        return time.time_ns() if self._shop.latest is None else self._shop.latest


def _shown(item: ins.Instruction) -> str:
    return item.line.text.replace("\n", " ")


def _located(error: WharfieError | OSError, item: ins.Instruction) -> Exception:
    """The error with the lines of the instruction."""
    first, last = item.line.first, item.line.last
    if isinstance(error, DockerfileError):
        return error
    if isinstance(error, BuildFailed):
        return error.at(first, last)
    if isinstance(error, WharfieError):
        return BuildFailed(error.message, line=first, end=last)
    name = f"{error.filename}: " if error.filename else ""
    return BuildFailed(f"{name}{error.strerror or error}", line=first, end=last)
