"""``save``: images as one archive that has Docker's layout and OCI's at once.

::

    oci-layout  index.json                  OCI image-layout: an entry for each name of each image
    manifest.json  repositories             Docker's
    blobs/sha256/<hex>                      configurations, manifests, and layers, each once and uncompressed

What describes comes first, so that whoever reads a stream knows what will follow. The same images give the
same bytes. Layers are put together from their files (tarsplit) and digested on the way: a damaged one ends
the archive with an error, and not with a layer that nobody can load.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from wharfie.errors import InternalError
from wharfie.images import archiveindex as index
from wharfie.images import manifests, reference, tar, tarheader, tarsplit
from wharfie.images.catalog import LayerRow
from wharfie.images.image import Image
from wharfie.images.manifests import NoSuchPlatform
from wharfie.images.paralleldigest import ParallelDigest
from wharfie.images.pipe import Produced, Write
from wharfie.images.platform import Platform
from wharfie.images.tar import Entry

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_GATHER = 1 << 20

_JOINED = 1 << 13
"""Bytes: pieces that are smaller on the average are handed on as one."""


@dataclass(slots=True)
class Saved:
    """An image that goes into the archive, under these names."""

    image: Image
    layers: list[LayerRow]
    names: list[reference.Reference] = field(default_factory=list)


def chosen(store: ImageStore, refs: list[str], platform: Platform | None) -> list[Saved]:
    """What ``refs`` stand for: a name with a tag is that one, one without is all its tags, an id has no name.

    Raises:
        ImageNotFound: one of them is not here. NoSuchPlatform: it is, for another platform.
    """
    found: dict[str, Saved] = {}
    for ref in refs:
        for image_id, name in _meant(store, ref):
            saved = found.get(image_id)
            if saved is None:
                image = store.by_id(image_id)
                check_platform(image, ref, platform)
                saved = found[image_id] = Saved(image, store.catalog.layers(image_id))
            if name is not None and name not in saved.names:
                saved.names.append(name)
    return list(found.values())


def _meant(store: ImageStore, ref: str) -> list[tuple[str, reference.Reference | None]]:
    try:
        named = reference.parse(ref)
    except reference.InvalidReference:
        named = None
    if named is not None and not named.tag and not named.digest:
        every = store.catalog.tags_of(named.name)
        if every:
            return [(image_id, reference.parse(name)) for name, image_id in every]
    row, name = store.find(ref)
    return [(row.id, name if name is not None and name.tag and not name.digest else None)]


def check_platform(image: Image, ref: str, platform: Platform | None) -> None:
    """Raises NoSuchPlatform if the image is for another one."""
    theirs = Platform(image.os, image.architecture, image.variant)
    if platform is not None and platform.rank(theirs) is None:
        raise NoSuchPlatform(
            f"image with reference {ref} was found but does not provide the specified platform ({platform})"
        )


@asynccontextmanager
async def save(store: ImageStore, images: list[Saved]) -> AsyncIterator[Produced]:
    """The archive; what it needs stays on disk until the end of this."""
    with store.keeping():
        pieces = Produced("save images", lambda write: _Writer(store, write).archive(images))
        async with aclosing(pieces):
            yield pieces


class _Writer:
    """In a thread: writes the archive."""

    def __init__(self, store: ImageStore, write: Write) -> None:
        self._layers = store.layers
        self._write = write
        self._held: list[bytes] = []
        self._size = 0

    def archive(self, images: list[Saved]) -> None:
        layers = {row.diff: row for saved in images for row in saved.layers}
        sizes = {
            diff: tarsplit.archive_size(self._layers.directory(row.directory)) for diff, row in layers.items()
        }
        made = [_manifest(saved, sizes) for saved in images]
        documents = {index.blob_name(saved.image.id): saved.image.raw for saved in images}
        documents.update({index.blob_name(_digest(manifest)): manifest for manifest in made})
        self._file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self._file(index.OCI_INDEX, _oci_index(images, made))
        self._file(index.DOCKER_INDEX, _docker_index(images))
        self._file("repositories", _repositories(images))
        for name in ("blobs/", "blobs/sha256/"):
            self._put(tarheader.header(Entry(name.encode(), tar.DIRECTORY, 0o755, 0, 0, 0, 0)))
        for name, document in sorted(documents.items()):
            self._file(name, document)
        for diff, row in layers.items():
            self._layer(row, sizes[diff])
        self._put(tarheader.END)
        self._flush()

    def _layer(self, row: LayerRow, size: int) -> None:
        self._head(index.blob_name(row.diff), size)
        with ParallelDigest() as digest:
            for batch in batches(tarsplit.assemble(self._layers.directory(row.directory))):
                digest.update(batch)
                self._put(*batch)
        if digest.value() != row.diff:
            raise InternalError(
                f"the layer {row.diff} is damaged on the disk; wharfie system check --repair tells "
                "what can be done"
            )
        self._put(tarheader.padding(size))

    def _file(self, name: str, data: bytes) -> None:
        self._head(name, len(data))
        self._put(data)
        self._put(tarheader.padding(len(data)))

    def _head(self, name: str, size: int) -> None:
        self._put(tarheader.header(Entry(name.encode(), tar.REGULAR, 0o644, 0, 0, size, 0)))

    def _put(self, *pieces: bytes) -> None:
        self._held += pieces
        self._size += sum(map(len, pieces))
        if self._size >= _GATHER:
            self._flush()

    def _flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held:
            self._write(held)


def batches(pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The same bytes, a MiB or more at once: threads and sockets are paid for by the turn."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _GATHER:
            yield _few(held, size)
            held, size = [], 0
    if held:
        yield _few(held, size)


def _few(pieces: list[bytes], size: int) -> list[bytes]:
    return pieces if size >= len(pieces) * _JOINED else [b"".join(pieces)]


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _manifest(saved: Saved, sizes: dict[str, int]) -> bytes:
    image = saved.image
    return msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": {"mediaType": _OCI_CONFIG, "digest": image.id, "size": len(image.raw)},
            "layers": [
                {"mediaType": _OCI_LAYER, "digest": row.diff, "size": sizes[row.diff]} for row in saved.layers
            ],
        }
    )


def manifest_of(store: ImageStore, saved: Saved) -> tuple[bytes, str]:
    """In a thread: the manifest an image came by, or the one that the archive has, and its type."""
    image = saved.image
    if image.manifest.startswith("sha256:"):
        try:
            with open(store.layers.blob(image.manifest), "rb") as file:
                body = file.read(manifests.LIMIT)
            return body, manifests.own_type(body)
        except FileNotFoundError:
            pass  # it went with what it came with: the archive has another
    sizes = {row.diff: tarsplit.archive_size(store.layers.directory(row.directory)) for row in saved.layers}
    return _manifest(saved, sizes), manifests.OCI_MANIFEST


def _oci_index(images: list[Saved], made: list[bytes]) -> bytes:
    entries = []
    for saved, manifest in zip(images, made, strict=True):
        platform = {"architecture": saved.image.architecture, "os": saved.image.os or "linux"}
        if saved.image.variant:
            platform["variant"] = saved.image.variant
        entry = {
            "mediaType": manifests.OCI_MANIFEST,
            "digest": _digest(manifest),
            "size": len(manifest),
            "platform": platform,
        }
        named = [
            {**entry, "annotations": {index.FULL_NAME: name.canonical, index.REF_NAME: name.tag}}
            for name in saved.names
        ]
        entries += named or [entry]
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": entries})


def _docker_index(images: list[Saved]) -> bytes:
    entries = [
        {
            "Config": index.blob_name(saved.image.id),
            "RepoTags": [name.familiar for name in saved.names] or None,
            "Layers": [index.blob_name(row.diff) for row in saved.layers],
        }
        for saved in images
    ]
    return msgspec.json.encode(entries)


def _repositories(images: list[Saved]) -> bytes:
    found: dict[str, dict[str, str]] = {}
    for saved in images:
        for name in saved.names:
            digits = (saved.image.diff_ids or [saved.image.id])[-1].removeprefix("sha256:")
            found.setdefault(name.familiar_name, {})[name.tag] = digits
    return msgspec.json.encode(found)
