"""``--cache-from``: steps that were done elsewhere. Each layer is fetched when its step is due, not before.

::

    registry ─ manifest ─ configuration of a cache ─┐
                        └ of an image, cache inside ─┼─▶ steps by key ─ a step is due ─▶ its blob, unpacked,
    OCI layout that was uploaded ───────────────────┘                                   its digest compared
    image in the store, cache inside ─▶ its layers are here

A cache that cannot be had is told of, and the build goes without; a damaged layer's step is done anew. Who
may write to a cache says what a step makes: that is what it is for.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from wharfie.build import cacheformat
from wharfie.build.cache import Cache, Entry
from wharfie.build.cacheformat import CONFIG, BadCache, Remote
from wharfie.build.cachespec import CacheSpec
from wharfie.errors import WharfieError
from wharfie.images import config as configs
from wharfie.images import manifests
from wharfie.images.image import ImageNotFound
from wharfie.images.layers import DigestMismatch, Layer
from wharfie.images.manifests import Descriptor
from wharfie.images.platform import Platform
from wharfie.images.reference import Reference, is_digest, parse
from wharfie.images.registry.repository import Repository
from wharfie.images.registry.upload import Upload
from wharfie.images.store import ImageStore
from wharfie.linux import path as paths
from wharfie.support.faults import point

_PIECE = 1 << 20
_NONE_INSIDE = "the image has no cache inside that can be used: --cache-to type=inline puts one there"
_REF_NAME = "org.opencontainers.image.ref.name"


class Registries(Protocol):
    """Registries with the credentials of one build."""

    def repository(self, name: Reference) -> AbstractAsyncContextManager[Repository]:
        """To read from."""

    def upload(self, name: Reference) -> AbstractAsyncContextManager[Upload]:
        """To write to."""


class Place(Protocol):
    """Where a cache is: a repository, or a layout."""

    async def manifest(self, tag_or_digest: str, accept: str) -> tuple[bytes, str, str]:
        """A manifest, its type and digest."""

    async def small_blob(self, wanted: Descriptor, limit: int) -> bytes:
        """A blob that fits into memory."""

    def blob(self, wanted: Descriptor) -> AsyncIterator[bytes]:
        """A blob; its digest is not verified."""


class Layout:
    """An OCI layout in a directory that somebody sent: nothing in it leads out of it."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def manifest(self, tag_or_digest: str, accept: str) -> tuple[bytes, str, str]:
        """The manifest of a tag, or of a digest."""
        if not is_digest(tag_or_digest):
            for entry in manifests.entries(self._read("index.json", manifests.LIMIT)):
                if (entry.annotations or {}).get(_REF_NAME) == tag_or_digest:
                    tag_or_digest = entry.digest
                    break
            else:
                raise BadCache(f"it has no cache named {tag_or_digest}")
        body = self._read(_blob_path(tag_or_digest), manifests.LIMIT)
        return body, manifests.own_type(body), tag_or_digest

    async def small_blob(self, wanted: Descriptor, limit: int) -> bytes:
        """A configuration."""
        return self._read(_blob_path(wanted.digest), limit)

    async def blob(self, wanted: Descriptor) -> AsyncIterator[bytes]:
        """A layer."""
        fd = self._open(_blob_path(wanted.digest))
        try:
            while piece := os.read(fd, _PIECE):
                yield piece
        finally:
            os.close(fd)

    def _read(self, path: str, limit: int) -> bytes:
        with os.fdopen(self._open(path), "rb") as file:
            found = file.read(limit + 1)
        if len(found) > limit:
            raise BadCache(f"{path} is longer than {limit} bytes")
        return found

    def _open(self, path: str) -> int:
        root = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return paths.open_regular(root, path)
        except FileNotFoundError:
            raise BadCache(f"it has no {path}") from None
        finally:
            os.close(root)


def _blob_path(digest: str) -> str:
    if not is_digest(digest):
        raise BadCache(f"{digest} is no digest")
    return f"blobs/{digest.replace(':', '/')}"


@dataclass(slots=True)
class _Source:
    """One cache that could be read."""

    shown: str
    steps: dict[str, Remote]
    place: Place | None
    """None: its layers are in the store."""


