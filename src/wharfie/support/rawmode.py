"""A user's terminal that hands on every key: cfmakeraw(3), and back. See termios(3).

A module of its own because ``termios`` costs half a millisecond: only who has a terminal pays for it.
"""

from __future__ import annotations

import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def enter(fd: int) -> list[Any]:
    """Put a terminal into raw mode; the mode it had, for :func:`leave`."""
    saved = termios.tcgetattr(fd)
    mode = [*saved[:6], list(saved[6])]
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
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    return saved


def leave(fd: int, saved: list[Any], *, drain: bool = False) -> None:
    """Back to ``saved``, with ``drain`` after all output is out; a terminal that hung up stays as it is."""
    try:
        termios.tcsetattr(fd, termios.TCSADRAIN if drain else termios.TCSANOW, saved)
    except termios.error:
        return
