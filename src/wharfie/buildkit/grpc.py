"""gRPC on HTTP/2 streams: messages with five bytes before them, a status in the trailers, both directions.

A handler gets a :class:`Call` and sends messages; what it raises becomes the status. As a client,
:class:`Request` is the same seen from the other side.
"""

from __future__ import annotations

import base64
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from google.protobuf.message import DecodeError
from h2.errors import ErrorCodes

from wharfie import errors
from wharfie.buildkit.http2 import Connection, Headers, Stream, StreamLost
from wharfie.buildkit.messages import common
from wharfie.support.tasks import spawn

_PREFIX = struct.Struct(">BI")
_LIMIT = 64 << 20
"""Bytes of one message: a peer's word is not taken for more."""
_DETAILS_LIMIT = 512 << 10
_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_log = logging.getLogger(__name__)

OK, CANCELLED, UNKNOWN, INVALID, DEADLINE, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION = range(10)
ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED = range(10, 17)
CODES: dict[type[errors.WharfieError], int] = {
    errors.InvalidArgument: INVALID,
    errors.Unauthorized: UNAUTHENTICATED,
    errors.Forbidden: DENIED,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: PRECONDITION,
    errors.NotModified: PRECONDITION,
    errors.Unavailable: UNAVAILABLE,
    errors.NotSupported: UNIMPLEMENTED,
    errors.InternalError: INTERNAL,
}
Detail = tuple[str, bytes]
"""The name of a type and a value, which only its reader understands."""


