"""A process one talks to: its input and output on a connection that is no longer HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from wharfie.client.library.binding import Bound, T, operation, stream
from wharfie.client.library.engine import Engine, Exchange
from wharfie.client.library.errors import CommandFailed
from wharfie.wire.stdcopy import STDOUT, Demultiplexer

Resize = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a process prints."""

    stream: str
    """``"stdout"`` or ``"stderr"``; with a terminal there is the first alone."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it printed to standard output."""
        return self.stdout.decode(errors="replace")

    def check(self) -> Self:
        """Itself; raises CommandFailed where the exit code is not 0."""
        if self.exit_code:
            raise CommandFailed(self.exit_code, self.stdout, self.stderr)
        return self


class Splitter:
    """Pieces of output out of what a connection or an answer brings."""

    def __init__(self, *, framed: bool) -> None:
        self._frames = Demultiplexer() if framed else None

    def feed(self, data: bytes) -> list[Output]:
        """The pieces in ``data``."""
        if self._frames is None:
            return [Output("stdout", data)]
        return [
            Output("stdout" if kind == STDOUT else "stderr", bytes(part))
            for kind, part in self._frames.feed(data)
            if kind >= STDOUT
        ]


class Session(Bound[T]):
    """A process's streams; ``with`` closes them (the process goes on if it can)."""

    def __init__(self, engine: Engine, exchange: Exchange, *, framed: bool, resize: Resize) -> None:
        super().__init__(engine)
        self._exchange = exchange
        self._splitter = Splitter(framed=framed)
        self._resize = resize

    @operation
    async def send(self, data: bytes) -> None:
        """Write to the process's standard input."""
        await self._exchange.channel.send(data)

    @operation
    async def end_input(self) -> None:
        """Let the process see the end of its input; what it prints still comes."""
        await self._exchange.channel.end_input()

    @stream
    async def output(self) -> AsyncGenerator[Output, None]:
        """What the process prints, up to its end."""
        while data := await self._exchange.raw():
            for piece in self._splitter.feed(data):
                yield piece

    @operation
    async def communicate(self, data: bytes | None = None) -> tuple[bytes, bytes]:
        """Send all of the input and take all of the output, at the same time: as subprocess does."""
        return await collected(self._engine, self._exchange, self._splitter, data)

    @operation
    async def resize(self, rows: int, columns: int) -> None:
        """Tell the process the size of its terminal."""
        await self._resize(rows, columns)

    def close(self) -> None:
        """End the connection."""
        self._exchange.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def collected(
    engine: Engine, exchange: Exchange, splitter: Splitter, data: bytes | None
) -> tuple[bytes, bytes]:
    """Everything on standard output and standard error, while ``data`` is sent."""
    outputs: dict[str, list[bytes]] = {"stdout": [], "stderr": []}

    async def receive() -> None:
        while part := await exchange.raw():
            for piece in splitter.feed(part):
                outputs[piece.stream].append(piece.data)

    async def send() -> None:
        if data:
            await exchange.channel.send(data)
        await exchange.channel.end_input()

    if data is None:
        await receive()
    else:
        await engine.transport.beside(send(), receive())
    return b"".join(outputs["stdout"]), b"".join(outputs["stderr"])
