"""One build, from its context to an image: what the builder opens, and closes again whatever happens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from wharfie.build import lint, reads
from wharfie.build.cacheimport import Imports
from wharfie.build.cachespec import CacheSpec
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.build.exports import Exports
from wharfie.build.keeping import Kept
from wharfie.build.shop import Shop
from wharfie.build.solver import Solver, unused
from wharfie.build.stagestate import StageState
from wharfie.build.variables import INLINE_ARGUMENT, PREDEFINED
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.images import squashing
from wharfie.images.image import Image
from wharfie.images.reference import parse
from wharfie.support.faults import point
from wharfie.support.ids import short_id
from wharfie.support.units import format_time


class Work:
    """What is done for one set of options, step by step."""

    def __init__(self, shop: Shop, exports: Exports) -> None:
        self.shop = shop
        self._exports = exports
        self.findings: list[lint.Finding] = []

    async def to_the_end(self, names: list[str]) -> str:
        """All of it, as the classic protocol has it; the image's id, empty for a mere check."""
        kept = await self.begin()
        try:
            solver = self.read(kept)
            if self.shop.options.check:
                return self._checked()
            state = await self.solved(solver)
            image = await self.image(state, names, solver)
            await self._exports.done(self.shop, solver)
            self.warn(solver)
            self._say(image, names)
            return image.id
        finally:
            self.shop.supply.over(self.shop, kept)

    async def begin(self) -> Kept:
        """The context is there."""
        kept = await self.shop.supply.context(self.shop)
        point("a context is there")
        return kept

    def read(self, kept: Kept) -> Solver:
        """The Dockerfile, understood and checked; raises DockerfileError, BuildFailed."""
        shop, data = self.shop, kept.dockerfile
        shop.digests, shop.arrived = kept.digests, kept.arrived
        name = shop.options.dockerfile
        try:
            solver = Solver(shop, data)
        except DockerfileError as error:
            shop.reporter.event(source=_source(data), name=name, line=error.line, end=error.end)
            raise
        shop.reads = reads.named(solver.wanted)
        self.findings = solver.check(kept.rules)
        shop.reporter.event(source=solver.file.source, name=name)
        _, fatal = lint.settings(solver.file.directives.get("check", ""))
        if fatal and self.findings and not shop.options.check:
            rules = sorted({item.rule for item in self.findings})
            raise BuildFailed(f"lint violation found for rules: {', '.join(rules)}")
        return solver

    async def solved(self, solver: Solver) -> StageState:
        """The target's state, with what steps of other caches there are; raises BuildFailed, …"""
        shop = self.shop
        try:
            async with AsyncExitStack() as stack:
                if shop.options.cache_from:
                    shop.imports = Imports(shop.store, shop.cache, shop.reporter.note)
                    await shop.imports.open(
                        stack, shop.options.cache_from, shop.layouts, shop.registries, solver.platform
                    )
                return await solver.solve()
        except (BuildFailed, DockerfileError) as error:
            shop.reporter.event(line=error.line, end=error.end)
            raise

    async def image(self, state: StageState, names: list[str], solver: Solver) -> Image:
        """The image appears, with its names."""
        document = await self.document(state, solver)
        return self.shop.store.register(document, state.layers, names=[(name, True) for name in names])

    async def document(self, state: StageState, solver: Solver) -> bytes:
        """The configuration of the image that ``state`` becomes."""
        shop, options = self.shop, self.shop.options
        if options.labels:
            run = state.configuration.run
            run.labels = {**(run.labels or {}), **options.labels}
        if shop.latest is not None:
            state.created = shop.latest
        elif not state.created:
            state.created = time.time_ns()
        if options.squash and state.layers:
            made = format_time(state.created)
            layer = await squashing.merged(shop.store, state.layers, shop.latest)
            state.layers = [layer]
            state.history = squashing.history_of(state.history, made, "squashed by the build")
        return self._exports.inside(shop, solver, state)

    def cache_archive(self, spec: CacheSpec, solver: Solver) -> AsyncIterator[bytes]:
        """A cache for the client's own disk, as an OCI layout in one archive."""
        return self._exports.local(self.shop, solver, spec)

    async def export_caches(self, solver: Solver) -> None:
        """The image is there: the caches that go elsewhere go; raises BuildFailed."""
        await self._exports.done(self.shop, solver)

    def warn(self, solver: Solver) -> None:
        """What a person should know of a build that went well."""
        shop = self.shop
        for item in self.findings:
            shop.reporter.event(finding=_finding(item))
        known = {*PREDEFINED, *solver.given.platform, INLINE_ARGUMENT}
        left = unused(shop.options.arguments, solver.file, known)
        if left:
            shop.reporter.note(f"[Warning] One or more build-args [{' '.join(left)}] were not consumed\n")

    def _checked(self) -> str:
        reporter = self.shop.reporter
        for item in self.findings:
            reporter.event(finding=_finding(item))
        text = check_text(self.findings)
        reporter.say(text)
        reporter.event(checked=text, failed=bool(self.findings))
        return ""

    def _say(self, image: Image, names: list[str]) -> None:
        reporter = self.shop.reporter
        reporter.aux(image.id)
        if self.shop.options.quiet:
            reporter.identifier(image.id)
            return
        reporter.say(f"Successfully built {short_id(image.id)}\n")
        for name in names:
            reporter.say(f"Successfully tagged {parse(name).familiar}\n")


def check_text(findings: list[lint.Finding]) -> str:
    """How many there are, in Docker's words."""
    count = len(findings)
    if not count:
        return "Check complete, no warnings found.\n"
    return f"Check complete, {count} {'warning has' if count == 1 else 'warnings have'} been found!\n"


def full_name(tag: str) -> str:
    """A name for the image that is to be, whole; raises InvalidArgument."""
    try:
        found = parse(tag)
    except WharfieError as error:
        raise InvalidArgument(f'invalid argument "{tag}" for "-t, --tag" flag: {error.message}') from None
    if found.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    return found.with_default_tag().canonical


def _source(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").split("\n")


def _finding(item: lint.Finding) -> dict[str, object]:
    return {
        "rule": item.rule,
        "message": item.message,
        "first": item.first,
        "last": item.last,
        "url": item.url,
    }
