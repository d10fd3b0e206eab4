"""The user's terminal: raw mode and its size. See termios(3), ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import posix
import struct
import termios

from wharfie.support import rawmode


def size(fd: int = 1) -> tuple[int, int]:
    """Rows and columns; 0, 0 when this is no terminal."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        return (0, 0) if fd == 0 else size(0)
    return rows, columns


class Raw:
    """Raw mode of standard input, until :meth:`restore`."""

    __slots__ = ("_saved",)

    def __init__(self) -> None:
        """Does nothing when standard input is no terminal."""
        self._saved = rawmode.enter(0) if posix.isatty(0) else None

    def restore(self) -> None:
        """Put the terminal back as it was; may be called twice."""
        saved, self._saved = self._saved, None
        if saved is not None:
            rawmode.leave(0, saved)
