"""HTTP/1.1 as the Engine API needs it, over ``_socket``: h11 or ``http.client`` would cost 20 ms and more.

One :class:`Connection` carries one exchange at a time::

    send()  ->  response()  ->  read to the end      ->  send() again (keep-alive)
                            ->  hijack()             ->  the socket is the caller's, raw in both directions

Bodies come by ``Content-Length``, chunked, or up to the end of the stream (RFC 9112 §6). What follows the
head of an answer in the same packet is kept for the body, or handed over by :meth:`Connection.hijack`.
"""

from __future__ import annotations

import posix

from wharfie.client.errors import BrokenAnswer
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator
    from typing import Any

HEAD_LIMIT = 1 << 16
READ_SIZE = 1 << 20
_SENDFILE = 1 << 30
_UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


class Connection:
    """One connection to the daemon."""

    __slots__ = ("_at", "_buffer", "reusable", "sock")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        self._at = 0
        self.reusable = True

    def send(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        upgrade: bool = False,
        content_type: str = "application/json",
    ) -> None:
        """Write a request in one piece; raises BrokenAnswer when the other side is gone."""
        head = f"{method} {target} HTTP/1.1\r\nHost: wharfie\r\nUser-Agent: wharfie\r\n"
        if upgrade:
            head += _UPGRADE
        for name, value in (headers or {}).items():
            head += f"{name}: {value}\r\n"
        if body is not None:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        elif method != "GET":
            head += "Content-Length: 0\r\n"
        self._send(head.encode() + b"\r\n" + (body or b""))

    def send_stream(
        self,
        method: str,
        target: str,
        parts: Iterator[bytes],
        content_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Write a request whose body's length is not known beforehand, chunked."""
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._send(
            f"{method} {target} HTTP/1.1\r\nHost: wharfie\r\nUser-Agent: wharfie\r\n"
            f"Content-Type: {content_type}\r\n{more}Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for part in parts:
            if part:
                self._send(b"%x\r\n" % len(part) + part + b"\r\n")
        self._send(b"0\r\n\r\n")

    def send_file(self, method: str, target: str, fd: int, size: int, content_type: str) -> None:
        """Write a request whose body is a file's next ``size`` bytes: one chunk, never copied by us."""
        self._send(
            f"{method} {target} HTTP/1.1\r\nHost: wharfie\r\nUser-Agent: wharfie\r\n"
            f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode()
        )
        left = size
        while left:
            try:
                done = posix.sendfile(self.sock.fileno(), fd, None, min(left, _SENDFILE))
            except OSError as error:
                self.reusable = False
                raise BrokenAnswer("the wharfie daemon hung up before it took the request") from error
            if not done:
                self.reusable = False
                raise BrokenAnswer("the file became shorter while it was sent")
            left -= done
        self._send(b"\r\n0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            self.reusable = False
            raise BrokenAnswer("the wharfie daemon hung up before it took the request") from error

    def response(self) -> Response:
        """Read the head of the answer; raises BrokenAnswer."""
        while (end := self._buffer.find(b"\r\n\r\n", self._at)) < 0:
            self._fill("the wharfie daemon closed the connection before it answered")
        lines = self._buffer[self._at : end].decode("latin-1").split("\r\n")
        self._at = end + 4
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            self.reusable = False
            raise BrokenAnswer(f"what answers is not a wharfie daemon: {lines[0][:80]!r}")
        status = int(words[1])
        if status == 100:
            return self.response()
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Response(self, status, headers)

    def _fill(self, complaint: str) -> None:
        part = b""
        if len(self._buffer) - self._at <= HEAD_LIMIT:
            try:
                part = self.sock.recv(READ_SIZE)
            except ConnectionError:
                part = b""
        if not part:
            self.reusable = False
            raise BrokenAnswer(complaint)
        self._buffer = self._buffer[self._at :] + part
        self._at = 0

    def receive(self, size: int = READ_SIZE) -> bytes:
        """Raw bytes; empty at the end of the stream."""
        if self._at < len(self._buffer):
            data = self._buffer[self._at : self._at + size]
            self._at += len(data)
            return data
        try:
            return self.sock.recv(size)
        except ConnectionError:
            return b""

    def receive_line(self) -> bytes:
        """A line without its end; raises BrokenAnswer."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._fill("the wharfie daemon closed the connection in the middle of an answer")
        line = self._buffer[self._at : end]
        self._at = end + 1
        return line.rstrip(b"\r")

    def hijack(self) -> tuple[_socket.socket, bytes]:
        """The socket, from now on the caller's own, and the bytes that are read already."""
        self.reusable = False
        rest, self._buffer = self._buffer[self._at :], b""
        return self.sock, rest

    def close(self) -> None:
        """End the connection."""
        self.reusable = False
        self.sock.close()


class Response:
    """An answer: its head, and its body as it comes in."""

    __slots__ = ("_chunked", "_connection", "_left", "done", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        # -1: up to the end of the stream
        self._left = 0 if self._chunked or status in (204, 304) else int(headers.get("content-length", "-1"))
        self.done = not self._chunked and self._left == 0
        if headers.get("connection", "").lower() == "close" or (not self._chunked and self._left < 0):
            connection.reusable = False

    def read_some(self, size: int = READ_SIZE) -> bytes:
        """The next part of the body; empty at its end. Raises BrokenAnswer when it ends too early."""
        if self.done:
            return b""
        if self._chunked and self._left == 0:
            self._next_chunk()
            if self.done:
                return b""
        data = self._connection.receive(size if self._left < 0 else min(size, self._left))
        if not data:
            self.done = True
            if self._left < 0:
                return b""
            self._connection.reusable = False
            raise BrokenAnswer("the wharfie daemon closed the connection in the middle of an answer")
        if self._left > 0:
            self._left -= len(data)
            if self._left == 0:
                if self._chunked:
                    self._connection.receive_line()
                else:
                    self.done = True
        return data

    def _next_chunk(self) -> None:
        line = self._connection.receive_line().partition(b";")[0].strip()
        try:
            self._left = int(line, 16)
        except ValueError:
            self._connection.reusable = False
            raise BrokenAnswer("the wharfie daemon sent a chunk without a length") from None
        if self._left == 0:
            while self._connection.receive_line():
                continue
            self.done = True

    def parts(self) -> Iterator[bytes]:
        """The body in parts, as they come."""
        while data := self.read_some():
            yield data

    def read(self) -> bytes:
        """The whole body."""
        first = self.read_some()
        if self.done:
            return first
        return b"".join([first, *self.parts()])

    def lines(self) -> Iterator[Any]:
        """JSON documents, one per line, of a stream."""
        rest = b""
        for part in self.parts():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                if line.strip():
                    yield json.loads(line)
        if rest.strip():
            yield json.loads(rest)
