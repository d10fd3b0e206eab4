"""The user's terminal: raw mode, its size, and the keys that detach. See termios(3), ioctl_tty(2)."""

from __future__ import annotations

import fcntl
import posix
import struct
import termios

DEFAULT_KEYS = b"\x10\x11"
"""ctrl-p ctrl-q"""
_CONTROLS = "abcdefghijklmnopqrstuvwxyz@[\\]^_"


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


def parse_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or ``a,b`` as bytes; raises ValueError."""
    keys = bytearray()
    for name in text.split(","):
        if len(name) == 1:
            keys += name.encode()
            continue
        letter = name[5:].lower()
        if not name.startswith("ctrl-") or len(letter) != 1 or letter not in _CONTROLS:
            raise ValueError(f"Unknown character: '{name}'")
        keys.append(ord(letter.upper()) & 0x1F)
    return bytes(keys)


class DetachKeys:
    """Finds the keys in what is typed; a beginning of them is held back until it is known to be none."""

    __slots__ = ("_held", "_keys")

    def __init__(self, text: str) -> None:
        """Keys that cannot be read are Docker's default ones."""
        try:
            self._keys = parse_keys(text) if text else DEFAULT_KEYS
        except ValueError:
            self._keys = DEFAULT_KEYS
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the keys were typed."""
        text = self._held + data
        found = text.find(self._keys)
        if found >= 0:
            self._held = b""
            return text[:found], True
        for length in range(min(len(self._keys) - 1, len(text)), 0, -1):
            if text.endswith(self._keys[:length]):
                self._held = text[-length:]
                return text[:-length], False
        self._held = b""
        return text, False
