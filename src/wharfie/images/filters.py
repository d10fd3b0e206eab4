"""The filters of ``docker images`` and ``image prune``.

Docker's words: dangling, label, before, since, reference, until. Several values of one filter widen it,
except for labels, of which all must be there.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from wharfie.errors import InvalidArgument
from wharfie.images import reference
from wharfie.images.image import Image
from wharfie.support.ignore import BadPattern, compiled
from wharfie.support.units import timestamp

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

LISTING = frozenset({"dangling", "label", "label!", "before", "since", "reference", "until"})
PRUNING = frozenset({"dangling", "label", "label!", "until"})
_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")

Filters = Mapping[str, list[str]]


def check(filters: Filters, known: Iterable[str]) -> None:
    """Raise InvalidArgument for a filter that does not exist here."""
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def flag(filters: Filters, name: str, default: bool | None = None) -> bool | None:
    """A filter that is yes or no; raises InvalidArgument."""
    values = filters.get(name)
    if not values:
        return default
    if len(values) > 1 or values[0].lower() not in _TRUE + _FALSE:
        raise InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")
    return values[0].lower() in _TRUE


def has_labels(image: Image, filters: Filters) -> bool:
    """Whether the image has each label asked for, and none of ``label!``."""
    labels = image.config.labels or {}

    def has(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in labels and (not equals or labels[name] == value)

    return all(map(has, filters.get("label", ()))) and not any(map(has, filters.get("label!", ())))


def older_than(image: Image, filters: Filters) -> bool:
    """``until``: whether the image is older than each time given."""
    return all(image.created_unix < until_seconds(text) for text in filters.get("until", ()))


def until_seconds(text: str) -> float:
    """A time stamp, or how long ago, as ``until`` takes it; raises InvalidArgument."""
    try:
        return float(timestamp(text))
    except ValueError as error:
        raise InvalidArgument(f"invalid filter 'until={text}': {error}") from error


def matches(familiar: str, pattern: str) -> bool:
    """Docker's ``reference`` filter: a shell pattern on the name, with or without tag."""
    named = reference.parse(familiar)
    try:
        rule = compiled(re.sub(r"\*+", "*", pattern))  # two stars are one star here
    except BadPattern as error:
        raise InvalidArgument(f"invalid filter 'reference={pattern}': {error}") from None
    return any(map(rule, (familiar, named.familiar_name, named.canonical, named.name)))


def listed(store: ImageStore, filters: Filters, *, all: bool) -> list[Image]:
    """The images that pass, newest first."""
    check(filters, LISTING)
    dangling = flag(filters, "dangling")
    before = [store.get(ref).created_unix for ref in filters.get("before", ())]
    since = [store.get(ref).created_unix for ref in filters.get("since", ())]
    parents = store.catalog.parents()
    found = []
    for image in store.images():
        loose = not image.repo_tags and not image.repo_digests
        if loose and not all and image.id in parents:
            continue  # a step in between
        is_dangling = not image.repo_tags and image.id not in parents
        if dangling is not None and dangling != is_dangling:
            continue
        if (
            not all_of(image, before, since)
            or not has_labels(image, filters)
            or not older_than(image, filters)
        ):
            continue
        if filters.get("reference"):
            narrowed = _narrowed(image, filters["reference"])
            if narrowed is None:
                continue
            image = narrowed
        found.append(image)
    return found


def all_of(image: Image, before: list[int], since: list[int]) -> bool:
    """Whether the image is older than all of ``before`` and newer than all of ``since``."""
    return all(image.created_unix < when for when in before) and all(
        image.created_unix > when for when in since
    )


def _narrowed(image: Image, patterns: list[str]) -> Image | None:
    """The image with those of its names that match; None without any."""
    tags = [name for name in image.repo_tags if any(matches(name, pattern) for pattern in patterns)]
    digests = [name for name in image.repo_digests if any(matches(name, pattern) for pattern in patterns)]
    if not tags and not digests:
        return None
    return dataclasses.replace(image, repo_tags=tags, repo_digests=digests)
