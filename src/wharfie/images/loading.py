"""``load``: the images of an archive appear together, when all their layers are in place.

::

    stream ─ unpack into drafts ─ compare with the index ─ place ─ rows and names in one transaction

A failure at any step leaves the store as it was. While it works nothing is collected, so a layer that the
store had when the archive began is there when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from wharfie.images import archiveindex as index
from wharfie.images import config as configs
from wharfie.images import reference
from wharfie.images.archiveindex import Described
from wharfie.images.image import Image
from wharfie.images.layers import DigestMismatch, Layer, LayerStore
from wharfie.images.loadreading import ImageArchive
from wharfie.images.pipe import PipeBroken, Source, ended, in_thread, readable
from wharfie.images.platform import Platform
from wharfie.support.faults import point
from wharfie.support.ids import short_id

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

_EVERY = 0.1

Progress = Callable[[dict[str, object]], None]
Loaded = list[tuple[Described, list[Layer]]]


async def load(
    store: ImageStore,
    stream: AsyncIterator[bytes] | Source,
    platform: Platform | None,
    progress: Progress,
    quiet: bool,
) -> list[Image]:
    """The images, in the archive's order; see :meth:`ImageStore.load`."""
    with store.keeping():
        tell = _teller(asyncio.get_running_loop(), progress, quiet)
        archive = ImageArchive(store.layers, store.catalog.by_archive(), tell)
        async with readable("feed archive", stream) as source:

            def work() -> Loaded:
                try:
                    archive.read(source.read)
                    found = _matched(archive, platform)
                    _place(store.layers, archive, found)
                    return found
                finally:
                    source.abandon()
                    for draft in archive.drafts():
                        draft.discard()

            worker = in_thread("load images", work)
            try:
                found = await asyncio.shield(worker)
            finally:
                source.close(PipeBroken("the load was given up"))
                await ended(worker)
        return _register(store, found, progress)


def _matched(archive: ImageArchive, platform: Platform | None) -> Loaded:
    """Each image with its layers, their digests compared."""
    found = []
    for described in index.describe(archive.documents, platform):
        layers = []
        for name, diff_id in zip(described.layers, described.decoded.rootfs.diff_ids or (), strict=True):
            layer = archive.layer(name).layer
            if layer.diff_id != diff_id:
                raise DigestMismatch(f"the archive's layer {name} is {layer.diff_id} and should be {diff_id}")
            layers.append(layer)
        found.append((described, layers))
    return found


def _place(store: LayerStore, archive: ImageArchive, found: Loaded) -> None:
    done = set()
    for described, _ in found:
        for name in described.layers:
            arrived = archive.layer(name)
            if arrived.draft is not None and arrived.layer.diff_id not in done:
                store.place(arrived.draft, arrived.layer)
                done.add(arrived.layer.diff_id)
                point("load: a layer is placed")


def _register(store: ImageStore, found: Loaded, progress: Progress) -> list[Image]:
    made = []
    moved: list[str] = []
    with store.catalog.db.transaction():
        for described, layers in found:
            identifier = configs.image_id(described.document)
            moved += _taken_over(store, described.names, identifier)
            names = [(name.canonical, True) for name in described.names]
            made.append(store.register(described.document, layers, names=names))
            point("load: an image is registered")
    point("load: the transaction is over")
    for text in moved:
        progress({"stream": text})
    for (described, _), image in zip(found, made, strict=True):
        for name in described.names:
            progress({"stream": f"Loaded image: {name.familiar}\n"})
        if not described.names:
            progress({"stream": f"Loaded image ID: {image.id}\n"})
    return made


def _taken_over(store: ImageStore, names: list[reference.Reference], image_id: str) -> list[str]:
    """Docker's words for each name that another image had until now."""
    found = []
    for name in names:
        old = store.catalog.image_of(name.canonical)
        if old is not None and old != image_id:
            found.append(
                f"The image {name.familiar} already exists, renaming the old one with ID {old} to "
                "empty string\n"
            )
    return found


def _teller(
    loop: asyncio.AbstractEventLoop, progress: Progress, quiet: bool
) -> Callable[[str, int, int], None]:
    """Called in a thread for every piece; tells ten times a second, and at each layer's end."""
    last = 0.0

    def tell(name: str, taken: int, size: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY and taken < size:
            return
        last = now
        digest = index.digest_of(name)
        shown = short_id(digest) if digest else name.partition("/")[0].removeprefix("sha256:")[:12]
        message: dict[str, object] = {
            "status": "Loading layer",
            "progressDetail": {"current": taken, "total": size},
            "id": shown,
        }
        if not loop.is_closed():
            loop.call_soon_threadsafe(progress, message)

    return (lambda _name, _taken, _size: None) if quiet else tell
