"""A digest computed in a thread beside the one that has the bytes: hashlib lets go of the interpreter."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import Self

_QUEUED = 8
"""Turns that wait to be digested."""


class ParallelDigest:
    """SHA-256 of what :meth:`update` is given; the value is there when the block has been left."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[list[bytes]] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put([])
        self._thread.join()

    def update(self, pieces: list[bytes]) -> None:
        """The next bytes; waits while too many wait."""
        if pieces:
            self._queue.put(pieces)

    def _run(self) -> None:
        while pieces := self._queue.get():
            for piece in pieces:
                self._hash.update(piece)

    def value(self) -> str:
        """``sha256:`` and the digits."""
        return "sha256:" + self._hash.hexdigest()
