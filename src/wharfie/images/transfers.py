"""Blobs on their way: each is fetched once, however many pulls want it at a time.

The first to ask starts the work, others join and are told of its progress; it goes on while anybody wants it
and ends with the last who leaves. A finished layer stays known until those who have it let go, so that no
pull fetches it again while another one has not yet written the rows of its image.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from wharfie.support.tasks import spawn

Message = dict[str, object]
Tell = Callable[[Message], None]
Key = tuple[str, ...]


@dataclass(eq=False, slots=True)
class Transfer:
    """One blob's, with the layer or the document that is made of it."""

    key: Key
    result: asyncio.Future[Any]
    watchers: list[Tell] = field(default_factory=list)
    holders: int = 0
    last: Message | None = None
    task: asyncio.Task[None] | None = None

    def tell(self, message: Message) -> None:
        """Pass a message on to all who wait."""
        self.last = message
        for watcher in list(self.watchers):
            watcher(message)


class Transfers:
    """All that go on in one daemon."""

    def __init__(self) -> None:
        self._known: dict[Key, Transfer] = {}

    def join(self, key: Key, work: Callable[[Tell], Awaitable[Any]], tell: Tell) -> Transfer:
        """Take part in a transfer, which begins if there is none; :meth:`leave` it in any case."""
        transfer = self._known.get(key)
        if transfer is None or (transfer.result.done() and _failed(transfer.result)):
            transfer = Transfer(key, asyncio.get_running_loop().create_future())
            self._known[key] = transfer
            transfer.task = spawn(f"transfer {key[-1]}", _run(transfer, work))
        elif transfer.last is not None:
            tell(transfer.last)
        transfer.watchers.append(tell)
        transfer.holders += 1
        return transfer

    async def leave(self, transfer: Transfer, tell: Tell) -> bool:
        """Want it no more; returns whether nobody else does. Work that nobody wants is ended first."""
        transfer.watchers.remove(tell)
        transfer.holders -= 1
        if transfer.holders:
            return False
        if self._known.get(transfer.key) is transfer:
            del self._known[transfer.key]
        if transfer.task is not None and not transfer.task.done():
            transfer.task.cancel()
            await asyncio.wait([transfer.task])
        return True


def _failed(result: asyncio.Future[Any]) -> bool:
    return result.cancelled() or result.exception() is not None


async def _run(transfer: Transfer, work: Callable[[Tell], Awaitable[Any]]) -> None:
    try:
        found = await work(transfer.tell)
    except asyncio.CancelledError:
        transfer.result.cancel()
        raise
    except Exception as error:
        transfer.result.set_exception(error)
        transfer.result.exception()  # whoever waits is told; nobody may be left to
    else:
        transfer.result.set_result(found)
