"""The live picture of a build on a terminal: each step with its time, and the last words of those at work."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live as Screen
from rich.text import Text

from wharfie.cli.buildshow import Show

_TAIL = 4
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class _Step:
    """One line of the picture."""

    def __init__(self, what: dict[str, Any]) -> None:
        self.title = f"[{what['stage']} {what['number']}/{what['total']}] {what['text']}"
        self.begun = time.monotonic()
        self.ended = 0.0
        self.cached = False
        self.failed = False
        self.output: list[str] = [""]

    def add(self, text: str) -> None:
        """Its process wrote something."""
        for part in text.replace("\r\n", "\n").splitlines(keepends=True):
            self.output[-1] = self.output[-1].rpartition("\r")[2] + part.rstrip("\n")
            if part.endswith("\n"):
                self.output.append("")
        del self.output[:-200]


class Live(Show):
    """Drawn anew ten times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: dict[str, _Step] = {}
        self._begun = time.monotonic()
        self._console = Console(stderr=True, highlight=False)
        self._screen = Screen(
            console=self._console, get_renderable=self._picture, refresh_per_second=10, transient=False
        )
        self._screen.start()
        self._closed = False

    def step(self, name: str, what: dict[str, Any]) -> None:
        """Something happened to a step."""
        if "text" in what:
            self._steps[name] = _Step(what)
            return
        step = self._steps[name]
        if "output" in what:
            step.add(what["output"])
            return
        step.cached = step.cached or bool(what.get("cached"))
        step.failed = step.failed or "failed" in what
        step.ended = step.ended or time.monotonic()

    def note(self, text: str) -> None:
        """Above the picture."""
        self._console.print(Text(text))

    def finding(self, item: dict[str, Any]) -> None:
        """Above the picture."""
        self._console.print(
            Text(f"WARNING: {item['rule']}: {item['message']} (line {item['first']})", "yellow")
        )

    def close(self) -> None:
        """Leave the last state on the screen; what a failed step said stays whole."""
        if self._closed:
            return
        self._closed = True
        self._screen.stop()
        for step in self._steps.values():
            if step.failed:
                self._console.print(Text(f"------\n > {step.title}:"))
                for line in step.output[-20:]:
                    self._console.print(Text(line))
                self._console.print(Text("------"))

    def _picture(self) -> Group:
        now = time.monotonic()
        done = sum(1 for step in self._steps.values() if step.ended and not step.failed)
        state = "FINISHED" if self._closed else "building"
        rows = [Text(f"[+] {state} {now - self._begun:.1f}s ({done}/{len(self._steps)})", "bold")]
        width, room = self._console.width, max(4, self._console.height - 2)
        lines: list[Text] = []
        for step in self._steps.values():
            lines += self._lines(step, now, width)
        return Group(*rows, *lines[-room:])

    def _lines(self, step: _Step, now: float, width: int) -> list[Text]:
        passed = (step.ended or now) - step.begun
        if step.failed:
            mark, style = " ✗ ", "red"
        elif step.cached:
            mark, style = " ✓ CACHED ", "blue"
        elif step.ended:
            mark, style = " ✓ ", "blue"
        else:
            mark, style = f" {_SPINNER[int(now * 10) % len(_SPINNER)]} ", ""
        seconds = "" if step.cached else f"{passed:.1f}s"
        title = (mark + step.title)[: width - len(seconds) - 1]
        found = [Text(title.ljust(width - len(seconds) - 1) + seconds, style)]
        if not step.ended:
            tail = [line for line in step.output if line][-_TAIL:]
            found += [Text(f"   │ {line}"[: width - 1], "dim") for line in tail]
        return found
