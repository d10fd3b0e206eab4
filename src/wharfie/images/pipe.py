"""Bytes from the event loop to a thread (and back), with a bound on what waits in between.

Archives arrive and leave on the event loop and are worked on in threads; a queue that is full holds the
sender up, so that a slow disk, or a slow client, holds at most :data:`LIMIT` bytes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

from wharfie.errors import WharfieError
from wharfie.support.tasks import spawn

_T = TypeVar("_T")

LIMIT = 4 << 20

Pieces = bytes | list[bytes]
"""What is written at once."""
Write = Callable[[Pieces], None]


class PipeBroken(WharfieError):
    """The other side went away."""


class Source(Protocol):
    """Something that a thread reads."""

    def read(self) -> bytes:
        """In the thread: the next piece, empty at the end."""

    def abandon(self) -> None:
        """In the thread: nothing more will be read."""

    def close(self, error: BaseException | None = None) -> None:
        """On the loop: whoever reads gets ``error`` raised."""


class _Pipe:
    def __init__(self, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._held = 0
        self._chunks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._wake = asyncio.Event()
        self._ended = False
        self._error: BaseException | None = None

    def _notify_loop(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)


class InwardPipe(_Pipe):
    """Written on the event loop, read in a thread."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._abandoned = False

    async def write(self, chunk: bytes) -> None:
        """Hand ``chunk`` on; waits while too much is waiting. Raises PipeBroken when nobody will read it."""
        while True:
            with self._changed:
                if self._abandoned:
                    raise PipeBroken("the archive is not read any further")
                if self._held < self._limit:
                    self._chunks.append(chunk)
                    self._held += len(chunk)
                    self._changed.notify()
                    return
                self._wake.clear()
            await self._wake.wait()

    def close(self, error: BaseException | None = None) -> None:
        """No more will come; with an ``error`` the reader gets it raised."""
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify()

    async def feed(self, stream: AsyncIterator[bytes]) -> None:
        """Write a whole stream, and close both whatever happens; its failure is raised where it is read."""
        try:
            async for chunk in stream:
                await self.write(chunk)
        except PipeBroken:
            return
        except asyncio.CancelledError:
            self.close(PipeBroken("the stream broke off"))
            raise
        except Exception as error:
            self.close(error)  # the reader tells
            return
        finally:
            # what makes the stream waits for somebody to take it, or to say that nobody will
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        self.close()

    def read(self) -> bytes:
        """In the thread: the next chunk, empty at the end."""
        with self._changed:
            while not self._chunks:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return b""
                self._changed.wait()
            chunk = self._chunks.popleft()
            full = self._held >= self._limit
            self._held -= len(chunk)
            if full and self._held < self._limit:
                self._notify_loop()
            return chunk

    def abandon(self) -> None:
        """In the thread: nothing more will be read."""
        with self._changed:
            self._abandoned = True
            self._chunks.clear()
            self._held = 0
            self._notify_loop()


class OutwardPipe(_Pipe):
    """Written in a thread, read on the event loop."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._abandoned = False

    def write(self, data: Pieces) -> None:
        """In the thread: hand ``data`` on; raises PipeBroken when nobody reads any more."""
        chunk = data if isinstance(data, bytes) else b"".join(data)
        with self._changed:
            while self._held >= self._limit and not self._abandoned:
                self._changed.wait()
            if self._abandoned:
                raise PipeBroken("nobody reads the archive any more")
            self._chunks.append(chunk)
            self._held += len(chunk)
            self._notify_loop()

    def close(self, error: BaseException | None = None) -> None:
        """In the thread: no more will come."""
        with self._changed:
            self._ended = True
            self._error = error
            self._notify_loop()

    def abandon(self) -> None:
        """On the loop: nothing more will be read."""
        with self._changed:
            self._abandoned = True
            self._changed.notify()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                with self._changed:
                    self._wake.clear()
                    chunks, self._chunks = list(self._chunks), deque()
                    ended, error = self._ended, self._error
                    self._held = 0
                    self._changed.notify()
                for chunk in chunks:
                    yield chunk
                if not chunks:
                    if error is not None:
                        raise error
                    if ended:
                        return
                    await self._wake.wait()
        finally:
            self.abandon()


def in_thread(name: str, work: Callable[[], _T]) -> asyncio.Future[_T]:
    """Run ``work`` in a thread of its own.

    The threads of the loop's pool are few: work that waits for a slow client, or for another such work, would
    use them up and stop everything else.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("_T", result))

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            outcome: tuple[_T | None, BaseException | None] = (None, error)
        else:
            outcome = (result, None)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


async def to_its_end(name: str, work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread; who is cancelled meanwhile waits until it uses nothing of theirs any more."""
    return await _ended_with(in_thread(name, work))


async def in_pool(name: str, work: Callable[[], _T]) -> _T:
    """The same with a thread of the loop's pool, for what is short and comes often."""
    return await _ended_with(spawn(name, asyncio.to_thread(work)))


async def _ended_with(worker: asyncio.Future[_T]) -> _T:
    try:
        return await asyncio.shield(worker)
    finally:
        await ended(worker)


async def ended(*work: asyncio.Future[Any]) -> None:
    """Wait for the end of all, whatever it is."""
    await asyncio.wait(work)
    for one in work:
        if not one.cancelled():
            one.exception()  # it is known that it failed: somebody else's failure, or the reason why we wait


class Sink(Protocol):
    """Where a thread can write."""

    def write(self, data: Pieces) -> None:
        """In the thread: hand on; raises PipeBroken when nobody wants it any more."""

    def abandon(self) -> None:
        """On the loop: nothing more is wanted."""


class Produced:
    """What ``work(write)`` writes while it runs in a thread: an iterator, or all at once into a sink.

    Nothing runs before the first piece is asked for; the thread has ended when this is closed.
    """

    def __init__(self, name: str, work: Callable[[Write], None]) -> None:
        self._name = name
        self._work = work
        self._pieces = _pieces(name, work)

    def __aiter__(self) -> Produced:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Give up what is not produced yet."""
        await self._pieces.aclose()

    async def into(self, sink: Sink) -> None:
        """Produce everything, written by the thread itself; instead of iterating."""
        task = in_thread(self._name, lambda: self._work(sink.write))
        try:
            await asyncio.shield(task)
        finally:
            sink.abandon()
            await ended(task)


async def _pieces(name: str, work: Callable[[Write], None]) -> AsyncGenerator[bytes, None]:
    pipe = OutwardPipe()

    def run() -> None:
        try:
            work(pipe.write)
        except PipeBroken:
            pipe.close()
        except BaseException as error:
            pipe.close(error)
        else:
            pipe.close()

    task = in_thread(name, run)
    try:
        async for chunk in pipe:
            yield chunk
    finally:
        pipe.abandon()
        await asyncio.wait([task])


@asynccontextmanager
async def readable(name: str, stream: AsyncIterator[bytes] | Source) -> AsyncIterator[Source]:
    """A stream of the event loop's for a thread to read; what a thread can read already is that itself.

    At the end nothing reads any more: the thread's work must have been waited for.
    """
    if not isinstance(stream, AsyncIterator):
        yield stream
        return
    pipe = InwardPipe()
    feeder = spawn(name, pipe.feed(stream))
    try:
        yield pipe
    finally:
        feeder.cancel()
        await ended(feeder)
