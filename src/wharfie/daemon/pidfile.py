"""One daemon per data root, and its process id where people look for it.

The lock is flock(2) on an open file, so it ends with the process however that ends; nothing stale needs to be
recognised.
"""

from __future__ import annotations

import fcntl
import os

from wharfie.errors import Conflict, Unavailable


class PidFile:
    """A file that holds our process id, locked while we live."""

    def __init__(self, path: str, what: str) -> None:
        """Take it; raises Conflict when another daemon has it, Unavailable when it cannot be written."""
        self.path = path
        try:
            os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise Conflict(
                f"another daemon (process {owner or 'unknown'}) has {what}: stop it, or choose other roots"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Remove it."""
        try:
            os.unlink(self.path)
        finally:
            os.close(self._fd)
