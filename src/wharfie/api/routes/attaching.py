"""Attaching to a container: its streams on a connection that is no longer HTTP, or on a WebSocket."""

from __future__ import annotations

from typing import cast

from wharfie.api.answers import TakenOver
from wharfie.api.backends import AttachRequest, Streams
from wharfie.api.call import Call
from wharfie.api.hijack import take_over
from wharfie.api.router import Response, Route
from wharfie.api.routes.streams import stream_type
from wharfie.api.websocket import Bridge


def attach_request(call: Call, *, multiplex: bool = True) -> AttachRequest:
    """The query of ``/containers/{}/attach`` and of its WebSocket form."""
    # before 1.42 a WebSocket always carried all three
    every = not multiplex and not call.at_least(1, 42)
    return AttachRequest(
        stdin=every or call.flag("stdin"),
        stdout=every or call.flag("stdout"),
        stderr=every or call.flag("stderr"),
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        detach_keys=call.text("detachKeys") if "detachKeys" in call.query else None,
        multiplex=multiplex,
    )


def routes(streams: Streams) -> list[Route]:
    """Docker's two paths."""

    async def attach(call: Call) -> TakenOver:
        request = attach_request(call)
        await streams.check_attach(call.argument, request.detach_keys)
        taken = await take_over(call.request, stream_type(call, streams.is_tty(call.argument)))
        await streams.attach(call.argument, request, taken.fd, taken.prefix)
        return TakenOver()

    async def attach_by_websocket(call: Call) -> Response:
        request = attach_request(call, multiplex=False)
        await streams.check_attach(call.argument, request.detach_keys)
        bridge = Bridge(call.request, binary=call.at_least(1, 28))
        try:
            fd = await bridge.open()
            await streams.attach(call.argument, request, fd, b"")
            await bridge.run()
        finally:
            bridge.close()
        return cast(Response, bridge.answer)

    return [
        ("POST", "/containers/{}/attach", attach),
        ("GET", "/containers/{}/attach/ws", attach_by_websocket),
    ]
