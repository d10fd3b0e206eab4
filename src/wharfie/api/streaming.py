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


async def send_progress(
    call: Call, work: Callable[[Callable[[dict[str, Any]], None]], Awaitable[None]]
) -> Stream | Answer:
    """Run ``work`` with a function that sends progress messages."""
    stream = Stream(call.request, JSON)
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    cast(Connection, call.request.protocol).cancel_when_lost()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(_guarded(work(queue.put_nowait)), name="progress")
        worker.add_done_callback(lambda _: queue.put_nowait(None))
        going = True
        while going:
            messages = [await queue.get()]
            while not queue.empty():
                messages.append(queue.get_nowait())
            going = messages[-1] is not None
            lines = [encode(message) + b"\n" for message in messages if message is not None]
            if lines:
                await stream.write(b"".join(lines))
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
