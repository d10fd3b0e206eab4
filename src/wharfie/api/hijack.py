"""Connections that turn from HTTP into a raw stream of bytes (attach, exec start).

::

    client    POST /containers/{id}/attach  [Upgrade: tcp]  \\r\\n\\r\\n  stdin bytes ...
    daemon    101 UPGRADED  (200 OK without Upgrade)        \\r\\n\\r\\n  output ...

Whatever follows the request in the same packet is stdin already. aiohttp's parser drops it for ``Upgrade:
tcp`` and takes it for another request without. So a request that may turn is cut out of the byte stream
here, before the parser: it gets exactly the request, what came behind is held, and nothing more is read
from the socket; the rest stays in the kernel, the client's half-close included. Then either the handler
takes the connection over (the held bytes become the stream's prefix, the socket's descriptor is duplicated
and the transport closed: close(2) of one of two descriptors sends no FIN), or the request was answered like
any other and the held bytes go to the parser.

A connection with TLS is plain here as any other: :mod:`wharfie.api.terminator` is before it.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any, cast

from aiohttp.web import BaseRequest
from aiohttp.web_protocol import RequestHandler

from wharfie.api.answers import head, json_answer
from wharfie.api.errors import encodable
from wharfie.api.threadbody import ThreadBody
from wharfie.errors import InvalidArgument

RAW = "application/vnd.docker.raw-stream"
_TURNING = re.compile(
    rb"POST (?:http://[^/ ]*)?(?:/v\d+\.\d+)?"
    rb"/+(?:containers/[^/ ?]+/attach|exec/[^/ ?]+/start|grpc|session)[? ]"
)
_LARGE = re.compile(rb"POST (?:http://[^/ ]*)?(?:/v\d+\.\d+)?/+images/load[? ]")
_POST = b"POST "
_LINE_LIMIT = 8190
_HEAD_LIMIT = 1 << 16
_BODY_LIMIT = 1 << 16
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
# nothing else that int() takes: a negative size would lead back to chunks that were looked at already
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}(?=[ \t]*(?:;|$))")
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n")


class BodyCut(InvalidArgument):
    """The client said in advance that its request would be longer."""


class Connection(RequestHandler):
    """aiohttp's connection handler, with an eye on requests that may turn the connection."""

    __slots__ = (
        "_asked",
        "_body",
        "_continued",
        "_ended",
        "_held",
        "_large",
        "_partial",
        "_taken",
        "_watcher",
        "remote",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partial = b""
        self._held: bytes | None = None
        self._continued = False
        self._taken = False
        self._large = False
        self._ended = False
        self._asked: BaseRequest | None = None
        self._body: ThreadBody | None = None
        self._watcher: asyncio.Task[Any] | None = None
        self.remote = False
        """It comes by TLS over TCP, whatever socket that is here."""

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the parser, except for what follows a request that may turn."""
        if self._held is not None:
            self._held += data
            return
        if not self._partial and (self._request_in_progress or self._messages):
            super().data_received(data)
        else:
            self._sift(data)

    def _sift(self, data: bytes) -> None:
        """Look at what begins a request."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        elif not _POST.startswith(data[:5]):
            super().data_received(data)
            return
        end = self._end_of_turning(data)
        if end is None:
            self._partial = data
        elif end == 0:
            super().data_received(data)
        else:
            self._held = data[end:]
            self._pause_transport_reading()
            super().data_received(data[:end])

    def _end_of_turning(self, data: bytes) -> int | None:
        """Where the request ends; 0 if it is not one that may turn, None if more bytes are needed."""
        if data.find(b"\r\n", 0, _LINE_LIMIT) < 0:
            return None if len(data) < _LINE_LIMIT else 0
        large = _LARGE.match(data)
        if not large and not _TURNING.match(data):
            return 0
        stop = data.find(b"\r\n\r\n", 0, _HEAD_LIMIT)
        if stop < 0:
            return None if len(data) < _HEAD_LIMIT else 0
        headers = data[: stop + 4].lower()
        if large:
            self._large = self.transport is not None and bool(_CHUNKED.search(headers))
            return stop + 4 if self._large else 0
        end = _body_end(data, stop + 4, headers)
        if end is None and _EXPECT.search(headers) and not self._continued and self.transport is not None:
            self._continued = True
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if end is None and len(data) > _HEAD_LIMIT + _BODY_LIMIT:
            return 0
        return end

    def begun(self, request: BaseRequest) -> BaseRequest:
        """A request is taken up."""
        self._asked = request
        return request

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """Answer what is no HTTP as every other error; aiohttp's own is text, and a traceback in the log."""
        if status >= 500:
            self.log_exception("a request failed", exc_info=exc)
        return json_answer(
            {"message": encodable((message or str(exc) or "malformed request").strip())}, status
        )

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more (a half-close): what it asked for in full it still gets.

        A stream ends, for one that has left looks the same.
        """
        payloads = [payload for _, payload in self._messages]
        if self._asked is not None:
            payloads.append(self._asked.content)
        if self.transport is None or self._watcher is not None or not (payloads or self._request_in_progress):
            return False
        self._ended = True
        for payload in payloads:
            if not payload.is_eof():
                payload.set_exception(BodyCut("the request body ends in its middle"))
                payload.feed_eof()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the parser and whoever watches the client."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
        super().connection_lost(exc)

    def cancel_when_lost(self) -> None:
        """Cancel the current task when the client goes away (streams, waits).

        Raises:
            ConnectionError: it may be gone already.
        """
        if self._ended:
            if self.transport is not None:
                self.transport.close()
            raise ConnectionResetError("the client is gone")
        self._watcher = asyncio.current_task()

    def give_up(self) -> None:
        """End a stream or a wait that has no end of its own: the daemon ends."""
        if self._watcher is not None:
            self._watcher.cancel()

    def settled(self) -> None:
        """The request is answered: nobody is cancelled any more, and held bytes are a further request."""
        self._watcher = self._asked = None
        self._continued = False
        if self._ended and not self._messages:
            # aiohttp's: the connection ends with the answer
            self._close = True
        if self._large:
            self._large = False
            self._give_back()
        if self._held is None or self._taken:
            return
        held, self._held = self._held, None
        if self.transport is None:
            return
        if held:
            self._sift(held)
        if self._held is None and not self._buffer_paused:
            self._resume_transport_reading()

    def body(self) -> ThreadBody | None:
        """The body of a large upload, to be read in a thread past the event loop; None for any other."""
        if not self._large or self._held is None or self.transport is None:
            return None
        fd = os.dup(self.transport.get_extra_info("socket").fileno())
        self._body = ThreadBody(fd, self._held)
        self._held = b""
        return self._body

    def _give_back(self) -> None:
        """Let the parser go on where a thread has stopped to read, or has never begun."""
        body, self._body = self._body, None
        held, self._held = self._held or b"", None
        rest = held if body is None else body.give_back()
        if self.transport is None:
            return
        super().data_received(rest)
        if not self._buffer_paused:
            self._resume_transport_reading()

    def take(self) -> bytes:
        """The bytes that came behind the request; the parser gets nothing any more."""
        self._taken = True
        held, self._held = self._held, b""
        return held or b""


def _body_end(data: bytes, start: int, headers: bytes) -> int | None:
    if _CHUNKED.search(headers):
        return _chunks_end(data, start) if b"/exec/" in headers[: headers.index(b"\r\n")] else start
    length = _LENGTH.search(headers)
    end = start + (int(length[1]) if length else 0)
    return end if len(data) >= end else None


def _chunks_end(data: bytes, at: int) -> int | None:
    """Where a chunked body ends. An attach has no body, so there the chunks are the stream itself."""
    while True:
        line = data.find(b"\r\n", at, at + 64)
        if line < 0:
            return None
        written = _CHUNK_SIZE.match(data, at, line)
        if written is None:
            return line + 2
        size = int(written[0], 16)
        at = line + 2 + size + 2
        if size == 0:
            return at if len(data) >= at else None


class Taken:
    """A connection that is ours alone: its descriptor, and the bytes that were read already."""

    __slots__ = ("fd", "prefix")

    def __init__(self, fd: int, prefix: bytes) -> None:
        self.fd = fd
        """Non-blocking, close-on-exec; whoever takes it closes it."""
        self.prefix = prefix


def upgrades(request: BaseRequest) -> bool:
    """Whether the client asks for another protocol."""
    return "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers


async def take_over(request: BaseRequest, content_type: str, protocol: str = "tcp") -> Taken:
    """Send the head of the answer and take the connection from HTTP.

    ``content_type`` is told to clients that upgrade; others are told what they always were.

    Raises:
        ConnectionError: the client is gone.
    """
    connection = cast(Connection, request.protocol)
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client is gone")
    if request.version < (1, 1):
        raise InvalidArgument("attaching to a stream needs HTTP/1.1")
    upgrade = upgrades(request)
    headers = {"Content-Type": RAW}
    if upgrade:
        headers = {"Connection": "Upgrade", "Upgrade": protocol}
        if content_type:
            headers["Content-Type"] = content_type
    # then drained means that the head has left for the kernel
    transport.set_write_buffer_limits(0)
    transport.write(head(101, headers, phrase="UPGRADED") if upgrade else head(200, headers))
    await connection._drain_helper()
    if transport.is_closing():
        raise ConnectionResetError("the client is gone")
    prefix = connection.take()
    fd = os.dup(transport.get_extra_info("socket").fileno())
    transport.abort()
    return Taken(fd, prefix)
