"""The two ways a client waits: by blocking its thread, or in an event loop.

Everything above is written once, as ``async def``. For :class:`wharfie.Client` the methods below block and
never suspend, so that :func:`settle` takes such a coroutine through in one step; for
:class:`wharfie.AsyncClient` they wait in asyncio.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from wharfie.client.address import Address
from wharfie.client.errors import BrokenAnswer, EngineTimeout
from wharfie.support.tasks import spawn

R = TypeVar("R")
READ_SIZE = 1 << 18
_GONE = "the engine hung up before it took the request"


class Channel(Protocol):
    """One connection, as bytes."""

    limit: float | None
    """Seconds that a :meth:`receive` may take."""

    async def send(self, data: bytes) -> None:
        """All of it; raises BrokenAnswer."""

    async def receive(self) -> bytes:
        """What comes next, empty at the end; raises EngineTimeout."""

    async def end_input(self) -> None:
        """The other side sees the end; it may still send."""

    def is_quiet(self) -> bool:
        """Whether nothing has come, not even the end."""

    def close(self) -> None:
        """End it."""


class Blocking:
    """Blocks the calling thread."""

    async def connect(self, address: Address) -> Channel:
        """A new connection; raises DaemonUnreachable."""
        return _Socket(address)

    async def apart(self, function: Callable[[], R]) -> R:
        """Do what blocks."""
        return function()

    async def beside(self, work: Coroutine[Any, Any, None], main: Coroutine[Any, Any, R]) -> R:
        """Do both at the same time; what ``work`` raises is not told, its end is waited for."""
        thread = threading.Thread(target=_quietly, args=(work,), daemon=True)
        thread.start()
        try:
            return await main
        finally:
            thread.join()


class Awaiting:
    """Waits in the event loop that runs."""

    async def connect(self, address: Address) -> Channel:
        """A new connection; raises DaemonUnreachable."""
        raw = await asyncio.to_thread(address.connect)
        sock = socket.socket(fileno=raw.detach())
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=READ_SIZE)
        return _Streams(reader, writer)

    async def apart(self, function: Callable[[], R]) -> R:
        """Do what blocks in a thread."""
        return await asyncio.to_thread(function)

    async def beside(self, work: Coroutine[Any, Any, None], main: Coroutine[Any, Any, R]) -> R:
        """Do both at the same time; what ``work`` raises is not told, its end is waited for."""
        task = spawn("input", work)
        try:
            return await main
        finally:
            task.cancel()
            await asyncio.wait([task])


Transport = Blocking | Awaiting


def settle(coroutine: Coroutine[Any, Any, R]) -> R:
    """Take a coroutine that never suspends to its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    raise RuntimeError("something asynchronous was given to the client that blocks")


def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        settle(work)
    except BrokenAnswer:
        return  # the other side wants no more input: the main part hears what it has to say


class _Socket:
    def __init__(self, address: Address) -> None:
        self._sock = address.connect()
        self.limit: float | None = None

    async def send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise BrokenAnswer(_GONE) from error

    async def receive(self) -> bytes:
        self._sock.settimeout(self.limit)
        try:
            return self._sock.recv(READ_SIZE)
        except TimeoutError:
            raise EngineTimeout(f"the engine did not answer within {self.limit:g} seconds") from None
        except OSError:
            return b""
        finally:
            if self.limit is not None:
                self._sock.settimeout(None)

    async def end_input(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side has hung up: there is no input any more

    def is_quiet(self) -> bool:
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        return not waiting.poll(0)

    def close(self) -> None:
        self._sock.close()


class _Streams:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.limit: float | None = None

    async def send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise BrokenAnswer(_GONE) from error

    async def receive(self) -> bytes:
        try:
            async with asyncio.timeout(self.limit):
                return await self._reader.read(READ_SIZE)
        except TimeoutError:
            raise EngineTimeout(f"the engine did not answer within {self.limit:g} seconds") from None
        except OSError:
            return b""

    async def end_input(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()

    def is_quiet(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()
