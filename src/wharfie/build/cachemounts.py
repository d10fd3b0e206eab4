"""Cache mounts: a directory for each id, which steps share, have alone for a while, or take in turns.

Their sizes are measured when somebody asks, and again only for those that were used since.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from weakref import WeakValueDictionary

from wharfie.images.layers import tree_size
from wharfie.images.store import ImageStore

Locks = WeakValueDictionary[str, asyncio.Lock]


@dataclass(frozen=True, slots=True)
class CacheMount:
    """One of them; times in nanoseconds."""

    id: str
    directory: str
    created: int
    used: int
    uses: int
    size: int = 0


class CacheMounts:
    """The directories and their rows."""

    def __init__(self, root: str, store: ImageStore) -> None:
        self.root = root
        self._store = store
        self.db = store.catalog.db
        self.locks: Locks = WeakValueDictionary()
        self.busy: set[str] = set()
        """Paths of private mounts, which nobody else may have now."""
        self.users: Counter[str] = Counter()
        """How many steps have a directory (by its path) now."""
        self._sizes: dict[str, tuple[int, int]] = {}
        os.makedirs(root, 0o700, exist_ok=True)

    def path(self, mount: CacheMount) -> str:
        """Where its files are."""
        return f"{self.root}/{mount.directory}"

    def rows(self) -> list[CacheMount]:
        """All, by id, not measured."""
        query = "SELECT id, directory, created, used, uses FROM build_mounts ORDER BY id"
        return [CacheMount(*row) for row in self.db.rows(query)]

    async def measured(self) -> list[CacheMount]:
        """All, with what they take on disk."""
        rows = self.rows()
        stale = [row for row in rows if self._sizes.get(row.directory, (0, -1))[1] != row.used]

        def look() -> dict[str, tuple[int, int]]:
            found = {}
            for row in stale:
                path = self.path(row)
                found[row.directory] = (tree_size(path) if os.path.isdir(path) else 0, row.used)
            return found

        sizes = dict(self._sizes)
        if stale:
            sizes |= await asyncio.to_thread(look)
            self._sizes = {row.directory: sizes[row.directory] for row in rows}
        return [
            CacheMount(row.id, row.directory, row.created, row.used, row.uses, sizes[row.directory][0])
            for row in rows
        ]

    def note(self, identifier: str, directory: str, now: int) -> None:
        """It is used."""
        self.db.execute(
            "INSERT INTO build_mounts VALUES (?, ?, ?, ?, 1) "
            "ON CONFLICT (id) DO UPDATE SET used = excluded.used, uses = uses + 1",
            (identifier, directory, now, now),
        )

    def let_go(self, path: str) -> None:
        """A step is done with a directory."""
        self.users[path] -= 1
        if not self.users[path]:
            del self.users[path]

    def remove(self, mount: CacheMount) -> None:
        """Forget it, if no step has it; the files go in the background."""
        self.db.execute("DELETE FROM build_mounts WHERE id = ?", (mount.id,))
        self._store.discard_paths(self._store.layers.hide_paths([self.path(mount)]))
