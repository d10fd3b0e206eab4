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
    from collections.abc import Callable, Iterator
    from typing import Any

HEAD_LIMIT = 1 << 16
READ_SIZE = 1 << 20
_SENDFILE = 1 << 30
# send(2), MSG_NOSIGNAL
_SHUT_WR = 1
_NO_SIGNAL = 0x4000
LAST_CHUNK = b"0\r\n\r\n"
_UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


def request(
    method: str,
    target: str,
    body: bytes | None,
    headers: dict[str, str] | None,
    content_type: str,
    *,
    upgrade: bool = False,
) -> bytes:
    """A whole request."""
    head = _begin(method, target, headers)
    if upgrade:
        head += _UPGRADE
    if body is not None:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    elif method != "GET":
        head += "Content-Length: 0\r\n"
    return head.encode() + b"\r\n" + (body or b"")


def upload(method: str, target: str, content_type: str, headers: dict[str, str] | None = None) -> bytes:
    """The head of a request whose body comes in chunks."""
    head = _begin(method, target, headers)
    return f"{head}Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def chunk(part: bytes) -> bytes:
    """A part of such a body."""
    return b"%x\r\n%s\r\n" % (len(part), part)


def _begin(method: str, target: str, headers: dict[str, str] | None) -> str:
    head = f"{method} {target} HTTP/1.1\r\nUser-Agent: wharfie\r\n"
    for name, value in {"Host": "wharfie", **(headers or {})}.items():
        head += f"{name}: {value}\r\n"
    return head


