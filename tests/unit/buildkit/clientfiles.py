"""A client that sends files by FileSync, well or badly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wharfie.buildkit.filesync import DATA, ERR, FIN, PATH, REQ, STAT
from wharfie.buildkit.grpc import Call, Handler
from wharfie.buildkit.messages import session as messages

DIRECTORY, LINK, DEVICE = 1 << 31, 1 << 27, 1 << 26


def entry(path: str | bytes, mode: int = 0o644, **more: Any) -> Any:
    """One entry of a list."""
    data = path if isinstance(path, bytes) else path.encode()
    return messages.Stat(path=data, mode=mode, modified=1_700_000_000_000_000_000, **more)


def file(path: str, content: bytes) -> tuple[Any, bytes]:
    """A file with its content."""
    return entry(path, size=len(content)), content


class Client:
    """Sends a list, and what is asked for; ``asked`` remembers that."""

    def __init__(self, files: Iterable[tuple[Any, bytes]]) -> None:
        self.files = list(files)
        self.asked: list[bytes] = []
        self.metadata: dict[str, list[str]] = {}
        self.after_list: Callable[[Call], Any] | None = None

    @property
    def handlers(self) -> dict[str, Handler]:
        """What it offers."""
        return {PATH: self.serve}

    async def serve(self, call: Call) -> None:
        """One transfer."""
        self.metadata = call.metadata
        call.begin()
        for one, _ in self.files:
            await call.send(messages.Packet(type=STAT, stat=one))
        await call.send(messages.Packet(type=STAT))
        if self.after_list is not None:
            await self.after_list(call)
            return
        async for packet in call.all(messages.Packet):
            if packet.type == FIN:
                await call.send(messages.Packet(type=FIN))
                return
            assert packet.type == REQ
            one, content = self.files[packet.id]
            self.asked.append(one.path)
            for at in range(0, len(content), 5):
                await call.send(messages.Packet(type=DATA, id=packet.id, data=content[at : at + 5]))
            await call.send(messages.Packet(type=DATA, id=packet.id))


def failing(text: str) -> Callable[[Call], Any]:
    """A client that says what went wrong on its side."""

    async def fail(call: Call) -> None:
        await call.send(messages.Packet(type=ERR, data=text.encode()))

    return fail
