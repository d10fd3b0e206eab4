"""``import``: an archive of a root file system becomes an image of one layer.

The archive is the layer, byte for byte, so its digest depends on how it was written. Where a time is given
that nothing may be later than (SOURCE_DATE_EPOCH), the unpacked files are packed anew instead, in our
order: then the same files give the same layer, in whatever order and at whatever time they were written.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from wharfie.errors import InvalidArgument
from wharfie.images import changes as dockerfile
from wharfie.images import config as configs
from wharfie.images import pack, reference
from wharfie.images.image import Image
from wharfie.images.layers import Layer
from wharfie.images.pipe import Produced
from wharfie.images.platform import Platform
from wharfie.support.faults import point
from wharfie.support.units import format_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

SECOND = 10**9
LATEST_EPOCH = 1 << 40
"""Seconds; far beyond what any file system stores."""


def name_of(ref: str | None, complaint: str) -> reference.Reference | None:
    """The name that a new image gets; raises InvalidArgument for one with a digest."""
    name = reference.parse(ref).with_default_tag() if ref else None
    if name is not None and name.digest:
        raise InvalidArgument(complaint)
    return name


def latest_of(epoch: int | None) -> int | None:
    """SOURCE_DATE_EPOCH in nanoseconds; raises InvalidArgument."""
    if epoch is None:
        return None
    if not 0 <= epoch <= LATEST_EPOCH:
        raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH {epoch}: it is seconds since 1970")
    return epoch * SECOND


async def import_image(
    store: ImageStore,
    stream: AsyncIterator[bytes],
    *,
    ref: str | None,
    changes: list[str],
    message: str,
    platform: str | None,
    epoch: int | None,
) -> Image:
    """The new image; see :meth:`ImageStore.import_image`."""
    name = name_of(ref, "cannot import digest reference")
    latest = latest_of(epoch)
    run = dockerfile.apply(configs.RunConfig(), changes)
    target = Platform.parse(platform) if platform else Platform.of_host()
    async with store.drafted() as draft:
        if latest is None:
            layer = await store.fill_from(draft, stream)
        else:
            await store.fill_from(draft, stream, place=False)
            layer = await _normalised(store, draft.path, latest)
        made = format_time(time.time_ns() if latest is None else latest)
        step = configs.HistoryEntry(created=made, comment=message or "Imported from -")
        document = configs.ImageConfig(
            architecture=target.architecture,
            os=target.os,
            variant=target.variant,
            created=made,
            comment=step.comment,
            config=run,
            rootfs=configs.RootFS(diff_ids=[layer.diff_id]),
            history=[step],
        )
        names = [(name.canonical, True)] if name else []
        image = store.register(configs.encode(document), [layer], names=names)
        point("import: the image is registered")
        return image


async def _normalised(store: ImageStore, draft: str, latest: int) -> Layer:
    """The files of a draft packed in our order, as a layer that is in place."""
    async with store.drafted() as second:
        return await store.fill_from(second, Produced("pack import", partial(_pack, draft, latest)))


def _pack(draft: str, latest: int, write: pack.Write) -> None:
    top = os.open(os.path.join(draft, "diff"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        pack.pack_root(top, write, layer=True, latest=latest)
    finally:
        os.close(top)
