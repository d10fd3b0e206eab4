"""A container's changes become a layer on top of its image.

What was changed since a configuration was made is kept apart from the work: the engine freezes the container,
hands over the upper directory and the configuration, and the archive of the directory passes through the same
unpacking as every other layer, so that there is one way in which layers come to be.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wharfie.images import changes as dockerfile
from wharfie.images import config as configs
from wharfie.images import pack, squashing, written
from wharfie.images.image import Image
from wharfie.images.importing import latest_of, name_of
from wharfie.images.layers import Layer
from wharfie.images.pipe import Produced
from wharfie.support.faults import point
from wharfie.support.units import format_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What is asked of a commit."""

    ref: str | None
    author: str
    message: str
    changes: list[str]
    config: configs.RunConfig | None
    created_by: str
    squash: bool
    epoch: int | None


async def commit(store: ImageStore, base: Image, upper: str, wanted: Commit) -> Image:
    """The new image; see :meth:`ImageStore.commit`."""
    name = name_of(wanted.ref, "refusing to create a tag with a digest reference")
    latest = latest_of(wanted.epoch)
    run = dockerfile.apply(wanted.config if wanted.config is not None else base.config, wanted.changes)
    async with store.drafted() as draft:
        layers = [Layer(row.diff, row.size, row.blob) for row in store.catalog.layers(base.id)]
        changed = bool(await asyncio.to_thread(written.changes, base.lower, upper))
        if changed or not layers:
            pack_upper = partial(_pack, base.lower, upper, latest)
            layers.append(await store.fill_from(draft, Produced("pack commit", pack_upper)))
        made = format_time(time.time_ns() if latest is None else latest)
        step = configs.HistoryEntry(
            created=made,
            created_by=wanted.created_by,
            author=wanted.author,
            comment=wanted.message,
            empty_layer=not changed,
        )
        history = [*(base.document.history or []), step]
        if wanted.squash:
            layers = [await squashing.merged(store, layers, latest)]
            history = squashing.history_of(history, made, f"merge {base.id} and a container's changes")
        document = msgspec.structs.replace(
            base.document,
            created=made,
            author=wanted.author,
            comment=wanted.message,
            parent="",
            config=run,
            rootfs=configs.RootFS(diff_ids=[layer.diff_id for layer in layers]),
            history=history,
        )
        names = [(name.canonical, True)] if name else []
        parent = "" if wanted.squash else base.id
        image = store.register(configs.encode(document), layers, names=names, parent=parent)
        point("commit: the image is registered")
        return image


def _pack(lower: list[str], upper: str, latest: int | None, write: pack.Write) -> None:
    top = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        without = written.of_engine(lower, upper)
        pack.pack_root(top, write, layer=True, without=without, latest=latest)
    finally:
        os.close(top)
