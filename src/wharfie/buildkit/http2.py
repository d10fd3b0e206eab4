"""HTTP/2 on one connection, as either side: frames are h2's, waiting is asyncio's.

::

    bytes ─▶ h2 ─▶ a stream's queue ─▶ receive()      read bytes are acknowledged when they are taken, so a
    bytes ◀─ h2 ◀─ flow control ◀──── send()          peer is never ahead by more than a window

A stream that its peer resets, or whose connection is lost, fails in whoever waits for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, NoSuchStreamError, StreamClosedError
from h2.settings import SettingCodes, Settings

from wharfie.errors import Unavailable

Headers = Sequence[tuple[str, str]]
_WINDOW = 4 << 20
_CONNECTION_WINDOW = 64 << 20
_STREAMS = 1000
_HEADERS = 1 << 20


class StreamLost(Unavailable):
    """The peer gave a stream up, or is gone."""


class Stream:
    """One stream; its peer's headers, data and trailers, and ours."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self.number = number
        self.headers: Headers = ()
        self.trailers: Headers = ()
        self.lost: StreamLost | None = None
        self.on_lost: Callable[[], object] | None = None
        self._queue: deque[tuple[bytes, int]] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    async def receive(self) -> bytes:
        """Bytes as they come; empty at the end. Raises StreamLost."""
        while True:
            if self._queue:
                data, cost = self._queue.popleft()
                self._connection.acknowledge(self, cost)
                if data:
                    return data
                continue
            if self._ended:
                return b""
            if self.lost is not None:
                raise self.lost
            await self._changed()

    @property
    def over(self) -> bool:
        """Whether the peer has sent all."""
        return self._ended

    @property
    def waiting(self) -> bool:
        """Whether there are bytes to be had without waiting."""
        return bool(self._queue)

    async def answered(self) -> None:
        """The peer's headers are here; raises StreamLost."""
        while not self.headers and not self._ended:
            if self.lost is not None:
                raise self.lost
            await self._changed()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send, as fast as the peer takes it. Raises StreamLost."""
        await self._connection.send(self, data, end=end)

    def send_headers(self, headers: Headers, *, end: bool = False) -> None:
        """Headers or trailers; raises StreamLost."""
        self._connection.send_headers(self, headers, end=end)

    def reset(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Give it up."""
        self._connection.reset(self, code)

    async def _changed(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def wake(self) -> None:
        """Something came."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self, data: bytes, cost: int) -> None:
        """Data came."""
        self._queue.append((data, cost))
        self.wake()

    def unread(self) -> int:
        """Bytes that nobody will take any more."""
        size = sum(cost for _, cost in self._queue)
        self._queue.clear()
        return size

    def end(self) -> None:
        """No more comes."""
        self._ended = True
        self.wake()

    def lose(self, error: StreamLost) -> None:
        """It is gone."""
        if self.lost is None:
            self.lost = error
            self.wake()
            if self.on_lost is not None:
                self.on_lost()


class Connection(asyncio.Protocol):
    """One connection; ``accept`` makes it the side that streams are opened to."""

    def __init__(self, accept: Callable[[Stream], None] | None = None) -> None:
        client = accept is None
        self._accept = accept
        self._h2 = H2Connection(H2Configuration(client_side=client, header_encoding="utf-8"))
        values: dict[SettingCodes, int] = {
            SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
            SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS,
        }
        if client:
            values[SettingCodes.ENABLE_PUSH] = 0
        self._h2.local_settings = Settings(client=client, initial_values=values)
        self._streams: dict[int, Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._room: asyncio.Future[None] | None = None
        self._paused = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # from asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Frames for streams."""
        try:
            happened = self._h2.receive_data(data)
        except H2Error as error:
            self._flush()
            self.close(StreamLost(f"the peer does not speak HTTP/2: {error}"))
            return
        for event in happened:
            self._handle(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """All streams are lost."""
        self._lose(StreamLost("the connection is lost"))

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """It is not any more."""
        self._paused = False
        self._make_room()

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            stream = self._streams[event.stream_id] = Stream(self, event.stream_id)
            stream.headers = _texts(event.headers)
            if self._accept is not None:
                self._accept(stream)
        elif isinstance(event, events.WindowUpdated | events.RemoteSettingsChanged):
            self._make_room()
        elif isinstance(event, events.ConnectionTerminated) and self._accept is None:
            self._lose(StreamLost("the client has ended the session"))
        else:
            self._handle_stream(event)

    def _handle_stream(self, event: events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            if isinstance(event, events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            return
        if isinstance(event, events.DataReceived):
            stream.take(event.data, event.flow_controlled_length)
        elif isinstance(event, events.ResponseReceived):
            stream.headers = _texts(event.headers)
            stream.wake()
        elif isinstance(event, events.TrailersReceived):
            stream.trailers = _texts(event.headers)
        elif isinstance(event, events.StreamEnded):
            stream.end()
        elif isinstance(event, events.StreamReset):
            self._streams.pop(event.stream_id, None)
            if not stream.over:
                stream.lose(StreamLost("the peer gave the stream up"))
            else:
                stream.lose(StreamLost("the stream is over"))
            self._make_room()

    def _lose(self, error: StreamLost) -> None:
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.lose(error)
        self._make_room()
        if not self.closed.done():
            self.closed.set_result(None)

    # for streams

    def open(self, headers: Headers) -> Stream:
        """A new stream to the peer; raises StreamLost."""
        if self.closed.done():
            raise StreamLost("the client has ended the session")
        stream = Stream(self, self._h2.get_next_available_stream_id())
        self._streams[stream.number] = stream
        self.send_headers(stream, headers)
        return stream

    def send_headers(self, stream: Stream, headers: Headers, *, end: bool = False) -> None:
        """See :meth:`Stream.send_headers`."""
        if stream.lost is not None:
            raise stream.lost
        try:
            self._h2.send_headers(stream.number, list(headers), end_stream=end)
        except H2Error as error:
            raise StreamLost(f"the stream cannot be written to: {error}") from error
        self._flush()

    async def send(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """See :meth:`Stream.send`."""
        rest = memoryview(data)
        while True:
            if stream.lost is not None:
                raise stream.lost
            try:
                room = min(
                    self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size
                )
                if not self._paused and (room > 0 or not rest):
                    piece, rest = rest[:room], rest[room:]
                    self._h2.send_data(stream.number, bytes(piece), end_stream=end and not rest)
                    self._flush()
                    if not rest:
                        return
                    continue
            except H2Error as error:
                raise StreamLost(f"the stream cannot be written to: {error}") from error
            await self._until_room()

    async def _until_room(self) -> None:
        if self._room is None or self._room.done():
            self._room = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._room)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Bytes were taken: the peer may send as many more."""
        with suppress(NoSuchStreamError, StreamClosedError):
            self._h2.acknowledge_received_data(size, stream.number)
        self._flush()

    def reset(self, stream: Stream, code: ErrorCodes) -> None:
        """See :meth:`Stream.reset`."""
        if stream.number in self._streams:
            with suppress(H2Error):
                self._h2.reset_stream(stream.number, code)
        self.forget(stream)

    def forget(self, stream: Stream) -> None:
        """Both sides have ended it; what was not read of it counts for the connection's window no more."""
        self._streams.pop(stream.number, None)
        self.acknowledge(stream, stream.unread())

    def close(self, error: StreamLost | None = None) -> None:
        """End the connection; what is still open is lost."""
        self._lose(error or StreamLost("the connection is closed"))
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def attach(fd: int, prefix: bytes, connection: Connection) -> None:
    """Let a connected socket, given as a descriptor, and what was read of it already be ``connection``'s."""
    sock = socket.socket(fileno=fd)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
    except BaseException:
        sock.close()
        raise
    if prefix:
        connection.data_received(prefix)


def _texts(headers: object) -> Headers:
    return cast(Headers, headers)
