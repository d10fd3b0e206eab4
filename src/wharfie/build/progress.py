"""What a build tells while it goes on, and how the classic protocol says it.

Stages are built beside each other, but each one's text comes whole and in the order of the file: what a later
stage says is held back until those before it have said everything, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wharfie.build.errors import CommandFailed
from wharfie.support.ids import short_id

Send = Callable[[dict[str, Any]], None]
_HELD = 2 << 20
"""Characters of one stage that wait for their turn."""
_CLIPPED = {"stream": "\n[output clipped, log limit 2MiB reached]\n"}


class Reporter:
    """Sends messages of one build; ``events``: for our own command line, as they happen."""

    def __init__(self, send: Send, *, events: bool, quiet: bool = False) -> None:
        self._send = send
        self._events = events
        self._quiet = quiet
        self._held: dict[int, list[dict[str, Any]]] = {}
        self._room: dict[int, int] = {}
        self._order: list[int] = []
        self._ended: set[int] = set()

    def begin(self, stages: list[int]) -> None:
        """These stages will be built."""
        self._order = list(stages)

    def also(self, stage: int) -> None:
        """This one, too, and somebody waits for it: it speaks first."""
        self._order.insert(0, stage)

    def say(self, text: str) -> None:
        """A line that belongs to no stage."""
        if not self._events and not self._quiet:
            self._send({"stream": text})

    def note(self, text: str) -> None:
        """A line for a person, whoever shows it."""
        self.say(text)
        self.event(warning=text)

    def aux(self, identifier: str) -> None:
        """The image's id."""
        self._send({"aux": {"ID": identifier}})

    def identifier(self, identifier: str) -> None:
        """All that a quiet build says."""
        if not self._events:
            self._send({"stream": f"{identifier}\n"})

    def event(self, **what: Any) -> None:
        """For our own command line only."""
        if self._events:
            self._send({"wharfie": what})

    def text(self, stage: int, text: str) -> None:
        """Text of a stage, in its turn."""
        if self._quiet or self._events:
            return
        message = {"stream": text}
        if self._order and self._order[0] == stage:
            self._send(message)
            return
        before = self._room.get(stage, _HELD)
        self._room[stage] = before - len(text)
        if before > 0:
            held = self._held.setdefault(stage, [])
            held.append(message if before > len(text) else _CLIPPED)

    def end(self, stage: int) -> None:
        """A stage has said everything."""
        self._ended.add(stage)
        while self._order and self._order[0] in self._ended:
            self._order.pop(0)
            if self._order:
                for message in self._held.pop(self._order[0], []):
                    self._send(message)

    def flush(self, stage: int) -> None:
        """The build ends with this stage: its text comes whatever is before it."""
        for message in self._held.pop(stage, []):
            self._send(message)


class StepReport:
    """One instruction's part."""

    def __init__(self, reporter: Reporter, stage: int, name: str, number: int, total: int, text: str,
                 lines: tuple[int, int]) -> None:  # fmt: skip
        self._reporter = reporter
        self.stage = stage
        self.id = f"{stage}.{number}"
        reporter.text(stage, f"Step {number}/{total} : {text}\n")
        reporter.event(step=self.id, stage=name, number=number, total=total, text=text, lines=list(lines))

    def cached(self) -> None:
        """It was done before."""
        self._reporter.text(self.stage, " ---> Using cache\n")
        self._reporter.event(step=self.id, cached=True)

    def running(self, identifier: str) -> None:
        """Its container."""
        self._reporter.text(self.stage, f" ---> Running in {short_id(identifier)}\n")

    def output(self, data: bytes) -> None:
        """What its process writes."""
        text = data.decode("utf-8", "replace")
        self._reporter.text(self.stage, text)
        self._reporter.event(step=self.id, output=text)

    def done(self, identifier: str) -> None:
        """The id of the image so far."""
        self._reporter.text(self.stage, f" ---> {short_id(identifier)}\n")
        self._reporter.event(step=self.id, done=True)

    def failed(self, error: Exception) -> None:
        """It went wrong."""
        self._reporter.flush(self.stage)
        process = {"process": error.process} if isinstance(error, CommandFailed) else {}
        self._reporter.event(step=self.id, failed=str(error), **process)
