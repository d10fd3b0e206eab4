"""A build as it is watched: line by line, as raw messages, quietly, or as a live picture of its graph."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from wharfie.cli.context import warn
from wharfie.support import json

_RULER = "-" * 20
_AROUND = 4


class Failure(Exception):
    """The build went wrong."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Show:
    """What all ways of watching have: the messages are taken in here."""

    def __init__(self) -> None:
        self.found = False
        """A check found something."""
        self.identifier = ""
        self.source: list[str] = []
        self.name = "Dockerfile"
        self.lines = (0, 0)

    def follow(self, messages: Iterable[dict[str, Any]]) -> str:
        """Watch to the end; the image's id. Raises Failure."""
        for message in messages:
            self.raw(message)
            own = message.get("wharfie")
            if own is not None:
                self._own(own)
            elif "error" in message:
                detail = message.get("errorDetail") or {}
                self.close()
                raise Failure(self._complaint(message["error"]), int(detail.get("code") or 1))
            elif "aux" in message:
                self.identifier = message["aux"].get("ID", self.identifier)
        return self.identifier

    def _own(self, own: dict[str, Any]) -> None:
        if "source" in own:
            self.source, self.name = own["source"], own.get("name", self.name)
        if own.get("line"):
            self.lines = (own["line"], own.get("end") or own["line"])
        if "step" in own:
            self.step(own["step"], own)
        elif "finding" in own:
            self.finding(own["finding"])
        elif "checked" in own:
            self.found = bool(own.get("failed"))
            self.note(own["checked"].rstrip())
        elif "warning" in own:
            self.note(own["warning"].rstrip())

    def _complaint(self, message: str) -> str:
        text = f"ERROR: failed to build: {message}"
        if self.lines[0] and self.source:
            text = f"{excerpt(self.name, self.source, *self.lines)}\n{text}"
        return text

    def finding(self, item: dict[str, Any]) -> None:
        """A build check's."""
        warn(
            f"\nWARNING: {item['rule']} - {item['url']}\n{item['message']}\n"
            + excerpt(self.name, self.source, item["first"], item["last"])
        )

    def raw(self, message: dict[str, Any]) -> None:
        """Every message as it came."""

    def step(self, name: str, what: dict[str, Any]) -> None:
        """Something happened to a step."""

    def note(self, text: str) -> None:
        """A line for a person."""
        warn(text)

    def close(self) -> None:
        """The end."""


class Quiet(Show):
    """Nothing but errors."""

    def note(self, text: str) -> None:
        """Not even this."""

    def finding(self, item: dict[str, Any]) -> None:
        """Nor this."""


class Raw(Show):
    """One JSON message a line."""

    def raw(self, message: dict[str, Any]) -> None:
        """As it came."""
        warn(json.dumps(message))

    def note(self, text: str) -> None:
        """It was written already."""

    def finding(self, item: dict[str, Any]) -> None:
        """It was written already."""


class Plain(Show):
    """Line by line, each with the number of its step."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, int] = {}
        self._begun: dict[str, float] = {}
        self._partial: dict[str, str] = {}

    def step(self, name: str, what: dict[str, Any]) -> None:
        """One line, or several."""
        if name not in self._numbers:
            self._numbers[name] = len(self._numbers) + 1
        number = self._numbers[name]
        if "text" in what:
            self._begun[name] = time.monotonic()
            warn(f"\n#{number} [{what['stage']} {what['number']}/{what['total']}] {what['text']}")
        elif "output" in what:
            text = self._partial.pop(name, "") + what["output"]
            *whole, rest = text.split("\n")
            for line in whole:
                self._output(name, line)
            if rest:
                self._partial[name] = rest
        elif what.get("cached"):
            warn(f"#{number} CACHED")
            self._begun.pop(name, None)
        elif "failed" in what:
            self._flush(name)
            warn(f"#{number} ERROR: {what['failed']}")
        elif what.get("done") and name in self._begun:
            self._flush(name)
            warn(f"#{number} DONE {time.monotonic() - self._begun[name]:.1f}s")

    def _output(self, name: str, line: str) -> None:
        passed = time.monotonic() - self._begun.get(name, time.monotonic())
        warn(f"#{self._numbers[name]} {passed:.3f} {line.rstrip(chr(13))}")

    def _flush(self, name: str) -> None:
        rest = self._partial.pop(name, "")
        if rest:
            self._output(name, rest)


def shown(mode: str) -> Show:
    """The way of watching that a mode means here."""
    if mode in ("quiet", "none"):
        return Quiet()
    if mode == "rawjson":
        return Raw()
    if mode == "tty" or (mode == "auto" and os.isatty(2) and os.environ.get("TERM", "dumb") != "dumb"):
        from wharfie.cli.buildlive import Live  # rich, for a terminal alone

        return Live()
    return Plain()


def excerpt(name: str, source: list[str], first: int, last: int) -> str:
    """The lines of a Dockerfile that something is about, with those around them."""
    if not first or not source:
        return ""
    low, high = max(1, first - _AROUND), min(len(source), last + _AROUND)
    lines = [f"{name}:{first}", _RULER]
    for number in range(low, high + 1):
        mark = ">>>" if first <= number <= last else "   "
        lines.append(f"{number:4} | {mark} {source[number - 1]}")
    return "\n".join([*lines, _RULER])
