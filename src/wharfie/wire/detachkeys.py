"""Finding the detach keys in what somebody types, wherever the pieces it arrives in are cut.

The command line looks for them, as Docker's does, and so does the monitor for clients that leave it to it.
"""

from __future__ import annotations

DEFAULT = "ctrl-p,ctrl-q"
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse(text: str | None) -> bytes:
    """The bytes of ``ctrl-p,ctrl-q`` or ``a,b``; the default's for None or nothing. Raises ValueError."""
    keys = bytearray()
    for name in (text or DEFAULT).split(","):
        control = name.removeprefix("ctrl-")
        if len(name) == 1 and name.isascii():
            keys += name.encode()
        elif control != name and len(control) == 1 and control in _CONTROLS:
            keys.append(ord(control.upper()) & 0x1F)
        else:
            raise ValueError(f"Invalid detach keys ({text}) provided")
    return bytes(keys)


class DetachKeys:
    """Looks for one sequence of bytes in a stream.

    A beginning of the sequence at the end of a piece is held back until the next piece shows what it is.
    """

    __slots__ = ("_held", "_keys")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is plain input by now, and whether the keys came (what follows them is dropped)."""
        if not self._keys:
            return data, False
        text = self._held + data if self._held else data
        at = text.find(self._keys)
        if at >= 0:
            self._held = b""
            return text[:at], True
        for length in range(min(len(self._keys) - 1, len(text)), 0, -1):
            if text.endswith(self._keys[:length]):
                self._held = text[-length:]
                return text[:-length], False
        self._held = b""
        return text, False

    def end(self) -> bytes:
        """What was held back when the stream ended: plain input."""
        held = self._held
        self._held = b""
        return held
