"""A container's changes become a layer on top of its image.

What was changed since a configuration was made is kept apart from the work: the engine freezes the container,
hands over the upper directory and the configuration, and the archive of the directory passes through the same
unpacking as every other layer, so that there is one way in which layers come to be.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.images import changes as dockerfile
from wharfie.images import config as configs
from wharfie.images import pack, reference, written
from wharfie.images.image import Image
from wharfie.images.layers import Layer
from wharfie.images.pipe import produce
from wharfie.support.units import format_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore


async def commit(
    store: ImageStore,
    base: Image,
    upper: str,
    *,
    ref: str | None,
    author: str,
    message: str,
    changes: list[str],
    config: configs.RunConfig | None,
    created_by: str,
) -> Image:
    """The new image; see :meth:`ImageStore.commit`."""
    name = reference.parse(ref).with_default_tag() if ref else None
    if name is not None and name.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    run = dockerfile.apply(config if config is not None else base.config, changes)
    async with store.drafted() as draft:
        layers = [Layer(row.diff, row.size, row.blob) for row in store.catalog.layers(base.id)]
        changed = bool(await asyncio.to_thread(written.changes, base.lower, upper))
        if changed or not layers:
            pack_upper = partial(_pack, base.lower, upper)
            layers.append(await store.fill_from(draft, produce("pack commit", pack_upper)))
        made = format_time(time.time_ns())
        step = configs.HistoryEntry(
            created=made, created_by=created_by, author=author, comment=message, empty_layer=not changed
        )
        document = msgspec.structs.replace(
            base.document,
            created=made,
            author=author,
            comment=message,
            parent="",
            config=run,
            rootfs=configs.RootFS(
                diff_ids=[*base.diff_ids, *(layer.diff_id for layer in layers[len(base.diff_ids) :])]
            ),
            history=[*(base.document.history or []), step],
        )
        names = [(name.canonical, True)] if name else []
        return store.register(configs.encode(document), layers, names=names, parent=base.id)


def _pack(lower: list[str], upper: str, write: pack.Write) -> None:
    top = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pack.pack_root(top, write, layer=True, without=written.of_engine(lower, upper))
    finally:
        os.close(top)