class Connection:
    """One connection to the daemon."""

    __slots__ = ("_failed", "_headers", "_prefix", "incoming", "reusable", "sock")

    def __init__(self, sock: _socket.socket, headers: dict[str, str] | None = None, prefix: str = "") -> None:
        """``headers`` go with every request, and every path begins with ``prefix``."""
        self._headers = headers or {}
        self._prefix = prefix
        self.sock = sock
        self.incoming = Incoming()
        self.reusable = True
        self._failed: BaseException | None = None

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
        headers = {**self._headers, **headers} if headers else self._headers
        self._send(request(method, self._prefix + target, body, headers, content_type, upgrade=upgrade))

    def send_stream(
        self,
        method: str,
        target: str,
        parts: Iterator[bytes],
        content_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Write a request whose body's length is not known beforehand, chunked."""
        self._send(upload(method, self._prefix + target, content_type, {**self._headers, **(headers or {})}))
        for part in parts:
            if part:
                self._send(chunk(part))
        self._send(LAST_CHUNK)

    def send_file(self, method: str, target: str, fd: int, size: int, content_type: str) -> None:
        """Write a request whose body is a file's next ``size`` bytes: one chunk, never copied by us."""
        from wharfie.support.sockets import widen

        widen(self.sock)
        head = upload(method, self._prefix + target, content_type, self._headers)
        self._send(head + b"%x\r\n" % size)
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
        self._send(b"\r\n" + LAST_CHUNK)

    def beside(self, send: Callable[[Connection], None]) -> None:
        """Send in a thread, while the answer is read; what goes wrong on our side is raised to who reads."""
        import threading

        def run() -> None:
            try:
                send(self)
            except BaseException as error:
                self._failed = error
                try:
                    self.sock.shutdown(_SHUT_WR)
                except OSError:
                    return  # the daemon has hung up already

        self.reusable = False
        threading.Thread(target=run, name="upload", daemon=True).start()

    def _send(self, data: bytes) -> None:
        try:
            # a daemon that hangs up is an error to be told, and no signal
            self.sock.sendall(data, _NO_SIGNAL)
        except OSError as error:
            self.reusable = False
            raise self._broken("hung up before it took the request") from error

    def _broken(self, what: str) -> BrokenAnswer:
        # TLS may know why
        return BrokenAnswer(getattr(self.sock, "problem", "") or f"the wharfie daemon {what}")

    def response(self) -> Response:
        """Read the head of the answer; raises BrokenAnswer."""
        try:
            while (head := self.incoming.head()) is None:
                if not self.fill():
                    raise self._broken("closed the connection before it answered")
        except BrokenAnswer:
            self.reusable = False
            raise
        return Response(self, *head)

    def fill(self) -> bool:
        """Wait for more to arrive; False at the end of the stream."""
        try:
            data = self.sock.recv(READ_SIZE)
        except ConnectionError:
            return False
        self.incoming.feed(data)
        if not data and self._failed is not None:
            raise self._failed
        return bool(data)

    def hijack(self) -> tuple[_socket.socket, bytes]:
        """The socket, from now on the caller's own, and the bytes that are read already."""
        self.reusable = False
        return self.sock, self.incoming.take(HEAD_LIMIT + READ_SIZE)

    def close(self) -> None:
        """End the connection."""
        self.reusable = False
        self.sock.close()


class Incoming:
    """What has arrived on a connection and is not read yet; knows nothing of how it arrives."""

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0

    def feed(self, data: bytes) -> None:
        """More has arrived."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def head(self) -> tuple[int, dict[str, str]] | None:
        """Status and headers of an answer; None while they are not whole. Raises BrokenAnswer."""
        text = self._before(b"\r\n\r\n")
        if text is None:
            return None
        lines = text.decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise BrokenAnswer(f"what answers is not a wharfie daemon: {lines[0][:80]!r}")
        if words[1] == "100":
            return self.head()
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(words[1]), headers

    def line(self) -> bytes | None:
        """A line without its end; None while it is not whole. Raises BrokenAnswer."""
        line = self._before(b"\n")
        return None if line is None else line.rstrip(b"\r")

    def _before(self, mark: bytes) -> bytes | None:
        end = self._buffer.find(mark, self._at)
        if end < 0:
            if len(self._buffer) - self._at > HEAD_LIMIT:
                raise BrokenAnswer("the wharfie daemon's answer has a line or a head without an end")
            return None
        text = self._buffer[self._at : end]
        self._at = end + len(mark)
        return text

    def take(self, size: int) -> bytes:
        """Up to ``size`` bytes as they are; empty when none have arrived."""
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        return data


class Body:
    """The body of an answer, taken out of what arrives."""

    __slots__ = ("_chunked", "_incoming", "_left", "done", "keeps")

    def __init__(self, incoming: Incoming, status: int, headers: dict[str, str]) -> None:
        self._incoming = incoming
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        # -1: up to the end of the stream; -2: the end of a chunk is to come; -3: the last chunk was there
        self._left = 0 if self._chunked or status in (204, 304) else int(headers.get("content-length", "-1"))
        self.done = not self._chunked and self._left == 0
        self.keeps = headers.get("connection", "").lower() != "close" and (self._chunked or self._left >= 0)
        """Whether the connection can be used again behind it."""

    def part(self, size: int) -> bytes | None:
        """The next part, empty at the end; None when more has to arrive first. Raises BrokenAnswer."""
        while not self.done:
            if self._chunked and self._left <= 0:
                if not self._next_chunk():
                    return None
                continue
            data = self._incoming.take(size if self._left < 0 else min(size, self._left))
            if not data:
                return None
            if self._left > 0:
                self._left -= len(data)
                if self._left == 0:
                    if self._chunked:
                        self._left = -2
                    else:
                        self.done = True
            return data
        return b""

    def _next_chunk(self) -> bool:
        """Go past the line between two chunks; whether it was there."""
        line = self._incoming.line()
        if line is None:
            return False
        if self._left == -2:
            self._left = 0
        elif self._left == -3:
            # behind the last chunk: trailers, up to an empty line
            self.done = not line
        else:
            try:
                size = int(line.partition(b";")[0].strip(), 16)
                if size < 0:
                    raise ValueError
                self._left = size or -3
            except ValueError:
                raise BrokenAnswer("the wharfie daemon sent a chunk without a length") from None
        return True

    def ended(self) -> None:
        """Nothing more will arrive; raises BrokenAnswer where that is too early."""
        if self._chunked or self._left > 0:
            raise BrokenAnswer("the wharfie daemon closed the connection in the middle of an answer")
        self.done = True


class Response:
    """An answer: its head, and its body as it comes in."""

    __slots__ = ("_body", "_connection", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._connection = connection
        self.status = status
        self.headers = headers
        self._body = Body(connection.incoming, status, headers)
        if not self._body.keeps:
            connection.reusable = False

    @property
    def done(self) -> bool:
        """Whether the body is read to its end."""
        return self._body.done

    def read_some(self, size: int = READ_SIZE) -> bytes:
        """The next part of the body; empty at its end. Raises BrokenAnswer when it ends too early."""
        try:
            while (part := self._body.part(size)) is None:
                if not self._connection.fill():
                    self._body.ended()
        except BrokenAnswer:
            self._connection.reusable = False
            raise
        return part

    def parts(self) -> Iterator[bytes]:
        """The body in parts, as they come."""
        while data := self.read_some():
            yield data

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.parts())

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
