"""What a build tells while it goes on, as BuildKit's clients show it: vertexes, their statuses and output.

Every change is one message to whoever watches. Who comes late gets all that was said so far, long output cut;
for who is slow a limited amount of output waits.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from wharfie.buildkit.messages import common, control

_UNTAKEN = 16 << 20
"""Bytes of output that wait for one who watches."""
_REPLAYED = 2 << 20
"""Bytes of output that are kept for those who come late."""


def stamp(nanoseconds: int) -> Any:
    """A time as a message."""
    return common.Timestamp(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


class Board:
    """All vertexes of one build."""

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._said: list[Any] = []
        self._kept = 0
        self._watchers: set[_Watcher] = set()
        self._over = False
        self._count = 0

    def vertex(self, name: str, inputs: Sequence[Vertex] = ()) -> Vertex:
        """A new one; it has not begun."""
        self._count += 1
        text = f"{self._ref}\n{self._count}\n{name}".encode()
        return Vertex(self, f"sha256:{hashlib.sha256(text).hexdigest()}", name, inputs)

    def say(self, message: Any) -> None:
        """To all that watch."""
        size = sum(len(log.message) for log in message.logs)
        if not size or self._kept + size <= _REPLAYED:
            self._kept += size
            self._said.append(message)
        for watcher in self._watchers:
            watcher.take(message, size)

    def close(self) -> None:
        """The build is over."""
        self._over = True
        for watcher in self._watchers:
            watcher.queue.put_nowait((None, 0))

    async def watch(self) -> AsyncIterator[Any]:
        """Everything, to the end of the build."""
        watcher = _Watcher()
        for message in self._said:
            watcher.take(message, 0)
        if self._over:
            watcher.queue.put_nowait((None, 0))
        self._watchers.add(watcher)
        try:
            while (message := await watcher.next()) is not None:
                yield message
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[Any, int]] = asyncio.Queue()
        self._waiting = 0
        self._clipping = False

    def take(self, message: Any, size: int) -> None:
        """``size``: bytes of output in it."""
        if size and self._waiting + size > _UNTAKEN:
            if not self._clipping:
                self._clipping = True
                self.queue.put_nowait((_clipped(message), 0))
            return
        self._clipping = self._clipping and not size
        self._waiting += size
        self.queue.put_nowait((message, size))

    async def next(self) -> Any:
        message, size = await self.queue.get()
        self._waiting -= size
        return message


def _clipped(message: Any) -> Any:
    log = message.logs[0]
    text = b"\n[output clipped: it came faster than it was taken]\n"
    last = control.VertexLog(vertex=log.vertex, timestamp=log.timestamp, stream=log.stream, message=text)
    return control.StatusResponse(logs=[last])


class Vertex:
    """One step of a build."""

    def __init__(self, board: Board, digest: str, name: str, inputs: Sequence[Vertex]) -> None:
        self._board = board
        self.digest = digest
        self.name = name
        self._inputs = [one.digest for one in inputs]
        self._cached = False
        self._started = 0
        self._completed = 0
        self._error = ""
        self._statuses: dict[str, int] = {}

    def message(self) -> Any:
        """As it is now."""
        found = control.Vertex(
            digest=self.digest, inputs=self._inputs, name=self.name, cached=self._cached, error=self._error
        )
        if self._started:
            found.started.CopyFrom(stamp(self._started))
        if self._completed:
            found.completed.CopyFrom(stamp(self._completed))
        return found

    def _tell(self) -> None:
        self._board.say(control.StatusResponse(vertexes=[self.message()]))

    def announce(self) -> Vertex:
        """It is there, and has not begun."""
        self._tell()
        return self

    @property
    def begun(self) -> bool:
        """Whether it was started."""
        return bool(self._started)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return bool(self._completed)

    def start(self) -> Vertex:
        """It begins."""
        self._started = self._started or time.time_ns()
        self._tell()
        return self

    def cached(self) -> None:
        """It was done before."""
        self._cached = True

    def end(self, error: str = "") -> None:
        """It is over."""
        if not self._completed:
            self._started = self._started or time.time_ns()
            self._completed = time.time_ns()
            self._error = error
            self._tell()

    def status(
        self, identifier: str, *, name: str = "", current: int = 0, total: int = 0, done: bool = False
    ) -> None:
        """How far a part of it is."""
        now = time.time_ns()
        begun = self._statuses.setdefault(identifier, now)
        found = control.VertexStatus(
            id=identifier, vertex=self.digest, name=name, current=current, total=total,
            timestamp=stamp(now), started=stamp(begun),
        )  # fmt: skip
        if done:
            found.completed.CopyFrom(stamp(now))
        self._board.say(control.StatusResponse(statuses=[found]))

    def log(self, data: bytes, stream: int = 1) -> None:
        """Its output."""
        found = control.VertexLog(
            vertex=self.digest, timestamp=stamp(time.time_ns()), stream=stream, message=data
        )
        self._board.say(control.StatusResponse(logs=[found]))

    def warn(self, short: str, detail: Sequence[str] = (), url: str = "", **place: Any) -> None:
        """A warning of level 1; ``place``: info and ranges."""
        found = control.VertexWarning(
            vertex=self.digest, level=1, short=short.encode(), detail=[one.encode() for one in detail],
            url=url, **place,
        )  # fmt: skip
        self._board.say(control.StatusResponse(warnings=[found]))
