"""Progress of a pull or push: a bar per layer on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os

from wharfie.cli.context import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.cli.bars import Bars

# elsewhere than on a terminal these would be thousands of lines
_STEPS = ("Downloading", "Extracting", "Pushing", "Verifying Checksum")


class Progress:
    """Shows Docker's progress messages on a descriptor."""

    __slots__ = ("_bars", "_fd", "_last", "_quiet", "_terminal")

    def __init__(self, fd: int, *, quiet: bool) -> None:
        self._fd = fd
        self._quiet = quiet
        self._terminal = os.isatty(fd)
        self._last: dict[str, str] = {}
        self._bars: Bars | None = None

    def show(self, message: dict[str, Any]) -> None:
        """Take one message."""
        if self._quiet:
            return
        if "stream" in message:
            self._line(message["stream"].rstrip("\n"))
            return
        status, identifier = message.get("status", ""), message.get("id", "")
        if not status:
            return
        if not identifier and message.get("progressDetail"):
            if self._terminal:
                self._bar(status, "", message)
        elif not identifier:
            self.close()  # what follows is a summary, or the next image
            self._line(status)
        elif self._terminal and "progressDetail" in message:
            self._bar(identifier, status, message)
        elif status not in _STEPS and self._last.get(identifier) != status:
            self._last[identifier] = status
            self._line(f"{identifier}: {status}")

    def _bar(self, identifier: str, status: str, message: dict[str, Any]) -> None:
        if self._bars is None:
            from wharfie.cli.bars import Bars

            self._bars = Bars(self._fd)
        detail = message.get("progressDetail") or {}
        if not detail and message.get("progress"):
            status = f"{status}: {message['progress']}"
        self._bars.show(identifier, status, detail.get("current"), detail.get("total"))

    def _line(self, text: str) -> None:
        write(self._fd, f"{text}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """The stream ended: what the bars show stays."""
        if self._bars is not None:
            self._bars.close()
            self._bars = None
