"""``--cache-to``: what a build did or used, as a repository, an OCI layout, or inside the image itself.

::

    steps ─▶ their layers as blobs (gzip) ─▶ the document that names them ─▶ a manifest with a tag

All blobs are there before the manifest is: a cache is whole, or the one that was there before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from wharfie.build import cacheformat
from wharfie.build.cache import Entry
from wharfie.build.cacheimport import Registries
from wharfie.build.cachespec import CacheSpec
from wharfie.images import manifests, tar, tarheader
from wharfie.images.layersource import MadeSource
from wharfie.images.manifests import Descriptor
from wharfie.images.pipe import Produced
from wharfie.images.reference import Reference, parse
from wharfie.images.registry.upload import Upload
from wharfie.images.store import ImageStore
from wharfie.images.tar import Entry as TarEntry
from wharfie.support.faults import point
from wharfie.support.files import remove_tree

_AT_ONCE = 3
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_CHUNK = 1 << 20


def with_inline(document: bytes, entries: Sequence[Entry], diff_ids: Sequence[str]) -> bytes:
    """An image's configuration with the cache in it."""
    found = msgspec.json.decode(document)
    found[cacheformat.INLINE] = cacheformat.encode_inline(entries, diff_ids)
    return msgspec.json.encode(found)


def manifest_of(config: bytes, blobs: Sequence[Descriptor], *, index: bool) -> tuple[bytes, str]:
    """The manifest of a cache, and its type."""
    named = {"mediaType": cacheformat.CONFIG, "digest": digest_of(config), "size": len(config)}
    layers = [{"mediaType": one.media_type, "digest": one.digest, "size": one.size} for one in blobs]
    if index:
        kind = manifests.OCI_INDEX
        document = {"schemaVersion": 2, "mediaType": kind, "manifests": [*layers, named]}
    else:
        kind = manifests.OCI_MANIFEST
        if not layers:
            layers = [{"mediaType": _EMPTY_TYPE, "digest": digest_of(_EMPTY), "size": len(_EMPTY)}]
        document = {"schemaVersion": 2, "mediaType": kind, "config": named, "layers": layers}
    return msgspec.json.encode(document), kind


def digest_of(data: bytes) -> str:
    """As OCI writes it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def to_registry(
    store: ImageStore, registries: Registries, spec: CacheSpec, entries: Sequence[Entry]
) -> str:
    """Push it; the digest of its manifest. Raises RegistryUnreachable, RegistryDenied."""
    name = parse(spec.ref).with_default_tag()
    slots = asyncio.Semaphore(_AT_ONCE)
    layers = {entry.diff: entry.directory for entry in entries if entry.diff}
    async with registries.upload(name) as upload:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    diff: group.create_task(_sent(store, upload, name, spec, diff, directory, slots))
                    for diff, directory in layers.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        blobs = {diff: task.result() for diff, task in tasks.items()}
        point("all layers of a cache are there")
        config = cacheformat.encode(entries, blobs)
        await upload.small_blob(config)
        if not blobs:
            await upload.small_blob(_EMPTY)
        body, kind = manifest_of(config, list(blobs.values()), index=spec.index)
        return await upload.manifest(name.digest or name.tag, body, kind)


async def _sent(
    store: ImageStore,
    upload: Upload,
    name: Reference,
    spec: CacheSpec,
    diff: str,
    directory: str,
    slots: asyncio.Semaphore,
) -> Descriptor:
    """A layer that the registry has, now or already."""
    async with slots:
        for digest, size, media, repository in store.catalog.remembered_blobs(diff):
            if repository == name.name and await upload.has_blob(digest) is not None:
                return Descriptor(digest, size, media)
        source = MadeSource(
            store.layers.directory(directory), compressed=spec.compressed, count=lambda _: None
        )
        await upload.blob(source)
        found = Descriptor(source.digest, source.size, _media(spec))
        store.catalog.remember_blob(diff, found.digest, found.size, found.media_type, name.name)
        return found


def _media(spec: CacheSpec) -> str:
    return manifests.OCI_GZIP if spec.compressed else manifests.OCI_TAR


def archive(store: ImageStore, spec: CacheSpec, entries: Sequence[Entry]) -> AsyncGenerator[bytes, None]:
    """An OCI layout with it, as one archive whose last member names all the others."""

    async def kept() -> AsyncGenerator[bytes, None]:
        with store.keeping():
            pieces = Produced("export a cache", lambda write: _Layout(store, spec, write).write(entries))
            try:
                async for piece in pieces:
                    yield piece
            finally:
                await pieces.aclose()

    return kept()


class _Layout:
    """In a thread: writes the archive."""

    def __init__(self, store: ImageStore, spec: CacheSpec, write: Callable[[bytes], None]) -> None:
        self._layers = store.layers
        self._spec = spec
        self._write = write

    def write(self, entries: Sequence[Entry]) -> None:
        self._file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        blobs = {}
        for entry in entries:
            if entry.diff and entry.diff not in blobs:
                blobs[entry.diff] = self._layer(entry.directory)
        config = cacheformat.encode(entries, blobs)
        body, kind = manifest_of(config, list(blobs.values()), index=self._spec.index)
        for data in (config, *([] if blobs else [_EMPTY]), body):
            self._file(_blob_name(digest_of(data)), data)
        named = {
            "mediaType": kind,
            "digest": digest_of(body),
            "size": len(body),
            "annotations": {"org.opencontainers.image.ref.name": self._spec.tag},
        }
        index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": [named]}
        self._file("index.json", msgspec.json.encode(index))
        self._write(tarheader.END)

    def _layer(self, directory: str) -> Descriptor:
        """A layer's blob; how long it is has to be known first."""
        source = MadeSource(
            self._layers.directory(directory), compressed=self._spec.compressed, count=lambda _: None
        )
        place = self._layers.temporary("cache")
        whole = hashlib.sha256()
        try:
            with open(place, "xb") as file:
                for piece in source.pieces():
                    whole.update(piece)
                    file.write(piece)
            point("a layer of a cache is packed")
            found = Descriptor("sha256:" + whole.hexdigest(), os.path.getsize(place), _media(self._spec))
            self._head(_blob_name(found.digest), found.size)
            with open(place, "rb") as file:
                while piece := file.read(_CHUNK):
                    self._write(piece)
            self._write(tarheader.padding(found.size))
        finally:
            remove_tree(place)
        return found

    def _file(self, name: str, data: bytes) -> None:
        self._head(name, len(data))
        self._write(data + tarheader.padding(len(data)))

    def _head(self, name: str, size: int) -> None:
        self._write(tarheader.header(TarEntry(name.encode(), tar.REGULAR, 0o644, 0, 0, size, 0)))


def _blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
