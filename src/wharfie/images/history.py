"""``docker history``: one line a step, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wharfie.images.config import ImageConfig
from wharfie.images.image import HistoryItem, Image
from wharfie.support.units import parse_time

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore


def seconds(text: str | None) -> int:
    """A time of a configuration in seconds; 0 where it has none that can be read."""
    try:
        return parse_time(text) // 10**9 if text else 0
    except ValueError:
        return 0


def created_seconds(document: ImageConfig) -> int:
    """When an image was made."""
    return seconds(document.created)


def history_of(store: ImageStore, image: Image) -> list[HistoryItem]:
    """The steps of an image; those made here carry the ids and tags of the images in between."""
    sizes = [layer.size for layer in store.catalog.layers(image.id)]
    items: list[HistoryItem] = []
    for step in image.document.history or []:
        size = 0
        if not step.empty_layer and sizes:
            size = sizes.pop(0)
        created_by = step.created_by
        items.append(HistoryItem("<missing>", seconds(step.created), created_by, [], size, step.comment))
    items.reverse()
    # Docker names an image for each parent that is still known, newest first
    current: Image | None = image
    for at, item in enumerate(items):
        if current is None:
            break
        items[at] = HistoryItem(
            current.id, item.created, item.created_by, current.repo_tags, item.size, item.comment
        )
        row = store.catalog.image(current.parent) if current.parent else None
        current = store.image_of(row) if row is not None else None
    return items
