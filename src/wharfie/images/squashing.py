"""One layer in place of many, with the same tree.

The layers are mounted as a container would see them, read only and at no path, and what is seen is packed:
what an upper layer deleted or replaced is not in it any more, and there are no whiteouts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.images import config as configs
from wharfie.images import pack, snapshots
from wharfie.images.image import Image
from wharfie.images.importing import latest_of, name_of
from wharfie.images.layers import Layer
from wharfie.images.pipe import Produced
from wharfie.support.faults import point
from wharfie.support.units import format_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore


async def squash(
    store: ImageStore, image: Image, *, target: str | None, message: str, epoch: int | None
) -> Image:
    """The new image; see :meth:`ImageStore.squash`."""
    name = name_of(target, "refusing to create a tag with a digest reference")
    latest = latest_of(epoch)
    with store.keeping():
        layers = [Layer(row.diff, row.size, row.blob) for row in store.catalog.layers(image.id)]
        layer = await merged(store, layers, latest)
        made = format_time(time.time_ns() if latest is None else latest)
        comment = message or f"merge {image.id}"
        document = msgspec.structs.replace(
            image.document,
            created=made,
            comment=comment,
            parent="",
            rootfs=configs.RootFS(diff_ids=[layer.diff_id]),
            history=history_of(image.document.history or [], made, comment),
        )
        names = [(name.canonical, True)] if name else []
        squashed = store.register(configs.encode(document), [layer], names=names)
        point("squash: the image is registered")
        return squashed


def history_of(steps: Sequence[configs.HistoryEntry], made: str, comment: str) -> list[configs.HistoryEntry]:
    """The steps so far, none of which has a layer of its own any more, and the one that made the layer."""
    return [
        *(msgspec.structs.replace(step, empty_layer=True) for step in steps),
        configs.HistoryEntry(created=made, comment=comment),
    ]


async def merged(store: ImageStore, layers: Sequence[Layer], latest: int | None) -> Layer:
    """A layer with the tree that ``layers`` (lowest first) make together; raises InvalidArgument for none."""
    if not layers:
        raise InvalidArgument("the image has no layers that could be squashed")
    # an overlay wants two directories at least: an empty draft is the lowest
    async with store.drafted() as empty, store.drafted() as draft:
        bottom = os.path.join(empty.path, "diff")
        lower = [*(store.layers.diff(layer.directory) for layer in reversed(layers)), bottom]
        return await store.fill_from(draft, Produced("pack squash", partial(_pack, lower, latest)))


def _pack(lower: Sequence[str], latest: int | None, write: pack.Write) -> None:
    root = snapshots.mount_detached(lower, "", "")
    try:
        pack.pack_root(root, write, layer=True, latest=latest)
    finally:
        os.close(root)
