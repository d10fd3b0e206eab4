"""A container's streams on a WebSocket (RFC 6455), as pages and some dashboards attach.

::

    client ──frames──▶ bridge ──bytes──▶ socketpair ──descriptor──▶ monitor
           ◀─frames──        ◀──bytes──

The bytes are never multiplexed: a WebSocket has one stream each way. Clients since 1.28 get binary frames,
older ones text.
"""

from __future__ import annotations

import asyncio
import codecs
import socket
from typing import cast

from aiohttp import WSMsgType
from aiohttp.web import BaseRequest, WebSocketResponse

from wharfie.api.hijack import Connection
from wharfie.errors import InvalidArgument
from wharfie.support.tasks import spawn

_PIECE = 1 << 16


class Bridge:
    """One WebSocket, tied to one end of a socketpair."""

    def __init__(self, request: BaseRequest, *, binary: bool) -> None:
        self._request = request
        self._binary = binary
        self.answer = WebSocketResponse(compress=False)
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    async def open(self) -> int:
        """Answer the handshake; the descriptor of the end that the container gets.

        Raises:
            InvalidArgument: this is no WebSocket handshake.
        """
        if not self.answer.can_prepare(self._request):
            raise InvalidArgument("attaching by WebSocket needs a WebSocket handshake")
        await self.answer.prepare(self._request)
        return self._far.detach()

    async def run(self) -> None:
        """Carry bytes until one side ends; a client that is gone ends it too."""
        cast(Connection, self._request.protocol).cancel_when_lost()
        inward = spawn("input of a WebSocket", self._inward())
        try:
            await self._outward()
            await self.answer.close()
        finally:
            inward.cancel()

    def close(self) -> None:
        """Let go of the sockets."""
        self._near.close()
        self._far.close()

    async def _outward(self) -> None:
        loop = asyncio.get_running_loop()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await loop.sock_recv(self._near, _PIECE):
            if self.answer.closed:
                return
            if self._binary:
                await self.answer.send_bytes(data)
            elif text := decoder.decode(data):
                await self.answer.send_str(text)

    async def _inward(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for message in self.answer:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break
                data = message.data
                await loop.sock_sendall(self._near, data.encode() if isinstance(data, str) else data)
        except OSError:
            return  # the container's side is gone, which the other direction sees as well
        # the client says goodbye: it neither sends nor reads any more
        self._near.shutdown(socket.SHUT_RDWR)
