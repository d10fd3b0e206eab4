"""A digest computed in a thread beside the one that has the bytes: hashlib lets go of the interpreter."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import Self

_QUEUED = 8
"""Pieces that wait to be digested."""


class ParallelDigest:
    """SHA-256 of what :meth:`update` is given; the value is there when the block has been left."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[bytes] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(b"")
        self._thread.join()

    def update(self, data: bytes) -> None:
        """The next bytes; waits while too many wait."""
        if data:
            self._queue.put(data)

    def _run(self) -> None:
        while data := self._queue.get():
            self._hash.update(data)

    def value(self) -> str:
        """``sha256:`` and the digits."""
        return "sha256:" + self._hash.hexdigest()
