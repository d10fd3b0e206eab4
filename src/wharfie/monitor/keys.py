"""Finding the detach keys in what a client types, wherever the pieces it arrives in are cut."""

from __future__ import annotations


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
