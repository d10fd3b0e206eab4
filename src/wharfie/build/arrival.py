"""Digests of large files while they arrive: a thread beside the one that writes them takes the same bytes.

What a context is looked at for later need then not be read again. A file is known by its inode and size;
where an archive replaces files, an inode may be another's by the end, and nothing is known any more.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterable, Iterator

from wharfie.images import tar
from wharfie.images.tar import Entry
from wharfie.linux import path as paths

LEAST = 4 << 20
"""Bytes of a file that is worth a thread."""
_QUEUED = 16

Known = dict[int, tuple[int, bytes]]
"""Size and SHA-256 by inode."""


class Arrival:
    """The large files of one archive."""

    def __init__(self) -> None:
        self.known: Known = {}
        self._replaced = False
        self._worker: _Worker | None = None

    def watched(self, entry: Entry, content: Iterable[bytes]) -> Iterable[bytes]:
        """The content of an entry that is about to be unpacked."""
        if self._replaced or entry.kind != tar.REGULAR or entry.sparse is not None or entry.size < LEAST:
            return content
        self._worker = _Worker()
        return self._worker.through(content)

    def placed(self, root: int, path: bytes, entry: Entry) -> None:
        """It was unpacked."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        digest = worker.end()
        if self._replaced:
            return
        fd = paths.open_in_root(root, os.fsdecode(path))
        try:
            self.known[os.fstat(fd).st_ino] = (entry.size, digest)
        finally:
            os.close(fd)

    def replaced(self) -> None:
        """A file made room for another."""
        self._replaced = True
        self.known.clear()

    def close(self) -> None:
        """No thread is left, however the archive ended."""
        if self._worker is not None:
            self._worker.end()


class _Worker:
    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(_QUEUED)
        self._whole = hashlib.sha256()
        self._thread = threading.Thread(target=self._run, name="digest a file", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while piece := self._pieces.get():
            self._whole.update(piece)

    def through(self, content: Iterable[bytes]) -> Iterator[bytes]:
        for piece in content:
            if piece:
                self._pieces.put(piece)
                yield piece

    def end(self) -> bytes:
        self._pieces.put(b"")
        self._thread.join()
        return self._whole.digest()
