"""What steps have made, by what went into them; rows in ``state.db``, and the layers they keep.

A key is a digest of the layers below, the instruction with all that it uses, and the content it reads: never
of a time. A row whose layer a power failure may have torn (see ``images.durability``) does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wharfie.images.layers import Layer
from wharfie.images.store import ImageStore

BUDGET = 10 << 30
"""Bytes that the cache may keep; the least recently used goes first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One step that was done before."""

    key: str
    kind: str
    description: str
    directory: str
    diff: str
    size: int
    created: int
    """Nanoseconds."""
    used: int
    uses: int

    @property
    def layer(self) -> Layer | None:
        """Its layer; None for a step that changed nothing."""
        return Layer(self.diff, self.size) if self.diff else None


_COLUMNS = "key, kind, description, directory, diff, size, created, used, uses"


def digest(*parts: Any) -> str:
    """A key of what JSON can say."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Cache:
    """The rows."""

    def __init__(self, store: ImageStore, *, budget: int = BUDGET) -> None:
        self._store = store
        self._db = store.catalog.db
        self.budget = budget
        self.in_use: set[str] = set()
        """Keys that running builds stand on: they are not pruned."""

    def find(self, key: str) -> Entry | None:
        """What the step made, if its layer is still there."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM build_cache WHERE key = ?", (key,))
        if row is None:
            return None
        entry = Entry(*row)
        if entry.directory and not os.path.isdir(self._store.layers.diff(entry.directory)):
            self._db.execute("DELETE FROM build_cache WHERE key = ?", (key,))
            return None
        self.in_use.add(key)
        self._db.execute(
            "UPDATE build_cache SET used = ?, uses = uses + 1 WHERE key = ?", (time.time_ns(), key)
        )
        return entry

    def entry(self, key: str) -> Entry | None:
        """A step as it is, which does not count as a use."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM build_cache WHERE key = ?", (key,))
        return None if row is None else Entry(*row)

    def layer(self, diff: str) -> Layer | None:
        """A layer of this content that an image or a step has already."""
        row = self._store.catalog.layer_by_diff(diff)
        if row is not None:
            found = Layer(row.diff, row.size, row.blob)
        else:
            step = self._db.row("SELECT diff, size FROM build_cache WHERE diff = ? LIMIT 1", (diff,))
            if step is None:
                return None
            found = Layer(str(step[0]), int(step[1]))
        return found if os.path.isdir(self._store.layers.diff(found.directory)) else None

    def add(self, key: str, kind: str, description: str, layer: Layer | None, created: int) -> None:
        """Remember a step whose layer was placed."""
        self.in_use.add(key)
        values = (
            key, kind, description[:4096],
            layer.directory if layer else "", layer.diff_id if layer else "", layer.size if layer else 0,
            created, time.time_ns(), 0,
        )  # fmt: skip
        with self._db.transaction():
            self._db.execute(f"INSERT OR REPLACE INTO build_cache VALUES ({', '.join('?' * 9)})", values)
            if layer is not None:
                self._store.durability.note([layer.directory])
        self._store.durability.settle()

    def entries(self) -> list[Entry]:
        """All, most recently used first."""
        rows = self._db.rows(f"SELECT {_COLUMNS} FROM build_cache ORDER BY used DESC, key")
        return [Entry(*row) for row in rows]

    def shared(self) -> set[str]:
        """Directories that images have too: these take no room of the cache's."""
        return {str(row[0]) for row in self._db.rows("SELECT DISTINCT directory FROM layers")}

    def size(self) -> int:
        """Bytes that only the cache keeps."""
        shared = self.shared()
        sizes = {item.directory: item.size for item in self.entries() if item.directory not in shared}
        return sum(sizes.values())

    def drop(self, keys: Iterable[str]) -> int:
        """Forget steps; the bytes that were freed."""
        before = self.size()
        gone = []
        with self._db.transaction():
            for key in keys:
                row = self._db.row("SELECT directory FROM build_cache WHERE key = ?", (key,))
                gone += [str(row[0])] if row and row[0] else []
                self._db.execute("DELETE FROM build_cache WHERE key = ?", (key,))
        self._store.discard_files(gone)  # those that an image has stay
        return before - self.size()
