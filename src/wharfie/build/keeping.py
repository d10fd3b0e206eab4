"""Contexts of late builds, kept so that one that has not changed is not sent again.

Our command line tells a fingerprint of what it would send: names, sizes, modes, inodes and times of change of
all files, not their content, as others tell changed files too. Who knows the fingerprint of a kept context
takes it out; it comes back when that build is over.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from wharfie.build.arrival import Known
from wharfie.errors import Conflict
from wharfie.images.store import ImageStore
from wharfie.support.ignore import Matcher

COUNT = 8
LIMIT = 1 << 30
"""Bytes that all of them may be."""


class ContextGone(Conflict):
    """A context that was kept is in use, or is not kept any more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What belongs to one: what was read of it before files were left out."""

    dockerfile: bytes
    rules: Matcher | None
    size: int
    digests: dict[str, str] = field(default_factory=dict)
    """Of what instructions took out of it, by the words that said what."""
    arrived: Known = field(default_factory=dict)
    """Of its large files."""
    listing: Any = None
    """What a client said is in it, by which it tells the next time what is different."""


class Contexts:
    """The kept ones, oldest first; a directory each."""

    def __init__(self, root: str, store: ImageStore) -> None:
        self._root = root
        self._store = store
        self._kept: dict[str, Kept] = {}
        os.makedirs(root, 0o700, exist_ok=True)
        self._remove([f"{root}/{name}" for name in os.listdir(root)])

    def knows(self, key: str) -> bool:
        """Whether it can be taken now."""
        return key in self._kept

    def take(self, key: str, target: str) -> Kept:
        """It is moved to ``target``, an empty directory; raises ContextGone."""
        kept = self._kept.pop(key, None)
        if kept is None:
            raise ContextGone("the context is not kept any more: send it")
        os.rmdir(target)
        os.rename(f"{self._root}/{key}", target)
        return kept

    def put(self, key: str, kept: Kept, source: str) -> None:
        """Keep it, if it is not too large."""
        if kept.size > LIMIT or key in self._kept:
            return
        os.rename(source, f"{self._root}/{key}")
        self._kept[key] = kept
        while len(self._kept) > COUNT or sum(one.size for one in self._kept.values()) > LIMIT:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._remove([f"{self._root}/{oldest}"])

    def clear(self) -> int:
        """Let all go; the bytes they took."""
        size = sum(kept.size for kept in self._kept.values())
        self._remove([f"{self._root}/{key}" for key in self._kept])
        self._kept.clear()
        return size

    def _remove(self, paths: list[str]) -> None:
        self._store.discard_paths(self._store.layers.hide_paths(paths))
