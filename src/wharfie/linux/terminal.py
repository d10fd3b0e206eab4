"""Pseudo-terminals through descriptors alone (pts(4), ioctl_tty(2)): no name is ever resolved."""

from __future__ import annotations

import fcntl
import posix as os
import struct

# termios has the last two, and costs half a millisecond of a start
_TIOCSPTLCK, _TIOCGPTPEER, _TIOCGPTN = 0x40045431, 0x5441, 0x80045430
_TIOCSCTTY, _TIOCSWINSZ = 0x540E, 0x5414


def unlock(master: int) -> None:
    """Allow the other end of a fresh pair to be opened."""
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("=i", 0))


def open_peer(master: int) -> int:
    """The terminal end of the pair, straight from its master (TIOCGPTPEER)."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def number(master: int) -> int:
    """N of the pair's /dev/pts/N."""
    packed = fcntl.ioctl(master, _TIOCGPTN, bytes(4))
    return int(struct.unpack("=I", packed)[0])


def set_size(fd: int, height: int, width: int) -> None:
    """Set rows and columns; the foreground process group gets SIGWINCH."""
    fcntl.ioctl(fd, _TIOCSWINSZ, struct.pack("=4H", height & 0xFFFF, width & 0xFFFF, 0, 0))


def make_controlling(fd: int) -> None:
    """The terminal becomes that of this session, whose leader must be the caller."""
    fcntl.ioctl(fd, _TIOCSCTTY, 0)
