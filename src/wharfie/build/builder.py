"""The builder of a daemon: builds, what it keeps for the next ones, and what uploads wait for a build."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from weakref import WeakValueDictionary

from wharfie.build import contexts, lint, mountarchives
from wharfie.build.arrival import Arrival
from wharfie.build.cache import Cache
from wharfie.build.cacheimport import Imports, Registries
from wharfie.build.cachemounts import CacheMount, CacheMounts, Locks
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.build.exports import Exports
from wharfie.build.keeping import Contexts, Kept
from wharfie.build.options import Options
from wharfie.build.progress import Reporter, Send
from wharfie.build.running import Runner
from wharfie.build.selecting import MOUNT, REGULAR, Record, Selection
from wharfie.build.shop import Resolve, Shop
from wharfie.build.solver import Solver, unused
from wharfie.build.stagestate import StageState
from wharfie.build.variables import INLINE_ARGUMENT, PREDEFINED
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.images import snapshots, squashing
from wharfie.images.image import Image
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced
from wharfie.images.reference import parse
from wharfie.images.store import ImageStore
from wharfie.support.faults import point
from wharfie.support.files import remove_tree
from wharfie.support.ids import random_hex, short_id
from wharfie.support.tasks import spawn
from wharfie.support.units import format_time

_UPLOADS = 64


class Builder:
    """What the API's build routes ask for."""

    def __init__(self, store: ImageStore, runner: Runner, data_root: str, *, budget: int = 0) -> None:
        self._store = store
        self._runner = runner
        self.cache = Cache(store, budget=budget) if budget else Cache(store)
        self.mounts = CacheMounts(f"{data_root}/build-mounts", store)
        self.contexts = Contexts(f"{data_root}/build-contexts", store)
        self.exports = Exports(store, self.cache)
        self._locks: Locks = WeakValueDictionary()
        self._uploads: dict[str, str] = {}
        self._running = 0

    async def build(
        self,
        options: Options,
        context: AsyncIterator[bytes] | None,
        resolve: Resolve,
        registries: Registries,
        send: Send,
    ) -> str:
        """Build; the image's id, empty for a mere check. Raises BuildFailed, DockerfileError, …"""
        reporter = Reporter(send, events=options.events, quiet=options.quiet)
        names = [_name(tag) for tag in options.tags]
        directory = self._store.layers.temporary("build")
        self._running += 1
        try:
            with self._store.keeping():
                await asyncio.to_thread(_prepare, directory)
                shop = self._shop(options, resolve, registries, reporter, directory)
                try:
                    return await self._build(shop, context, names)
                finally:
                    self._store.discard_paths(self._store.layers.hide_paths([directory]))
        finally:
            self._running -= 1
            if not self._running:
                self.cache.in_use.clear()
                spawn("keep the build cache to its budget", self.keep_to_budget())

    def _shop(
        self, options: Options, resolve: Resolve, registries: Registries, reporter: Reporter, directory: str
    ) -> Shop:
        shop = Shop(
            options=options, store=self._store, cache=self.cache, runner=self._runner, mounts=self.mounts,
            resolve=resolve, registries=registries, reporter=reporter, directory=directory,
            context=f"{directory}/context", locks=self._locks, empty=f"{directory}/empty",
        )  # fmt: skip
        for name, value in options.contexts.items():
            if value.startswith("upload:"):
                key, what = value.removeprefix("upload:"), f"the build context {name}"
                shop.named[name] = self._taken(key, what, f"{directory}/named-{len(shop.named)}")
        for spec in options.cache_from:
            if spec.kind == "local":
                place = f"{directory}/cache-{len(shop.uploads)}"
                shop.uploads[spec.key] = self._taken(spec.key, "the cache", place)
        return shop

    def _taken(self, key: str, what: str, place: str) -> str:
        """What was uploaded before moves to ``place``; raises InvalidArgument."""
        uploaded = self._uploads.pop(key, "")
        if not uploaded:
            raise InvalidArgument(f"{what} was not sent")
        os.rename(uploaded, place)
        return place

    async def _build(self, shop: Shop, context: AsyncIterator[bytes] | None, names: list[str]) -> str:
        options = shop.options
        if options.context_kept:
            kept = self.contexts.take(options.context_key, shop.context)
        else:
            kept = await self._received(shop, context)
        point("a context is there")
        try:
            return await self._built(shop, kept, names)
        finally:
            if options.context_key:
                self.contexts.put(options.context_key, kept, shop.context)

    async def _received(self, shop: Shop, context: AsyncIterator[bytes] | None) -> Kept:
        options, size, arrival = shop.options, 0, Arrival()
        if options.remote:
            shop.context = await contexts.fetch_remote(
                options.remote, shop.context, options.dockerfile, options.agent
            )
        elif context is not None:
            size = await contexts.receive(context, shop.context, arrival=arrival)
        data = await asyncio.to_thread(contexts.read_dockerfile, shop.context, options.dockerfile)
        rules = await asyncio.to_thread(contexts.ignore_rules, shop.context, options.dockerfile)
        await asyncio.to_thread(contexts.leave_out, shop.context, rules)
        return Kept(data, rules, size, arrived=arrival.known)

    async def _built(self, shop: Shop, kept: Kept, names: list[str]) -> str:
        options, data = shop.options, kept.dockerfile
        shop.digests, shop.arrived = kept.digests, kept.arrived
        try:
            solver = Solver(shop, data)
        except DockerfileError as error:
            shop.reporter.event(source=_source(data), name=options.dockerfile, line=error.line, end=error.end)
            raise
        findings = solver.check(kept.rules)
        shop.reporter.event(source=solver.file.source, name=options.dockerfile)
        if options.check:
            return self._checked(shop, solver, findings)
        _, fatal = lint.settings(solver.file.directives.get("check", ""))
        if fatal and findings:
            raise BuildFailed(
                f"lint violation found for rules: {', '.join(sorted({item.rule for item in findings}))}"
            )
        try:
            state = await self._solved(shop, solver)
        except (BuildFailed, DockerfileError) as error:
            shop.reporter.event(line=error.line, end=error.end)
            raise
        image = await self._image(shop, state, names, solver)
        await self.exports.done(shop, solver)
        self._warn(shop, solver, findings)
        shop.reporter.aux(image.id)
        if not options.quiet:
            shop.reporter.say(f"Successfully built {short_id(image.id)}\n")
            for name in names:
                shop.reporter.say(f"Successfully tagged {parse(name).familiar}\n")
        else:
            shop.reporter.identifier(image.id)
        return image.id

    async def _solved(self, shop: Shop, solver: Solver) -> StageState:
        """The target's state, with what steps of other caches there are."""
        async with AsyncExitStack() as stack:
            if shop.options.cache_from:
                shop.imports = Imports(self._store, self.cache, shop.reporter.note)
                await shop.imports.open(
                    stack, shop.options.cache_from, shop.uploads, shop.registries, solver.platform
                )
            return await solver.solve()

    def _checked(self, shop: Shop, solver: Solver, findings: list[lint.Finding]) -> str:
        for item in findings:
            shop.reporter.event(finding=_finding(item))
        count = len(findings)
        text = (
            f"Check complete, {count} {'warning has' if count == 1 else 'warnings have'} been found!\n"
            if count
            else "Check complete, no warnings found.\n"
        )
        shop.reporter.say(text)
        shop.reporter.event(checked=text, failed=bool(count))
        return ""

    def _warn(self, shop: Shop, solver: Solver, findings: list[lint.Finding]) -> None:
        for item in findings:
            shop.reporter.event(finding=_finding(item))
        known = {*PREDEFINED, *solver.given.platform, INLINE_ARGUMENT}
        left = unused(shop.options.arguments, solver.file, known)
        if left:
            shop.reporter.note(f"[Warning] One or more build-args [{' '.join(left)}] were not consumed\n")

    async def _image(self, shop: Shop, state: StageState, names: list[str], solver: Solver) -> Image:
        """The image appears, with its names."""
        options = shop.options
        if options.labels:
            run = state.configuration.run
            run.labels = {**(run.labels or {}), **options.labels}
        if shop.latest is not None:
            state.created = shop.latest
        elif not state.created:
            state.created = time.time_ns()
        if options.squash and state.layers:
            made = format_time(state.created)
            layer = await squashing.merged(self._store, state.layers, shop.latest)
            state.layers = [layer]
            state.history = squashing.history_of(state.history, made, "squashed by the build")
        document = self.exports.inside(shop, solver, state)
        return self._store.register(document, state.layers, names=[(name, True) for name in names])

    # beside builds

    @asynccontextmanager
    async def tree(self, ref: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The files of an image as one archive, as ``--output type=tar`` has them."""
        image = self._store.get(ref)
        with self._store.keeping():
            lower = image.lower
            if not lower:
                raise InvalidArgument(f"the image {ref} has no files")
            root = snapshots.mount_read_only(lower[1:], lower[0])
            try:
                pieces = Produced("pack a tree", lambda write: pack_root(root, write))
                async with aclosing(pieces):
                    yield pieces
            finally:
                os.close(root)

    async def upload(self, stream: AsyncIterator[bytes]) -> str:
        """A context that the next build names; its key. It is gone with the daemon, if none does."""
        if len(self._uploads) >= _UPLOADS:
            key, place = next(iter(self._uploads.items()))
            del self._uploads[key]
            await asyncio.to_thread(remove_tree, place)
        place = self._store.layers.temporary("upload")
        os.mkdir(place, 0o755)
        try:
            await contexts.receive(stream, place)
        except BaseException:
            await asyncio.to_thread(remove_tree, place)
            raise
        key = random_hex(32)
        self._uploads[key] = place
        return key

    def mount_archive(self, name: str) -> AsyncIterator[bytes]:
        """What is in a cache mount."""
        return mountarchives.export(self.mounts, name)

    async def put_mount(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """Fill a cache mount."""
        await mountarchives.put(self.mounts, self._store, name, stream)

    async def records(self) -> list[Record]:
        """All that is kept: steps, most recently used first, then cache mounts."""
        mounts = await self.mounts.measured()
        return [*self._steps(), *(self._mount(one) for one in mounts)]

    def _steps(self) -> list[Record]:
        shared = self.cache.shared()
        return [
            Record(
                item.key, REGULAR, item.description, item.size, item.created, item.used, item.uses,
                in_use=item.key in self.cache.in_use, shared=item.directory in shared,
            )
            for item in self.cache.entries()
        ]  # fmt: skip

    def _mount(self, one: CacheMount) -> Record:
        return Record(
            one.directory, MOUNT, f"cached mount {one.id}", one.size, one.created, one.used, one.uses,
            in_use=self.mounts.path(one) in self.mounts.users,
        )  # fmt: skip

    async def prune(self, selection: Selection, *, all: bool, keep: int) -> tuple[list[str], int]:
        """Forget what no running build stands on: keys that went, and bytes that were freed.

        ``keep``: bytes that may stay.
        """
        mounts = {one.directory: one for one in await self.mounts.measured()}
        records = sorted([*self._steps(), *map(self._mount, mounts.values())], key=lambda one: one.used)
        left = self.cache.size() + sum(one.size for one in mounts.values()) - keep if keep else 0
        gone: list[Record] = []
        for one in records:
            if keep and left <= 0:
                break
            if one.in_use or (one.type == MOUNT and self._running) or not selection.matches(one):
                continue
            if one.type == REGULAR and not all and one.shared:
                continue  # an image has it: forgetting it frees nothing
            gone.append(one)
            left -= 0 if one.shared else one.size
        if not selection.any and not keep:
            self.contexts.clear()
        return [one.id for one in gone], self._forget(gone, mounts)

    def _forget(self, gone: list[Record], mounts: dict[str, CacheMount]) -> int:
        freed = self.cache.drop([one.id for one in gone if one.type == REGULAR])
        for one in gone:
            if one.type == MOUNT:
                self.mounts.remove(mounts[one.id])
                freed += one.size
        return freed

    async def keep_to_budget(self) -> None:
        """Forget the least recently used steps and cache mounts until the rest fits; between builds."""
        mounts = {one.directory: one for one in await self.mounts.measured()}
        if self._running:
            return  # the end of that build looks again
        records = sorted([*self._steps(), *map(self._mount, mounts.values())], key=lambda one: one.used)
        left = self.cache.size() + sum(one.size for one in mounts.values()) - self.cache.budget
        gone: list[Record] = []
        for one in records:
            if left <= 0:
                break
            gone.append(one)
            left -= 0 if one.shared else one.size
        if gone:
            self._forget(gone, mounts)


def _prepare(directory: str) -> None:
    os.mkdir(directory, 0o711)
    for name in ("context", "empty"):
        os.mkdir(f"{directory}/{name}", 0o755)
        os.chmod(f"{directory}/{name}", 0o755)


def _name(tag: str) -> str:
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
