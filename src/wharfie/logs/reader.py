"""Reading a container's ``json-file`` log for a client: a part of it, or all, or on and on.

``tail`` is found from the end by blocks, ``since`` by bisection, ``until`` ends the reading at the first
entry behind it; nothing scans what it does not send. ``follow`` goes on through rotations until the container
has stopped and everything was sent.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Any

from wharfie.logs.decode import Renderer, runs, time_of
from wharfie.logs.parts import Part, begin_at_tail, newer_parts, open_parts
from wharfie.logs.turns import block_size, in_turn
from wharfie.logs.watch import DirectoryWatcher
from wharfie.wire import stdcopy


class LogQuery:
    """What of a log is wanted. ``tail`` None: all; times in nanoseconds since 1970, 0: no bound."""

    def __init__(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        since_ns: int = 0,
        until_ns: int = 0,
        tail: int | None = None,
        timestamps: bool = False,
        details: bool = False,
        blocks: bool = False,
        follow: bool = False,
    ) -> None:
        """``blocks``: lines of one stream may share a frame."""
        self.streams = {
            stream for stream, wanted in ((stdcopy.STDOUT, stdout), (stdcopy.STDERR, stderr)) if wanted
        }
        self.since_ns = since_ns
        self.until_ns = until_ns
        self.tail = tail
        self.timestamps = timestamps
        self.details = details
        self.blocks = blocks
        self.follow = follow


class _PastUntil(Exception):
    """An entry later than wanted: so are all that follow."""


async def read_logs(
    path: str,
    query: LogQuery,
    *,
    multiplex: bool,
    watcher: DirectoryWatcher | None = None,
    stopped: asyncio.Future[Any] | None = None,
) -> AsyncIterator[bytes]:
    """Pieces of the wanted output, ready for the client.

    ``multiplex`` frames them, one line a frame but for ``query.blocks``: for a container without a terminal.
    To follow, a ``watcher`` is needed, and ``stopped``, which resolves when the container writes no more.
    """
    reading = _Reading(path, query, multiplex=multiplex)
    bell = key = None
    if query.follow and watcher is not None and (stopped is None or not stopped.done()):
        # before the first look, so that nothing falls between
        bell, key = watcher.add(os.path.dirname(path))
    try:
        async with aclosing(in_turn(reading.so_far())) as pieces:
            async for piece in pieces:
                if piece:
                    yield piece
        if bell is None:
            return
        ring = bell.ring
        if stopped is not None:
            stopped.add_done_callback(lambda _stopped: ring())
        if query.until_ns:
            delay = max(0.0, query.until_ns / 1e9 - time.time())
            asyncio.get_running_loop().call_later(delay, ring)
        while True:
            bell.silence()
            last = stopped is not None and stopped.done()
            last = last or 0 < query.until_ns <= time.time_ns()
            async with aclosing(in_turn(reading.further())) as pieces:
                async for piece in pieces:
                    yield piece
            if last:
                return
            await bell.wait()
    except _PastUntil:
        return
    finally:
        reading.close()
        if watcher is not None and bell is not None and key is not None:
            watcher.remove(bell, key)


class _Reading:
    """How far one client has got."""

    def __init__(self, path: str, query: LogQuery, *, multiplex: bool) -> None:
        self._path = path
        self._query = query
        self._renderer = Renderer(
            multiplex=multiplex, timestamps=query.timestamps, details=query.details, blocks=query.blocks
        )
        self._part: Part | None = None
        self._offset = 0

    def so_far(self) -> Iterator[bytes]:
        """What is there already; empty pieces while its beginning is searched for."""
        parts = open_parts(self._path)
        index = offset = 0
        query = self._query
        try:
            if query.tail is not None:
                index, offset = yield from begin_at_tail(parts, query.tail)
            if query.since_ns:
                index, offset = yield from _begin_at_time(parts, query.since_ns, (index, offset))
            while parts:
                part = parts.pop(0)
                if index > 0:
                    part.close()
                    index -= 1
                    continue
                self._enter(part, offset)
                offset = 0
                yield from self._rest()
        finally:
            for part in parts:
                part.close()

    def further(self) -> Iterator[bytes]:
        """What has come since, in this file and in newer ones."""
        if self._part is None:
            yield from self.so_far()
            return
        # asked before the file is read to its end: what a rotation leaves behind is whole
        parts = newer_parts(self._path, self._part)
        if self._part.size() < self._offset:
            self._offset = 0
        try:
            yield from self._rest()
            while parts:
                self._enter(parts.pop(0), 0)
                yield from self._rest()
        finally:
            for part in parts:
                part.close()

    def _enter(self, part: Part, offset: int) -> None:
        self.close()
        self._part = part
        self._offset = offset

    def _rest(self) -> Iterator[bytes]:
        assert self._part is not None
        for block, offset in self._part.blocks(self._offset, block_size()):
            self._offset = offset
            yield from self._wanted(block)

    def _wanted(self, block: bytes) -> Iterator[bytes]:
        query = self._query
        pieces: list[bytes] = []
        past = False
        for run in runs(block):
            if query.since_ns or query.until_ns:
                try:
                    when = time_of(run.stamp)
                except ValueError:
                    continue
                if query.until_ns and when > query.until_ns:
                    past = True
                    break
                if when < query.since_ns:
                    continue
            if run.stream in query.streams:
                pieces.append(self._renderer.render(run))
        if pieces:
            yield b"".join(pieces)
        if past:
            raise _PastUntil

    def close(self) -> None:
        """Close the file."""
        if self._part is not None:
            self._part.close()
            self._part = None


def _begin_at_time(
    parts: list[Part], since_ns: int, tail: tuple[int, int]
) -> Generator[bytes, None, tuple[int, int]]:
    """The later of ``tail`` and where entries of that time begin."""
    for index in range(len(parts) - 1, tail[0] - 1, -1):
        offset = yield from parts[index].offset_of_time(since_ns)
        if offset or index == tail[0]:
            return max(tail, (index, offset))
        # nothing older than that here: the file before may reach into the time as well
    return tail