class Imports:
    """All caches that one build is given."""

    def __init__(self, store: ImageStore, cache: Cache, warn: Callable[[str], None]) -> None:
        self._store = store
        self._cache = cache
        self._warn = warn
        self._sources: list[_Source] = []

    async def open(
        self,
        stack: AsyncExitStack,
        specs: list[CacheSpec],
        layouts: dict[str, Place],
        registries: Registries,
        platform: Platform,
    ) -> None:
        """Read what they hold; registries stay connected until the stack ends."""
        for spec in specs:
            try:
                self._sources.append(await self._opened(stack, spec, layouts, registries, platform))
            except (WharfieError, OSError) as error:
                self._warn(f"[Warning] failed to import the cache {spec.shown}: {error}\n")

    async def _opened(
        self,
        stack: AsyncExitStack,
        spec: CacheSpec,
        layouts: dict[str, Place],
        registries: Registries,
        platform: Platform,
    ) -> _Source:
        if spec.kind == "local":
            layout = layouts[spec.key]
            return _Source(spec.shown, await _steps(layout, spec.digest or spec.tag, platform), layout)
        if spec.kind == "image":
            try:
                return self._of_image(spec)
            except ImageNotFound:
                pass  # then it is in its registry, if anywhere
        name = parse(spec.ref).with_default_tag()
        repository = await stack.enter_async_context(registries.repository(name))
        return _Source(spec.shown, await _steps(repository, name.digest or name.tag, platform), repository)

    def _of_image(self, spec: CacheSpec) -> _Source:
        image = self._store.get(spec.ref)
        rows = self._store.catalog.layers(image.id)
        blobs = [Descriptor(row.diff, row.size) for row in rows]
        steps = cacheformat.decode_inline(image.raw, blobs, [row.diff for row in rows])
        if not steps:
            raise BadCache(_NONE_INSIDE)
        return _Source(spec.shown, steps, None)

    async def take(self, key: str) -> Entry | None:
        """The step of this key, its layer in the store and itself in the cache; None if nobody has it."""
        for source in self._sources:
            remote = source.steps.get(key)
            if remote is None:
                continue
            try:
                layer = await self._layer(source, remote) if remote.diff else None
            except (WharfieError, OSError) as error:
                self._warn(f"[Warning] a layer of the cache {source.shown} cannot be used: {error}\n")
                continue
            self._cache.add(key, remote.kind, remote.description, layer, remote.created)
            point("a step is imported")
            return self._cache.find(key)
        return None

    async def _layer(self, source: _Source, remote: Remote) -> Layer:
        known = self._cache.layer(remote.diff)
        if known is not None:
            return known
        if source.place is None or remote.blob is None:
            raise BadCache(f"its layer {remote.diff} is not there")
        async with self._store.drafted() as draft:
            layer = await self._store.fill_from(draft, source.place.blob(remote.blob), place=False)
            if layer.diff_id != remote.diff:
                raise DigestMismatch(f"its layer {remote.diff} has the digest {layer.diff_id}")
            self._store.layers.place(draft, layer)
            return layer


async def _steps(place: Place, tag_or_digest: str, platform: Platform) -> dict[str, Remote]:
    body = (await place.manifest(tag_or_digest, manifests.ANY))[0]
    if manifests.own_type(body) in (manifests.OCI_INDEX, manifests.DOCKER_LIST):
        entries = manifests.entries(body)
        config = next((entry for entry in entries if entry.media_type == CONFIG), None)
        if config is None:
            chosen = manifests.choose(entries, platform)
            body = (await place.manifest(chosen.digest, manifests.ANY))[0]
    else:
        config = None
    if config is None:
        blobs = manifests.blobs_of(body)
        if not blobs:
            raise BadCache("its manifest names nothing")
        config, *layers = blobs
        if config.media_type != CONFIG:
            return await _inline(place, config, layers)
    return cacheformat.decode(await place.small_blob(config, cacheformat.LIMIT))


async def _inline(place: Place, config: Descriptor, layers: list[Descriptor]) -> dict[str, Remote]:
    image = await place.small_blob(config, cacheformat.LIMIT)
    diff_ids = configs.decode(image).rootfs.diff_ids or []
    steps = cacheformat.decode_inline(image, layers, diff_ids)
    if not steps:
        raise BadCache(_NONE_INSIDE)
    return steps
