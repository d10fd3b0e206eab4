"""The cache of a build as it is kept elsewhere: BuildKit's document, with what only we need beside it.

::

    {"layers":  [{"blob": digest, "parent": -1, "annotations": {mediaType, diffID, size}}, …],
     "records": [{"digest": key, "results": [{"layer": index of a layer}],
                  "wharfie": {kind, description, created}}, …]}

BuildKit reads it, and finds nothing in it: its keys are made in another way. Inside an image (*inline*) there
are records only: the layers are the image's, by number.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from wharfie.build.cache import Entry
from wharfie.errors import InvalidArgument
from wharfie.images.manifests import Descriptor
from wharfie.images.reference import is_digest

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"
LIMIT = 16 << 20
_LATEST = 1 << 62
"""Nanoseconds: what comes later fits into no row."""
_T = TypeVar("_T")
_SHA = "sha256:"
_KINDS = frozenset(("run", "copy", "config", "local"))


class BadCache(InvalidArgument):
    """What should be a cache is none."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A step that was done elsewhere, and the blob of its layer, if it has one."""

    key: str
    kind: str
    description: str
    created: int
    diff: str = ""
    blob: Descriptor | None = None


class _Annotations(msgspec.Struct, omit_defaults=True):
    media_type: str = msgspec.field(default="", name="mediaType")
    diff_id: str = msgspec.field(default="", name="diffID")
    size: int = 0


class _Layer(msgspec.Struct, omit_defaults=True):
    blob: str = ""
    parent: int = 0
    """-1: none; what is not there is 0, in BuildKit's manner."""
    annotations: _Annotations | None = None


class _Result(msgspec.Struct):
    layer: int = 0


class _Own(msgspec.Struct):
    kind: str
    description: str
    created: int


class _Record(msgspec.Struct, omit_defaults=True):
    digest: str = ""
    results: list[_Result] | None = None
    wharfie: _Own | None = None


class _Config(msgspec.Struct):
    layers: list[_Layer] | None = None
    records: list[_Record] | None = None


class _Inline(msgspec.Struct):
    cache: str = msgspec.field(default="", name=INLINE)


def encode(entries: Iterable[Entry], blobs: Mapping[str, Descriptor]) -> bytes:
    """The document; ``blobs``: by diff id."""
    numbers = {diff: number for number, diff in enumerate(blobs)}
    layers = [
        _Layer(blob.digest, -1, _Annotations(blob.media_type, diff, blob.size))
        for diff, blob in blobs.items()
    ]
    return msgspec.json.encode(_Config(layers, _records(entries, numbers)))


def encode_inline(entries: Iterable[Entry], diff_ids: Sequence[str]) -> str:
    """What an image's configuration has under :data:`INLINE`; steps whose layers it lacks are left out."""
    numbers = {diff: number for number, diff in reversed(list(enumerate(diff_ids)))}
    there = [entry for entry in entries if not entry.diff or entry.diff in numbers]
    return b64encode(msgspec.json.encode(_records(there, numbers))).decode()


def _records(entries: Iterable[Entry], numbers: Mapping[str, int]) -> list[_Record]:
    return [
        _Record(
            _SHA + entry.key,
            [_Result(numbers[entry.diff])] if entry.diff else None,
            _Own(entry.kind, entry.description, entry.created),
        )
        for entry in entries
    ]


def decode(body: bytes) -> dict[str, Remote]:
    """Its steps by their keys; those of others, which we cannot use, are left out. Raises BadCache."""
    config = _decoded(body, _Config)
    layers: list[tuple[str, Descriptor] | None] = []
    for layer in config.layers or ():
        told = layer.annotations or _Annotations()
        good = is_digest(layer.blob) and is_digest(told.diff_id) and told.size >= 0
        found = Descriptor(layer.blob, told.size, told.media_type)
        layers.append((told.diff_id, found) if good else None)
    return _steps(config.records or [], layers)


def decode_inline(
    image_config: bytes, blobs: Sequence[Descriptor], diff_ids: Sequence[str]
) -> dict[str, Remote]:
    """The same of an image's configuration; empty if it has none. Raises BadCache."""
    try:
        text = msgspec.json.decode(image_config, type=_Inline).cache
        body = b64decode(text, validate=True)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadCache(f"the cache in the image cannot be read: {error}") from error
    if not body:
        return {}
    records = _decoded(body, list[_Record])
    return _steps(records, list(zip(diff_ids, blobs, strict=False)))


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadCache(f"the configuration of the cache cannot be read: {error}") from error


def _steps(records: Iterable[_Record], layers: Sequence[tuple[str, Descriptor] | None]) -> dict[str, Remote]:
    found = {}
    for record in records:
        own, key = record.wharfie, record.digest.removeprefix(_SHA)
        if own is None or own.kind not in _KINDS or not is_digest(_SHA + key):
            continue
        if not 0 <= own.created < _LATEST:
            continue
        diff, blob = "", None
        if record.results:
            number = record.results[0].layer
            layer = layers[number] if 0 <= number < len(layers) else None
            if layer is None:
                continue
            diff, blob = layer
        found[key] = Remote(key, own.kind, own.description[:4096], own.created, diff, blob)
    return found
