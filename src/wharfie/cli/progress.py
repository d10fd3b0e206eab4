"""Progress of a pull: one line per layer, redrawn on a terminal; plain lines elsewhere."""

from __future__ import annotations

import os

from wharfie.cli.context import write
from wharfie.support.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BAR = 40
# elsewhere than on a terminal these would be thousands of lines
_STEPS = ("Downloading", "Extracting", "Waiting", "Verifying Checksum")


class Progress:
    """Shows Docker's progress messages on a descriptor."""

    __slots__ = ("_fd", "_lines", "_order", "_quiet", "_terminal", "_width")

    def __init__(self, fd: int, *, quiet: bool) -> None:
        self._fd = fd
        self._quiet = quiet
        self._terminal = os.isatty(fd)
        self._order: list[str] = []
        self._lines: dict[str, str] = {}
        self._width = os.get_terminal_size(fd).columns if self._terminal else 0

    def show(self, message: dict[str, Any]) -> None:
        """Take one message."""
        if self._quiet:
            return
        if "stream" in message:
            self._put(message["stream"].rstrip("\n") + "\n")
            return
        status, identifier = message.get("status", ""), message.get("id", "")
        if not status:
            return
        if not identifier:
            self._put(f"{status}\n")
            self._order.clear()
        elif self._terminal:
            self._redraw(identifier, f"{identifier}: {status}{bar(message.get('progressDetail') or {})}")
        elif status not in _STEPS and self._lines.get(identifier) != status:
            self._lines[identifier] = status
            self._put(f"{identifier}: {status}\n")

    def _redraw(self, identifier: str, line: str) -> None:
        line = line[: self._width - 1] if self._width > 1 else line
        if identifier not in self._order:
            self._order.append(identifier)
            self._put(f"{line}\n")
            return
        # ECMA-48: up so many lines, erase the line, and back down
        up = len(self._order) - self._order.index(identifier)
        self._put(f"\x1b[{up}A\x1b[2K\r{line}\x1b[{up}B\r")

    def _put(self, text: str) -> None:
        write(self._fd, text.encode("utf-8", "replace"))

    def close(self) -> None:
        """The stream ended."""
        self._order.clear()


def bar(detail: dict[str, Any]) -> str:
    """`` [====>    ]  1.2MB/3.4MB`` of a message's details; empty without any."""
    current, total = detail.get("current"), detail.get("total")
    if not isinstance(current, int) or current <= 0:
        return ""
    if not isinstance(total, int) or total <= 0:
        return f"  {format_size(current)}"
    filled = min(_BAR, current * _BAR // total)
    shape = "=" * filled + (">" if filled < _BAR else "")
    return f"  [{shape.ljust(_BAR)}]  {format_size(current)}/{format_size(total)}"
