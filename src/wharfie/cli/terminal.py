"""The user's terminal: raw mode and its size. See termios(3), ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import posix
import struct
import termios


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
        self._saved = None
        if not posix.isatty(0):
            return
        self._saved = termios.tcgetattr(0)
        mode = termios.tcgetattr(0)
        mode[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[1] &= ~termios.OPOST
        mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN] = 1
        mode[6][termios.VTIME] = 0
        termios.tcsetattr(0, termios.TCSANOW, mode)

    def restore(self) -> None:
        """Put the terminal back as it was; may be called twice."""
        saved, self._saved = self._saved, None
        if saved is not None:
            try:
                termios.tcsetattr(0, termios.TCSANOW, saved)
            except termios.error:
                # the terminal hung up: there is nothing to put back
                return
