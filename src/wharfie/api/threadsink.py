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

from wharfie.images.pipe import Pieces, PipeBroken
from wharfie.support.sockets import widen

_IOV_MAX = 1024
_WAIT = 500
"""Milliseconds between looks whether the work was given up."""


class ThreadSink:
    """The body of one answer; ``fd`` is a non-blocking socket and becomes this object's."""

    def __init__(self, fd: int, head: Callable[[], bytes]) -> None:
        """``head`` gives what stands before the first piece, when there is one."""
        self._socket = socket.socket(fileno=fd)
        widen(self._socket)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._head: Callable[[], bytes] | None = head
        self._abandoned = False

    def write(self, data: Pieces) -> None:
        """In the thread: send a chunk; raises PipeBroken when the client is gone or the work given up."""
        pieces = [data] if isinstance(data, bytes) else data
        size = sum(map(len, pieces))
        if not size:
            return
        start = b"%x\r\n" % size
        if self._head is not None:
            start, self._head = self._head() + start, None
        self._send([memoryview(piece) for piece in (start, *pieces, b"\r\n") if piece])

    def _send(self, pieces: list[memoryview]) -> None:
        while pieces:
            if self._abandoned:
                raise PipeBroken("nobody reads the archive any more")
            try:
                sent = self._socket.sendmsg(pieces[:_IOV_MAX])
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
