"""What of a container comes as a stream: logs, stats, wait, and the events of them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from wharfie.api.answers import JSON, Stream
from wharfie.api.backends import Containers, LogsRequest, Processes, Streams, System
from wharfie.api.call import Call
from wharfie.api.hijack import RAW, Connection
from wharfie.api.router import Route
from wharfie.api.streaming import send_all
from wharfie.errors import InvalidArgument
from wharfie.support.units import parse_time
from wharfie.wire.base import encode

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_SECOND = 1_000_000_000


def stream_type(call: Call, tty: bool) -> str:
    """The content type of a container's output; clients before 1.42 know one only."""
    return RAW if tty or not call.at_least(1, 42) else MULTIPLEXED


def moment(text: str) -> int:
    """Nanoseconds since the epoch of ``since`` and ``until``: ``seconds[.fraction]`` or RFC 3339; 0 for none.

    Raises:
        InvalidArgument: it is neither.
    """
    if not text:
        return 0
    seconds, _, fraction = text.partition(".")
    try:
        if seconds.lstrip("-").isdigit():
            return int(seconds) * _SECOND + int(fraction[:9].ljust(9, "0"))
        return parse_time(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid value for a time: {error}") from None


def _tail(text: str) -> int | None:
    """Number of lines; everything that is no number means all of them, as in Docker."""
    return int(text) if text.isdigit() else None


def logs_request(call: Call) -> LogsRequest:
    """The query of ``/containers/{}/logs``; ``blocks``, which Docker has not, is for a client that has no use
    for a frame for each line.

    Raises:
        InvalidArgument: no stream is asked for, or a time is malformed.
    """
    if not (call.flag("stdout") or call.flag("stderr")):
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    return LogsRequest(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
        since_ns=moment(call.text("since")) or None,
        until_ns=(moment(call.text("until")) or None) if call.at_least(1, 35) else None,
        tail=_tail(call.text("tail", "all")),
        blocks=call.flag("blocks"),
    )


def routes(containers: Containers, processes: Processes, streams: Streams, system: System) -> list[Route]:
    """Docker's streaming paths."""

    async def logs(call: Call) -> Stream:
        request = logs_request(call)
        tty = streams.is_tty(call.argument)
        answer = Stream(call.request, stream_type(call, tty))
        return await send_all(call, streams.logs(call.argument, request), answer)

    async def stats(call: Call) -> Stream:
        found = processes.stats(
            call.argument,
            stream=call.flag("stream", True),
            one_shot=call.at_least(1, 41) and call.flag("one-shot"),
        )
        return await send_all(call, _lines(found), Stream(call.request, JSON))

    async def wait(call: Call) -> Stream:
        condition = call.text("condition") if call.at_least(1, 30) else ""
        waiting = await containers.wait(call.argument, condition)
        try:
            answer = Stream(call.request, JSON)
            cast(Connection, call.request.protocol).cancel_when_lost()
            if call.at_least(1, 30):
                # the client starts the container when it has the head
                await answer.start()
            await answer.write_json(await waiting.result())
        finally:
            waiting.close()
        return answer

    async def events(call: Call) -> Stream:
        since, until = moment(call.text("since")), moment(call.text("until"))
        if until and until < since:
            raise InvalidArgument(
                f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})"
            )
        # 0 is a time as well: all that is remembered
        asked = since if call.text("since") else None
        found = system.events(since_ns=asked, until_ns=until or None, filters=call.filters())
        return await send_all(call, _lines(found), Stream(call.request, JSON), early=True)

    return [
        ("GET", "/containers/{}/logs", logs),
        ("GET", "/containers/{}/stats", stats),
        ("POST", "/containers/{}/wait", wait),
        ("GET", "/events", events),
    ]


async def _lines(values: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for value in values:
        yield encode(value) + b"\n"
