"""Bytes between a hijacked connection and this process's standard streams.

One loop, one thread: poll(2) over the connection and standard input; the connection is not blocking, so that
input waiting to be sent never holds up output. Output goes through one reused buffer and memoryviews of it,
a run of frames of one stream by one writev(2).
"""

from __future__ import annotations

import posix
import select

from wharfie.wire.stdcopy import STDERR, STDOUT, SYSTEM_ERROR, Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Filter(Protocol):
        """Looks at what is typed."""

        def feed(self, data: bytes) -> tuple[bytes, bool]:
            """What to pass on, and whether to detach."""

    Writer = Callable[[memoryview], None]

BUFFER = 1 << 20
_FIRST = 1 << 12
INPUT = 1 << 18
_VECTORS = 512
_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def write_parts(fd: int, parts: list[memoryview]) -> None:
    """Write all parts, however many calls that takes; a descriptor that does not block is waited for."""
    while parts:
        try:
            written = posix.writev(fd, parts[:_VECTORS])
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(fd, select.POLLOUT)
            waiting.poll()
            continue
        done = 0
        while done < len(parts) and written >= len(parts[done]):
            written -= len(parts[done])
            done += 1
        del parts[:done]
        if written:
            parts[0] = parts[0][written:]


class Framed:
    """Writes frames to standard output and standard error."""

    __slots__ = ("_demultiplexer",)

    def __init__(self) -> None:
        self._demultiplexer = Demultiplexer()

    def __call__(self, data: memoryview) -> None:
        """Take the next piece of the stream; raises NotFramed."""
        current, parts = STDOUT, list[memoryview]()
        for stream, part in self._demultiplexer.feed(data):
            if stream != current and parts:
                write_parts(_target(current), parts)
            current = stream
            parts.append(part)
        write_parts(_target(current), parts)


def _target(stream: int) -> int:
    return 2 if stream in (STDERR, SYSTEM_ERROR) else 1


def raw(data: memoryview) -> None:
    """Writes a terminal's output."""
    write_parts(1, [data])


def copy(parts: Iterator[bytes], *, framed: bool) -> None:
    """Write a whole stream (``logs``) to the standard streams."""
    write: Writer = Framed() if framed else raw
    for part in parts:
        write(memoryview(part))


class Relay:
    """A hijacked connection and the standard streams; :meth:`run` returns when one end is done."""

    __slots__ = ("_buffer", "_ended", "_filter", "_pending", "_poll", "_sock", "_stdin", "_write")

    def __init__(
        self, sock: _socket.socket, *, framed: bool, stdin: bool, typed: Filter | None = None
    ) -> None:
        """``typed`` sees standard input first."""
        self._sock = sock
        self._write: Writer = Framed() if framed else raw
        self._stdin = 0 if stdin else -1
        self._filter = typed
        self._pending = memoryview(b"")
        self._ended = False
        # small until something comes: clearing a large one costs most of a millisecond
        self._buffer = memoryview(bytearray(_FIRST))
        self._poll = select.poll()

    def run(self, rest: bytes) -> bool:
        """Copy until the other side ends; True when the user detached. ``rest`` came with the head."""
        if rest:
            self._write(memoryview(rest))
        self._sock.setblocking(False)
        self._poll.register(self._sock.fileno(), select.POLLIN)
        if self._stdin >= 0:
            self._poll.register(self._stdin, select.POLLIN)
        remote = self._sock.fileno()
        while True:
            for fd, events in self._poll.poll():
                if fd == remote:
                    if events & select.POLLOUT:
                        self._send()
                    if events & (select.POLLIN | _GONE) and not self._receive():
                        return False
                elif self._read_input():
                    return True

    def _receive(self) -> bool:
        try:
            count = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if count:
            self._write(self._buffer[:count])
            if count == len(self._buffer) < BUFFER:
                self._buffer = memoryview(bytearray(BUFFER))
        return count > 0

    def _read_input(self) -> bool:
        try:
            data = posix.read(self._stdin, INPUT)
        except OSError:
            # a terminal that hung up (EIO) is at its end
            data = b""
        if not data:
            self._ended = True
        elif self._filter is not None:
            data, detached = self._filter.feed(data)
            if detached:
                return True
        self._pending = memoryview(data)
        # until all of it is sent there is no more input; poll(2) would report a hang-up even so
        self._poll.unregister(self._stdin)
        self._send()
        return False

    def _send(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[self._sock.send(self._pending) :]
        except BlockingIOError:
            self._poll.modify(self._sock.fileno(), select.POLLIN | select.POLLOUT)
            return
        except ConnectionError:
            # nobody reads any more: what is left of the output still counts
            self._pending = memoryview(b"")
            self._stdin = -1
        self._poll.modify(self._sock.fileno(), select.POLLIN)
        if self._ended:
            self._half_close()
        elif self._stdin >= 0:
            self._poll.register(self._stdin, select.POLLIN)

    def _half_close(self) -> None:
        self._ended = False
        self._stdin = -1
        try:
            # shutdown(2), SHUT_WR: the process inside sees the end of its standard input
            self._sock.shutdown(1)
        except OSError:
            return
