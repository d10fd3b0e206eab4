"""Answers, written straight to the transport.

aiohttp's own response objects cost several times what Docker's small JSON bodies need (case-insensitive
header maps, cookies, compression, one task switch more). An answer here is a status, a few headers and
bytes in one write; a stream is the same head with ``Transfer-Encoding: chunked`` and every chunk sent as it
comes. aiohttp's connection handler asks three things of a response: ``prepare``, ``write_eof`` and
``keep_alive``.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Any

from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from aiohttp.web import BaseRequest

import wharfie
from wharfie.api.threadsink import ThreadSink
from wharfie.wire.base import encode

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
JSON = "application/json"
SERVER_NAME = f"Wharfie/{wharfie.__version__} (linux)"

_ANSWERER = (
    f"Api-Version: {API_VERSION}\r\nDocker-Experimental: {{}}\r\nOstype: linux\r\nServer: {SERVER_NAME}\r\n"
)
_common = _ANSWERER.format("false")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = frozenset({204, 304})


def set_experimental(experimental: bool) -> None:
    """Say with every answer whether this daemon has what is experimental."""
    global _common
    _common = _ANSWERER.format("true" if experimental else "false")


def head(status: int, headers: dict[str, str], *, phrase: str | None = None) -> bytes:
    """Status line and headers."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    text = (
        f"HTTP/1.1 {status} {phrase or _PHRASES.get(status, '')}\r\n{_common}"
        f"Date: {rfc822_formatted_time()}\r\n{lines}\r\n"
    )
    return text.encode("latin-1", "replace")


class Answer:
    """A whole answer: status, headers, body."""

    __slots__ = ("body", "headers", "keep_alive", "status")

    def __init__(
        self, status: int = 200, body: bytes = b"", *, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.keep_alive = True

    async def prepare(self, request: BaseRequest) -> None:
        """Send it. Raises ConnectionError when the client is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self.keep_alive = request.keep_alive
        headers = self.headers
        if self.status not in _BODILESS:
            headers["Content-Length"] = headers.get("Content-Length", str(len(self.body)))
        if not self.keep_alive:
            headers["Connection"] = "close"
        data = head(self.status, headers)
        if self.body and request.method != "HEAD":
            data += self.body
        transport.write(data)
        await request.protocol._drain_helper()

    async def write_eof(self) -> None:
        """Nothing is left to send."""


class Stream:
    """An answer whose body comes in pieces, each sent at once."""

    __slots__ = ("_chunked", "_content_type", "_headers", "_request", "keep_alive", "started")

    def __init__(
        self, request: BaseRequest, content_type: str = JSON, *, headers: dict[str, str] | None = None
    ) -> None:
        self._request = request
        self._content_type = content_type
        self._headers = headers or {}
        self._chunked = request.version >= HttpVersion11
        self.keep_alive = request.keep_alive and self._chunked
        self.started = False

    async def start(self) -> None:
        """Send the head."""
        await self._send(self._head())

    def _head(self) -> bytes:
        self.started = True
        headers = {"Content-Type": self._content_type, **self._headers}
        if self._chunked:
            headers["Transfer-Encoding"] = "chunked"
        if not self.keep_alive:
            headers["Connection"] = "close"
        return head(200, headers)

    def sink(self) -> ThreadSink | None:
        """Through which a thread can send the body itself; None where only the event loop can."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        secure = transport.get_extra_info("sslcontext") is not None
        if secure or self.started or not self._chunked or transport.get_write_buffer_size():
            return None
        return ThreadSink(os.dup(transport.get_extra_info("socket").fileno()), self._head)

    async def write(self, data: bytes) -> None:
        """Send a piece, and wait while the client is slow. Raises ConnectionError when it is gone."""
        if not self.started:
            await self.start()
        if data:
            await self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def write_json(self, value: Any) -> None:
        """Send one JSON document and a newline."""
        await self.write(encode(value) + b"\n")

    async def _send(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)
        await self._request.protocol._drain_helper()

    def abort(self) -> None:
        """Cut the connection, so that the client does not take what it has for the whole."""
        self.keep_alive = False
        if self._request.transport is not None:
            self._request.transport.abort()

    async def prepare(self, request: BaseRequest) -> None:
        """Send the head if nothing was sent yet."""
        if not self.started:
            await self.start()

    async def write_eof(self) -> None:
        """Send the end of the body."""
        if self._chunked:
            await self._send(b"0\r\n\r\n")


class TakenOver:
    """Stands for the answer on a connection that is no longer ours."""

    __slots__ = ()
    keep_alive = False

    async def prepare(self, request: BaseRequest) -> None:
        """Nothing may be written any more."""

    async def write_eof(self) -> None:
        """Nothing may be written any more."""


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, encode(value), headers={"Content-Type": JSON})


def empty_answer(status: int = 204) -> Answer:
    """An answer without a body."""
    return Answer(status)
