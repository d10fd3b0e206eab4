"""The builder of a daemon: builds, what it keeps for the next ones, and what uploads wait for a build."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

from wharfie.build import contexts, mountarchives
from wharfie.build.cache import Cache
from wharfie.build.cacheimport import Layout, Registries
from wharfie.build.cachemounts import CacheMount, CacheMounts, Locks
from wharfie.build.exports import Exports
from wharfie.build.keeping import Contexts
from wharfie.build.options import Options
from wharfie.build.progress import Reporter, Send
from wharfie.build.running import Runner
from wharfie.build.selecting import MOUNT, REGULAR, Chosen, Record
from wharfie.build.shop import Resolve, Shop
from wharfie.build.supply import Supply
from wharfie.build.work import Work, full_name
from wharfie.errors import InvalidArgument
from wharfie.images import snapshots
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced
from wharfie.images.store import ImageStore
from wharfie.support.files import remove_tree
from wharfie.support.ids import random_hex
from wharfie.support.tasks import spawn

_UPLOADS = 64


class Builder:
    """What the API's build routes ask for."""

    def __init__(
        self, store: ImageStore, runner: Runner, data_root: str, exec_root: str, *, budget: int = 0
    ) -> None:
        self._store = store
        self._private = f"{exec_root}/build-secrets"
        remove_tree(self._private)
        os.mkdir(self._private, 0o700)
        self._runner = runner
        self.cache = Cache(store, budget=budget) if budget else Cache(store)
        self.mounts = CacheMounts(f"{data_root}/build-mounts", store)
        self.contexts = Contexts(f"{data_root}/build-contexts", store)
        self.exports = Exports(store, self.cache)
        self._locks: Locks = WeakValueDictionary()
        self._uploads: dict[str, str] = {}
        self._running = 0

    async def build(
        self, options: Options, supply: Supply, resolve: Resolve, registries: Registries, send: Send
    ) -> str:
        """Build; the image's id, empty for a mere check. Raises BuildFailed, DockerfileError, …"""
        reporter = Reporter(send, events=options.events, quiet=options.quiet)
        names = [full_name(tag) for tag in options.tags]
        async with self.opened(options, supply, resolve, registries, reporter) as work:
            return await work.to_the_end(names)

    @asynccontextmanager
    async def opened(
        self, options: Options, supply: Supply, resolve: Resolve, registries: Registries, reporter: Reporter
    ) -> AsyncIterator[Work]:
        """One build's work; what it stands on stays until it is left."""
        self._running += 1
        try:
            with self._store.keeping(), self.place() as directory:
                await asyncio.to_thread(_prepare, directory)
                shop = self._shop(options, supply, resolve, registries, reporter, directory)
                yield Work(shop, self.exports)
        finally:
            self._running -= 1
            if not self._running:
                self.cache.in_use.clear()
                spawn("keep the build cache to its budget", self.keep_to_budget())

    @contextmanager
    def place(self) -> Iterator[str]:
        """A directory that is gone afterwards, or swept at the next start."""
        directory = self._store.layers.temporary("build")
        os.mkdir(directory, 0o711)
        try:
            yield directory
        finally:
            self._store.discard_paths(self._store.layers.hide_paths([directory]))

    def _shop(
        self,
        options: Options,
        supply: Supply,
        resolve: Resolve,
        registries: Registries,
        reporter: Reporter,
        directory: str,
    ) -> Shop:
        shop = Shop(
            options=options, store=self._store, cache=self.cache, runner=self._runner, mounts=self.mounts,
            resolve=resolve, registries=registries, reporter=reporter, directory=directory, supply=supply,
            private=self._private, context=f"{directory}/context", locks=self._locks,
            empty=f"{directory}/empty",
        )  # fmt: skip
        for name, value in options.contexts.items():
            if value.startswith("upload:"):
                key, what = value.removeprefix("upload:"), f"the build context {name}"
                shop.named[name] = self._taken(key, what, f"{directory}/named-{len(shop.named)}")
        for spec in options.cache_from:
            if spec.kind == "local":
                place = f"{directory}/cache-{len(shop.layouts)}"
                given = supply.layout(spec)
                shop.layouts[spec.key] = given or Layout(self._taken(spec.key, "the cache", place))
        return shop

    def _taken(self, key: str, what: str, place: str) -> str:
        """What was uploaded before moves to ``place``; raises InvalidArgument."""
        uploaded = self._uploads.pop(key, "")
        if not uploaded:
            raise InvalidArgument(f"{what} was not sent")
        os.rename(uploaded, place)
        return place

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

    async def prune(self, selection: Chosen, *, all: bool, keep: int) -> tuple[list[str], int]:
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
            if one.in_use:
                continue
            gone.append(one)
            left -= 0 if one.shared else one.size
        if gone:
            self._forget(gone, mounts)


def _prepare(directory: str) -> None:
    for name in ("context", "empty"):
        os.mkdir(f"{directory}/{name}", 0o755)
        os.chmod(f"{directory}/{name}", 0o755)
