"""Answers that come bit by bit: what stops them, and what an error in their middle looks like.

Before the first byte an error is an HTTP status. After it, a stream of progress ends with Docker's
``{"errorDetail": {"message": …}, "error": …}``, and any other stream with a cut connection, so that nobody
takes a part for the whole. A client that goes away cancels the work, except where it asks for something to
be made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from wharfie.api.answers import JSON, Answer, Stream
from wharfie.api.call import Call
from wharfie.api.errors import error_answer, message_of
from wharfie.api.hijack import Connection
from wharfie.images.pipe import PipeBroken, Produced
from wharfie.wire.base import encode

_UNTAKEN = 16 << 20
"""Characters of output that wait for a client."""
_CLIPPED: dict[str, Any] = {"stream": "\n[output clipped: it came faster than it was taken]\n"}
_log = logging.getLogger(__name__)


async def send_all(
    call: Call, pieces: AsyncIterator[bytes], stream: Stream, *, early: bool = False
) -> Stream:
    """Send every piece as it comes; ``early`` sends the head before the first one is there.

    Errors that ``pieces`` raises instead of its first piece are raised from here, unless ``early``.
    """
    cast(Connection, call.request.protocol).cancel_when_lost()
    sink = stream.sink() if isinstance(pieces, Produced) else None
    try:
        if isinstance(pieces, Produced) and sink is not None:
            await pieces.into(sink)
        else:
            if early:
                await stream.start()
            async for piece in pieces:
                await stream.write(piece)
    except ConnectionError:
        raise
    except PipeBroken as error:
        raise ConnectionResetError(str(error)) from error
    except Exception as error:
        if not stream.started:
            raise
        _log.warning("a stream broke off: %s", message_of(error))
        stream.abort()
    finally:
        if sink is not None:
            sink.close()
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
    return stream


class Outbox:
    """Messages on their way to a client. Of output that it does not take, a limited amount waits for it."""

    def __init__(self) -> None:
        self._waiting: list[dict[str, Any]] = []
        self._size = 0
        self._clipping = False
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, message: dict[str, Any]) -> None:
        """One more."""
        size = len(_output(message))
        if size and self._size + size > _UNTAKEN:
            if not self._clipping:
                self._clipping = True
                self._waiting.append(_CLIPPED)
            return
        self._clipping = self._clipping and not size
        self._size += size
        self._waiting.append(message)
        self._changed.set()

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._changed.set()

    async def taken(self) -> list[dict[str, Any]]:
        """All that wait, once some do; none at the end."""
        while not self._waiting and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        found, self._waiting, self._size = self._waiting, [], 0
        return found


def _output(message: dict[str, Any]) -> str:
    """What a process has written, of which there may be any amount."""
    own = message.get("wharfie")
    found = own.get("output", "") if isinstance(own, dict) else message.get("stream", "")
    return str(found)


async def send_progress(
    call: Call, work: Callable[[Callable[[dict[str, Any]], None]], Awaitable[None]]
) -> Stream | Answer:
    """Run ``work`` with a function that sends progress messages."""
    stream = Stream(call.request, JSON)
    box = Outbox()
    cast(Connection, call.request.protocol).cancel_when_lost()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(_guarded(work(box.put)), name="progress")
        worker.add_done_callback(lambda _: box.end())
        while messages := await box.taken():
            await stream.write(b"".join([encode(message) + b"\n" for message in messages]))
    error = worker.result()
    if error is None:
        return stream
    if not stream.started:
        return error_answer(error)
    message = message_of(error)
    await stream.write_json({"errorDetail": {"message": message}, "error": message})
    return stream


async def _guarded(work: Awaitable[None]) -> Exception | None:
    try:
        await work
    except Exception as error:
        return error
    return None