class RpcError(errors.WharfieError):
    """A call that failed: what the status says."""

    def __init__(self, code: int, message: str, details: list[Detail] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or []

    def status(self) -> Any:
        """As a message."""
        found = common.Status(code=self.code, message=self.message.encode("utf-8", "replace").decode())
        for name, value in self.details:
            found.details.add(type_url=name, value=value)
        return found

    @classmethod
    def of(cls, status: Any) -> RpcError:
        """Out of a message."""
        return cls(status.code, status.message, [(one.type_url, one.value) for one in status.details])


def code_of(error: BaseException) -> int:
    """The status code for an error, by the nearest kind it is of."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return UNKNOWN


class _Messages:
    """What comes on a stream, message by message."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """One message; None at the end. Raises RpcError for what is no gRPC."""
        while len(self._buffer) < _PREFIX.size:
            if not await self._more():
                return None
        compressed, size = _PREFIX.unpack_from(self._buffer)
        if compressed:
            raise RpcError(UNIMPLEMENTED, "compressed messages are not supported")
        if size > _LIMIT:
            raise RpcError(EXHAUSTED, f"a message of {size} bytes is larger than {_LIMIT}")
        end = _PREFIX.size + size
        while len(self._buffer) < end:
            if not await self._more():
                raise RpcError(INTERNAL, "the stream ends in the middle of a message")
        found = bytes(memoryview(self._buffer)[_PREFIX.size : end])
        del self._buffer[:end]
        return found

    @property
    def more(self) -> bool:
        """Whether something is here that can be read without waiting."""
        return len(self._buffer) > _PREFIX.size or self._stream.waiting

    async def _more(self) -> bool:
        data = await self._stream.receive()
        self._buffer += data
        if not data and self._buffer:
            raise RpcError(INTERNAL, "the stream ends in the middle of a message")
        return bool(data)


def framed(message: Any) -> bytes:
    """A message as it is sent."""
    data: bytes = message.SerializeToString()
    return _PREFIX.pack(0, len(data)) + data


def parsed(kind: Any, data: bytes) -> Any:
    """A message out of its bytes; raises RpcError."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RpcError(INTERNAL, f"a message cannot be read: {error}") from None


class Call:
    """A request to us."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._messages = _Messages(stream)
        self.metadata = metadata_of(stream.headers)
        self.path = self.metadata.get(":path", [""])[0]
        self.answering = False

    async def one(self, kind: Any) -> Any:
        """The only message of a request."""
        data = await self._messages.next()
        if data is None:
            raise RpcError(INTERNAL, "the request has no message")
        return parsed(kind, data)

    async def all(self, kind: Any) -> AsyncIterator[Any]:
        """Messages as they come."""
        while (data := await self._messages.next()) is not None:
            yield parsed(kind, data)

    def begin(self, metadata: Headers = ()) -> None:
        """Send the head of the answer, before there is a message."""
        if not self.answering:
            self.answering = True
            self._stream.send_headers([(":status", "200"), ("content-type", "application/grpc"), *metadata])

    async def send(self, message: Any) -> None:
        """Send a message."""
        self.begin()
        await self._stream.send(framed(message))


Handler = Callable[[Call], Awaitable[None]]


class Server:
    """Our side of a connection that we are called on."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self.connection = Connection(self._accept)

    def _accept(self, stream: Stream) -> None:
        task = spawn("answer a call", self._answer(stream))
        stream.on_lost = task.cancel

    async def _answer(self, stream: Stream) -> None:
        call = Call(stream)
        try:
            status = await self._status(call)
            trailers = trailers_of(status)
            if call.answering:
                stream.send_headers(trailers, end=True)
            else:
                head = [(":status", "200"), ("content-type", "application/grpc")]
                stream.send_headers([*head, *trailers], end=True)
        except StreamLost:
            return
        finally:
            stream.on_lost = None
            self.connection.forget(stream)

    async def _status(self, call: Call) -> RpcError | None:
        handler = self._handlers.get(call.path)
        if handler is None:
            service, _, method = call.path.strip("/").partition("/")
            return RpcError(UNIMPLEMENTED, f"unknown method {method} for service {service}")
        try:
            await handler(call)
        except RpcError as error:
            return error
        except StreamLost:
            raise
        except errors.WharfieError as error:
            return RpcError(code_of(error), error.message)
        except Exception as error:
            _log.error("a call failed: %s", call.path, exc_info=error)
            return RpcError(INTERNAL, f"{type(error).__name__}: {error}")
        return None


class Request:
    """A call of ours to the peer; to be left with ``async with``."""

    def __init__(self, connection: Connection, path: str, metadata: Headers = ()) -> None:
        self._connection = connection
        self._path = path
        self._metadata = metadata
        self._stream: Stream | None = None

    async def __aenter__(self) -> Request:
        head = [
            (":method", "POST"), (":scheme", "http"), (":path", self._path), (":authority", "localhost"),
            ("content-type", "application/grpc"), ("te", "trailers"), *self._metadata,
        ]  # fmt: skip
        self._stream = self._connection.open(head)
        self._messages = _Messages(self._stream)
        return self

    async def __aexit__(self, *_: object) -> None:
        stream = self._stream
        if stream is not None:
            stream.reset(ErrorCodes.NO_ERROR if stream.trailers else ErrorCodes.CANCEL)

    async def send(self, message: Any, *, end: bool = False) -> None:
        """Send a message; raises StreamLost."""
        assert self._stream is not None
        await self._stream.send(framed(message), end=end)

    async def send_framed(self, data: bytes) -> None:
        """Send messages that are framed already."""
        assert self._stream is not None
        await self._stream.send(data)

    @property
    def more(self) -> bool:
        """Whether something is here that can be read without waiting."""
        return self._messages.more

    async def end(self) -> None:
        """Nothing more is sent."""
        assert self._stream is not None
        await self._stream.send(b"", end=True)

    async def next(self) -> bytes | None:
        """A message; None when the call went well and is over. Raises RpcError, StreamLost."""
        assert self._stream is not None
        found = await self._messages.next()
        if found is None:
            self._check(self._stream)
        return found

    def _check(self, stream: Stream) -> None:
        said = metadata_of([*stream.headers, *stream.trailers])
        code = said.get("grpc-status", [str(UNKNOWN)])[0]
        if code == "0":
            return
        message = unquote(said.get("grpc-message", [""])[0], errors="replace")
        raise RpcError(int(code) if code.isdecimal() else UNKNOWN, message or f"{self._path} failed")


async def ask(connection: Connection, path: str, message: Any, kind: Any, metadata: Headers = ()) -> Any:
    """A question with one answer; raises RpcError, StreamLost."""
    async with Request(connection, path, metadata) as request:
        await request.send(message, end=True)
        data = await request.next()
        if data is None:
            raise RpcError(INTERNAL, f"{path} has no answer")
        while await request.next() is not None:
            pass
        return parsed(kind, data)


def metadata_of(headers: Headers) -> dict[str, list[str]]:
    """Headers by name."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return found


def trailers_of(error: RpcError | None) -> list[tuple[str, str]]:
    """A status as trailers."""
    if error is None:
        return [("grpc-status", "0")]
    found = [
        ("grpc-status", str(error.code)),
        ("grpc-message", quote(error.message[:8192], safe=_PLAIN, errors="replace")),
    ]
    if error.details:
        data = error.status().SerializeToString()
        if len(data) <= _DETAILS_LIMIT:
            found.append(("grpc-status-details-bin", base64.b64encode(data).decode().rstrip("=")))
    return found
