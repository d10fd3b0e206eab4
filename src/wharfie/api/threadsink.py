"""A chunked answer, written to the socket by the thread that makes it.

On the event loop each piece of an archive costs a wake-up, a queue and a copy of what the socket did not
take, each waiting for the interpreter lock. Here the thread sends it as it stands, and waits for a slow
client by itself (RFC 9112 §7.1). The event loop writes nothing meanwhile, and the end of the body afterwards.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable

from wharfie.images.pipe import PipeBroken

_WAIT = 500
"""Milliseconds between looks whether the work was given up."""
_SO_SNDBUFFORCE = 32
_BUFFER = 4 << 20


def widen(sock: socket.socket) -> None:
    """Let more wait in a Unix socket than everybody may: each end is woken less often (socket(7))."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
    except PermissionError:
        return  # without CAP_NET_ADMIN it is only slower


class ThreadSink:
    """The body of one answer; ``fd`` is a non-blocking socket and becomes this object's."""

    def __init__(self, fd: int, head: Callable[[], bytes]) -> None:
        """``head`` gives what stands before the first piece, when there is one."""
        self._socket = socket.socket(fileno=fd)
        if self._socket.family == socket.AF_UNIX:
            widen(self._socket)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._head: Callable[[], bytes] | None = head
        self._abandoned = False

    def write(self, data: bytes) -> None:
        """In the thread: send a piece; raises PipeBroken when the client is gone or the work given up."""
        if not data:
            return
        start = b"%x\r\n" % len(data)
        if self._head is not None:
            start, self._head = self._head() + start, None
        self._send([memoryview(start), memoryview(data), memoryview(b"\r\n")])

    def _send(self, pieces: list[memoryview]) -> None:
        while pieces:
            if self._abandoned:
                raise PipeBroken("nobody reads the archive any more")
            try:
                sent = self._socket.sendmsg(pieces)
            except BlockingIOError:
                self._poll.poll(_WAIT)
                continue
            except ConnectionError as error:
                raise PipeBroken("the client is gone") from error
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if sent:
                pieces[0] = pieces[0][sent:]

    def abandon(self) -> None:
        """On the loop: nothing more is wanted."""
        self._abandoned = True

    def close(self) -> None:
        """Let go of the socket; the thread must have ended."""
        os.close(self._socket.detach())
