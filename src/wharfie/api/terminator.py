"""TLS ends here: behind it a connection is as plain as one to the Unix socket.

::

    client  ==TCP, TLS==  Terminator  --socketpair--  HTTP, and monitors that a stream is handed to

So a descriptor can be handed on, and the end of a client's input (close_notify) is a half-close as on every
other socket; asyncio's TLS would close the connection. A TCP connection that ends without a close_notify is
one whose client is gone.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from typing import cast

from wharfie.support.tasks import spawn
from wharfie.support.tls import TlsEnd

_HANDSHAKE = 30.0
_LINGER = 5.0
"""Seconds for a client to take what it has been sent, before its connection is cut."""
_NOT_TLS = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)


class Terminator(asyncio.Protocol):
    """The side of the client."""

    def __init__(self, context: ssl.SSLContext, serve: Callable[[], asyncio.Protocol]) -> None:
        self._end = TlsEnd(context, server=True)
        self._serve = serve
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle
        self._inner: _Inner | None = None
        self._begun = False
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; the handshake has to be over soon."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._timer = asyncio.get_running_loop().call_later(_HANDSHAKE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Bytes of TLS."""
        before = self._end.ready
        if not self._begun:
            self._begun = True
            if data[:1].isalpha():
                self._transport.write(_NOT_TLS)
                self._leave()
        if self._leaving:
            return
        try:
            plain = self._end.receive(data)
        except ssl.SSLError:
            self.flush()  # the alert that says why
            self._leave()
            return
        self.flush()
        if self._end.ready and not before:
            self._timer.cancel()
            self._inner = _Inner(self)
            spawn("behind TLS", self._open(self._inner))
        if self._inner is not None:
            self._inner.forward(plain)
            if self._end.ended:
                self._inner.end()

    async def _open(self, inner: _Inner) -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        await loop.connect_accepted_socket(self._serve, far)
        await loop.create_connection(lambda: inner, sock=near)

    def flush(self) -> None:
        """Send what TLS has to say."""
        data = self._end.outgoing()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def answer(self, data: bytes) -> None:
        """Bytes for the client."""
        self._end.send(data)
        self.flush()

    def end(self, *, whole: bool) -> None:
        """There is no more for the client; ``whole``: and nobody listens to it any more."""
        self._end.end()
        self.flush()
        if whole:
            self._leave()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def _leave(self) -> None:
        """No more either way. A close with bytes unread is a reset, and what was sent is lost with it."""
        self._leaving = True
        self._timer.cancel()
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._timer = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    def eof_received(self) -> bool:
        """The client is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The same for whoever serves it."""
        self._timer.cancel()
        if self._inner is not None:
            self._inner.close()

    def pause(self, paused: bool) -> None:
        """Whoever serves is slow, or no more."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def pause_writing(self) -> None:
        """The client is slow."""
        if self._inner is not None:
            self._inner.pause(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._inner is not None:
            self._inner.pause(False)


class _Inner(asyncio.Protocol):
    """The plain side."""

    def __init__(self, outer: Terminator) -> None:
        self._outer = outer
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._ended = False
        self._closed = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there: what came meanwhile goes through."""
        self._transport = cast(asyncio.Transport, transport)
        for data in self._early:
            self._transport.write(data)
        self._early.clear()
        self.pause(self._paused)
        if self._closed:
            self._transport.close()
        elif self._ended:
            self._transport.write_eof()

    def forward(self, data: bytes) -> None:
        """Bytes from the client."""
        if not data:
            return
        if self._transport is None:
            self._early.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def end(self) -> None:
        """The client sends no more."""
        if not self._ended:
            self._ended = True
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write_eof()

    def close(self) -> None:
        """The client is gone."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def pause(self, paused: bool) -> None:
        """The client is slow, or no more."""
        self._paused = paused
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if paused else self._transport.resume_reading)()

    def data_received(self, data: bytes) -> None:
        """Bytes for the client."""
        self._outer.answer(data)

    def eof_received(self) -> bool:
        """No more for the client. unix(7): a hang-up says that the other end is closed, not half of it."""
        assert self._transport is not None
        state = select.poll()
        state.register(self._transport.get_extra_info("socket"), 0)
        whole = any(events & select.POLLHUP for _, events in state.poll(0))
        self._outer.end(whole=whole)
        return not whole

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody serves the client any more."""
        if exc is not None:
            self._outer.end(whole=True)

    def pause_writing(self) -> None:
        """Whoever serves is slow."""
        self._outer.pause(True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._outer.pause(False)
