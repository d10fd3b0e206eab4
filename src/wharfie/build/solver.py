"""One build: the graph of its stages, each a task of its own that waits for what it needs.

::

    Dockerfile ─▶ stages wanted ─▶ a task each ─┬─ base: image, other stage, scratch
                                               ├─ instructions, one after the other
                                               └─ COPY --from, RUN --mount=from: waits for that stage
                  target's state ─▶ labels, squash ─▶ image, names
"""

from __future__ import annotations

import asyncio

from wharfie.build import instructions as ins
from wharfie.build import lint, localbase
from wharfie.build.errors import BuildFailed, BuildNotSupported, DockerfileError
from wharfie.build.graph import Graph
from wharfie.build.reading import dockerfile
from wharfie.build.shop import Shop
from wharfie.build.stage import StageBuilder
from wharfie.build.stagestate import StageState
from wharfie.build.variables import Globals, expand, platform_arguments
from wharfie.errors import WharfieError
from wharfie.images.layers import Layer
from wharfie.images.platform import Platform
from wharfie.images.reference import parse
from wharfie.support.ignore import Matcher

_IMAGE = "docker-image://"


class Solver:
    """Solves one Dockerfile."""

    def __init__(self, shop: Shop, data: bytes) -> None:
        """Raises DockerfileError."""
        options = shop.options
        self._shop = shop
        self._host = Platform.of_host()
        self.platform = Platform.parse(options.platform) if options.platform else self._host
        self.file = dockerfile(data, options.dockerfile)
        arguments = {name: value for name, value in options.arguments.items() if value is not None}
        platform = platform_arguments(self.platform, self._host, options.target)
        self.given = Globals(arguments, platform, self.file.escape)
        for arg in self.file.arguments:
            self.given.declare(arg)
        self.graph = Graph(
            self.file, self.given, {name.lower(): value for name, value in options.contexts.items()}
        )
        self.target = self.graph.target(options.target)
        self.wanted = self.graph.wanted(self.target)
        self._group = asyncio.TaskGroup()
        self._tasks: dict[int, asyncio.Task[StageState]] = {}
        self._images: dict[str, asyncio.Task[StageState]] = {}

    def own_stages(self) -> set[int]:
        """Numbers of the target and the stages it begins from."""
        found, stage = set(), self.graph.base_stage(self.target)
        found.add(self.target.index)
        while stage is not None:
            found.add(stage.index)
            stage = self.graph.base_stage(stage)
        return found

    def check(self, ignored: Matcher | None = None) -> list[lint.Finding]:
        """Docker's build checks."""
        return lint.check(self.file, given=self.given, base_env=self._base_env, ignored=ignored)

    def _base_env(self, name: str) -> set[str] | None:
        if name.lower() == "scratch":
            return set()
        try:
            image = self._shop.store.get(name)
        except WharfieError:
            return None
        return {entry.partition("=")[0] for entry in image.config.env or ()}

    async def solve(self) -> StageState:
        """The target's state; all tasks have ended. Raises BuildFailed, DockerfileError."""
        total = sum(1 + len(stage.steps) for stage in self.wanted)
        self._shop.reporter.begin([stage.index for stage in self.wanted])
        number = 1
        try:
            async with self._group:
                for stage in self.wanted:
                    self._begin(stage, number, total)
                    number += 1 + len(stage.steps)
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            for task in self._images.values():
                task.cancel()
        return self._tasks[self.target.index].result()

    def _begin(self, stage: ins.Stage, number: int, total: int) -> None:
        work = self._stage(stage, number, total)
        self._tasks[stage.index] = self._group.create_task(work, name=f"build stage {stage.index}")

    async def _stage(self, stage: ins.Stage, number: int, total: int) -> StageState:
        base = self.graph.bases[stage.index]
        other = self.graph.base_stage(stage)
        try:
            if other is not None:
                state = (await self._finished(other)).child()
            else:
                state = await self._image(base, self._platform(stage))
                state = state.child() if base.lower() != "scratch" else StageState.scratch(state.platform)
        except WharfieError as error:
            raise _at(error, stage) from error
        builder = StageBuilder(self._shop, stage, base, self.given, self._origin, (number, total))
        return await builder.run(state)

    def _platform(self, stage: ins.Stage) -> Platform:
        text = stage.head.platform
        if not text:
            return self.platform
        found = expand(text, self.given.values(), self.file.escape, stage.head.line.first)
        return Platform.parse(found) if found else self.platform

    async def _finished(self, stage: ins.Stage) -> StageState:
        """Another stage's end, without cancelling it when we are cancelled.

        One that only a trigger of a base image names is begun now.
        """
        if stage.index not in self._tasks:
            self.graph.needs(stage)
            self._shop.reporter.also(stage.index)
            self._begin(stage, 1, 1 + len(stage.steps))
        return await asyncio.shield(self._tasks[stage.index])

    async def _origin(self, name: str, before: int) -> StageState | str:
        """The tree that a ``--from`` names; empty: the context."""
        if not name:
            return await self._shop.supply.files(self._shop)
        stage = self.graph.earlier(name, before)
        if stage is not None and stage.index >= before:  # a trigger's: the file's own were looked at
            raise BuildFailed(f"invalid from flag value {name}: it is not before this stage")
        if stage is not None:
            return await self._finished(stage)
        named = await self._named(name, self.platform)
        return named if named is not None else await self._image(name, self.platform)

    async def _named(self, name: str, platform: Platform) -> StageState | str | None:
        """A context of ``--build-context``."""
        for known, value in self._shop.options.contexts.items():
            if known.lower() != name.lower():
                continue
            if value.startswith(_IMAGE):
                return await self._pulled(value.removeprefix(_IMAGE), platform)
            if known not in self._shop.named:
                found = await self._shop.supply.named(self._shop, known, value, platform)
                if isinstance(found, StageState):
                    return found
                self._shop.named[known] = found
            return self._shop.named[known]
        return None

    async def _image(self, name: str, platform: Platform) -> StageState:
        if name.lower() == "scratch":
            return StageState.scratch(platform)
        named = await self._named(name, platform)
        if isinstance(named, str):
            return await localbase.state_of(self._shop, name, named, platform)
        return named if named is not None else await self._pulled(name, platform)

    async def _pulled(self, name: str, platform: Platform) -> StageState:
        key = f"{name} {platform}"
        if key not in self._images:
            work = self._pull(name, platform)
            self._images[key] = asyncio.get_running_loop().create_task(work, name=f"base {name}")
        return await asyncio.shield(self._images[key])

    async def _pull(self, name: str, platform: Platform) -> StageState:
        try:
            parse(name)
        except WharfieError as error:
            raise BuildFailed(f'failed to parse stage name "{name}": {error.message}') from None
        try:
            image = await self._shop.resolve(name, platform)
        except WharfieError as error:
            full = parse(name).with_default_tag().canonical
            raise BuildFailed(f"failed to resolve source metadata for {full}: {error.message}") from error
        rows = self._shop.store.catalog.layers(image.id)
        layers = [Layer(row.diff, row.size, row.blob) for row in rows]
        found = Platform(image.os or "linux", image.architecture or platform.architecture, image.variant)
        if platform.rank(found) is None and not image.architecture:
            found = platform
        return StageState.from_image(image, layers, found)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that is nearest to the top of the file."""
    flat: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions
        else:
            flat.append(error)
    return min(flat, key=lambda error: getattr(error, "line", 0) or (1 << 30))


def _at(error: WharfieError, stage: ins.Stage) -> WharfieError:
    if isinstance(error, BuildFailed | DockerfileError) and error.line:
        return error
    line = stage.head.line
    if isinstance(error, BuildNotSupported):
        return error
    return BuildFailed(error.message, line=line.first, end=line.last)


def unused(options: dict[str, str | None], file: ins.Dockerfile, known: set[str]) -> list[str]:
    """Build arguments that no instruction declares."""
    declared = {name for arg in file.arguments for name, _ in arg.pairs}
    for stage in file.stages:
        for item in stage.steps:
            if isinstance(item, ins.Arg):
                declared |= {name for name, _ in item.pairs}
    return sorted(name for name in options if name not in declared | known)
