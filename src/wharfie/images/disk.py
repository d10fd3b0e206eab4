"""``system df``: what images take, layers that several share counted once.

The sum is that of all files of the store to the byte: layers, the records of their archives, blobs. An
image's own size is that of its layers' files, as Docker has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from wharfie.images.image import ContainerUse, DiskUsage, ImageUsage

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore


def usage(store: ImageStore, in_use: Callable[[str], list[ContainerUse]] | None) -> DiskUsage:
    """Each image with the bytes it shares with others; ``containers`` is -1 when nobody counted."""
    rows = store.catalog.all_layers()
    users = Counter(
        layer.directory for layer in {(image, row.directory): row for image, row in rows}.values()
    )
    sizes = {row.directory: row.size for _, row in rows}
    of_image: dict[str, set[str]] = {}
    for image_id, row in rows:
        of_image.setdefault(image_id, set()).add(row.directory)
    images = [
        ImageUsage(
            image,
            sum(sizes[name] for name in of_image.get(image.id, ()) if users[name] > 1),
            len(in_use(image.id)) if in_use is not None else -1,
        )
        for image in store.images()
    ]
    on_disk = sum(sizes.values()) + sum(size for _, size in store.catalog.all_blobs())
    on_disk += sum(map(store.layers.beside, sizes))
    return DiskUsage(on_disk, images)
