"""The caches that builds leave elsewhere: what belongs to each, and what is asked for after its build."""

from __future__ import annotations

from collections.abc import AsyncIterator

from wharfie.build.cache import Cache, Entry
from wharfie.build.cacheexport import archive, to_registry, with_inline
from wharfie.build.cachespec import CacheSpec
from wharfie.build.errors import BuildFailed
from wharfie.build.shop import Shop
from wharfie.build.solver import Solver
from wharfie.build.stagestate import StageState
from wharfie.build.variables import INLINE_ARGUMENT
from wharfie.errors import NotFound, WharfieError
from wharfie.images.store import ImageStore

_WAITING = 64


class Exports:
    """Exports of all builds of a daemon."""

    def __init__(self, store: ImageStore, cache: Cache) -> None:
        self._store = store
        self._cache = cache
        self._waiting: dict[str, tuple[CacheSpec, list[Entry]]] = {}

    def inside(self, shop: Shop, solver: Solver, state: StageState) -> bytes:
        """The image's configuration, with the cache in it where that is wanted."""
        document = state.document()
        wanted = any(spec.kind == "inline" for spec in shop.options.cache_to)
        if not wanted and shop.options.arguments.get(INLINE_ARGUMENT) != "1":
            return document
        entries = self._entries(shop, solver.own_stages())
        return with_inline(document, entries, [layer.diff_id for layer in state.layers])

    async def done(self, shop: Shop, solver: Solver) -> None:
        """The image is there: what goes elsewhere goes. Raises BuildFailed."""
        for spec in shop.options.cache_to:
            entries = self._entries(shop, None if spec.whole else solver.own_stages())
            if spec.kind == "local":
                while len(self._waiting) >= _WAITING:
                    del self._waiting[next(iter(self._waiting))]
                self._waiting[spec.key] = (spec, entries)
            elif spec.kind == "registry":
                await self._push(shop, spec, entries)

    async def _push(self, shop: Shop, spec: CacheSpec, entries: list[Entry]) -> None:
        try:
            digest = await to_registry(self._store, shop.registries, spec, entries)
        except WharfieError as error:
            text = f"failed to export the cache to {spec.shown}: {error}"
            if not spec.lenient:
                raise BuildFailed(text) from error
            shop.reporter.note(f"[Warning] {text}\n")
        else:
            shop.reporter.note(f"exported the cache to {spec.shown}: {digest}\n")

    def local(self, shop: Shop, solver: Solver, spec: CacheSpec) -> AsyncIterator[bytes]:
        """A local one as an archive, at once."""
        return archive(self._store, spec, self._entries(shop, None if spec.whole else solver.own_stages()))

    def take(self, key: str) -> AsyncIterator[bytes]:
        """A local one as an archive, once; raises NotFound."""
        found = self._waiting.pop(key, None)
        if found is None:
            raise NotFound("no build left a cache to be fetched by this key")
        return archive(self._store, *found)

    def _entries(self, shop: Shop, stages: set[int] | None) -> list[Entry]:
        """Steps of these stages, or of all, each once, in the order they were done."""
        keys = dict.fromkeys(key for stage, key in shop.steps if stages is None or stage in stages)
        found = (self._cache.entry(key) for key in keys)
        return [entry for entry in found if entry is not None]
