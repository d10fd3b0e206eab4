"""How much has gone by, on a terminal, of what takes longer than a second: one line, gone at the end."""

from __future__ import annotations

import os
from time import monotonic

from wharfie.support.units import format_size

_PATIENCE = 1.0
_PAUSE = 0.2


class Tally:
    """``saving: 1.2GB``; use it as a context manager and tell it of each part."""

    def __init__(self, what: str, *, fd: int = 2, quiet: bool = False) -> None:
        self._what = what
        self._fd = fd
        self._due = monotonic() + _PATIENCE if not quiet and os.isatty(fd) else float("inf")
        self._shown = False
        self.size = 0

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            os.write(self._fd, b"\r\x1b[K")

    def add(self, size: int) -> None:
        """So much more."""
        self.size += size
        now = monotonic()
        if now < self._due:
            return
        self._due, self._shown = now + _PAUSE, True
        os.write(self._fd, f"\r{self._what}: {format_size(self.size)}\x1b[K".encode())
