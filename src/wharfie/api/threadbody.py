"""A chunked request body, read from the socket in a thread.

What an archive's upload costs on the event loop (a wake-up, a parser and a queue for every 64 KiB, each
waiting for the interpreter lock) is more than its unpacking. Here the thread that works on the archive
receives it itself, in large pieces, while the loop does not read from the connection (RFC 9112 §7.1;
trailers are passed over).
"""

from __future__ import annotations

import os
import select
import socket

from wharfie.errors import InvalidArgument

_RECEIVE = 1 << 20
_LINE_LIMIT = 1 << 12
_WAIT = 500
"""Milliseconds between looks whether the work was given up."""


class BodyBroken(InvalidArgument):
    """The client went away, or the work was given up."""


class ThreadBody:
    """The body of one request; ``fd`` is a non-blocking socket and becomes this object's."""

    def __init__(self, fd: int, prefix: bytes) -> None:
        self._socket = socket.socket(fileno=fd)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._buffer = prefix
        self._at = 0
        self._left = 0
        self._first = True
        """No chunk was read yet, so none has to be ended."""
        self._done = False
        self._error: BaseException | None = None

    def read(self) -> bytes:
        """The next piece, empty at the end; in the thread.

        Raises:
            InvalidArgument: it is not chunked. BodyBroken: the client went away.
        """
        pieces: list[bytes] = []
        while not self._done:
            if self._left:
                piece = self._buffer[self._at : self._at + self._left]
                if piece:
                    pieces.append(piece)
                    self._at += len(piece)
                    self._left -= len(piece)
                    continue
            elif self._next_chunk():
                continue
            if pieces:
                break
            self._fill()
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _next_chunk(self) -> bool:
        """Read a chunk's head from the buffer; False when it is not all there yet."""
        start = self._at if self._first else self._at + 2
        end = self._buffer.find(b"\r\n", start)
        if end < 0:
            if len(self._buffer) - self._at > _LINE_LIMIT:
                raise InvalidArgument("the request body is not chunked as it should be")
            return False
        size = self._buffer[start:end].partition(b";")[0].strip()
        if not size or not all(byte in b"0123456789abcdefABCDEF" for byte in size) or len(size) > 12:
            raise InvalidArgument("the request body is not chunked as it should be")
        if int(size, 16) == 0:
            stop = end if self._buffer[end + 2 : end + 4] == b"\r\n" else self._buffer.find(b"\r\n\r\n", end)
            if stop < 0 or len(self._buffer) < end + 4:
                return False
            self._at, self._done = stop + 4, True
            return True
        self._at, self._left, self._first = end + 2, int(size, 16), False
        return True

    def _fill(self) -> None:
        rest = self._buffer[self._at :]
        while True:
            if self._error is not None:
                raise self._error
            try:
                more = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                self._poll.poll(_WAIT)
                continue
            except ConnectionError:
                more = b""
            if not more:
                raise BodyBroken("the client went away in the middle of an archive")
            self._buffer, self._at = rest + more if rest else more, 0
            return

    def close(self, error: BaseException | None = None) -> None:
        """On the loop: no more is wanted; whoever reads gets ``error`` raised."""
        self._error = self._error or error

    def abandon(self) -> None:
        """In the thread: nothing more will be read."""

    def give_back(self) -> bytes:
        """The end: what the parser, which has seen the head only, must be given to go on from here."""
        os.close(self._socket.detach())
        rest = self._buffer[self._at :]
        if self._done:
            return b"0\r\n\r\n" + rest
        if self._left:
            return b"%x\r\n" % self._left + rest
        # the end of a chunk's line is still to come: a byte that nobody reads stands before it
        return rest if self._first else b"1\r\nx" + rest
