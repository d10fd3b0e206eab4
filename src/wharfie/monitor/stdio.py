"""A process's standard streams, as its monitor holds them.

::

    Output: pipe or pty master ──▶ log file, clients        Input: clients ──▶ pipe or pty master

Output goes to the log and to each client in the chunks it was read in. A client that does not read holds at
most ``HOLD_LIMIT`` bytes back; then the output waits for it (as Docker does), and goes on when half of that
is gone. Input is one chunk ahead at most: the clients are read again when the process took what they sent.
pipe(7), pty(7), poll(2).
"""

from __future__ import annotations

import errno
import posix as os
import time

from wharfie.linux.libc import trim_memory
from wharfie.monitor.loop import GONE, READ, WRITE
from wharfie.wire import stdcopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.logs.jsonfile import JsonFile
    from wharfie.monitor.clients import Client
    from wharfie.monitor.loop import Loop

FIRST_CHUNK, CHUNK = 8 * 1024, 128 * 1024
"""A page that is read into has to be cleared first; most programs say little."""
HOLD_LIMIT = 1 << 20
DRAIN_LIMIT = 64 << 20
"""How much is still read once the process is gone, should somebody else keep writing."""

REST = 0.2
"""Seconds without output after which the memory that a burst of it took is given back."""

STREAM_NAMES = {stdcopy.STDOUT: "stdout", stdcopy.STDERR: "stderr"}


class _Buffer:
    """What output is read into, one for all: there while there is output, some 200 KiB with its encodings."""

    __slots__ = ("view",)

    def __init__(self) -> None:
        self.view: memoryview | None = None

    def take(self, loop: Loop, size: int) -> memoryview:
        """Make it, and see to its end."""
        self.view = view = memoryview(bytearray(size))
        loop.call_later(REST, self.drop)
        return view

    def drop(self) -> None:
        """Give it back."""
        self.view = None
        trim_memory()


buffer = _Buffer()


class Output:
    """What a process writes to one of its streams."""

    __slots__ = ("_fd", "_held", "_log", "_loop", "clients", "stream")

    def __init__(self, loop: Loop, fd: int, stream: int, log: JsonFile | None) -> None:
        self._loop = loop
        self._fd = fd
        self._log = log
        self._held = False
        self.stream = stream
        self.clients: list[Client] = []
        os.set_blocking(fd, False)
        loop.watch(fd, READ, self._ready)

    def _ready(self, events: int) -> None:
        if events & READ:
            self._read()
        else:
            # closed by all who had it, with nothing left in it (poll(2)): no buffer is needed
            self.close()

    def _read(self) -> int:
        """Read one chunk and pass it on: its length, 0 at the end, -1 if there is none now."""
        view = buffer.view or buffer.take(self._loop, FIRST_CHUNK)
        try:
            length = os.readv(self._fd, (view,))
        except BlockingIOError:
            return -1
        except OSError as error:
            # EIO: the other end of a pty is closed by all who had it
            if error.errno != errno.EIO:
                raise
            length = 0
        if not length:
            self.close()
            return 0
        chunk = view[:length]
        if length == len(view) == FIRST_CHUNK:
            buffer.take(self._loop, CHUNK)
        if self._log is not None:
            self._log.write(STREAM_NAMES[self.stream], chunk, time.time_ns())
        for client in tuple(self.clients):
            client.put(self.stream, chunk)
        return length

    def hold(self) -> None:
        """A client is too far behind: leave the output where it is."""
        if not self._held and self._fd >= 0:
            self._held = True
            self._loop.forget(self._fd)

    def release(self) -> None:
        """Go on, if no client is too far behind any more."""
        if self._held and not any(client.behind for client in self.clients):
            self._held = False
            if self._fd >= 0:
                self._loop.watch(self._fd, READ, self._ready)

    def drain(self) -> None:
        """The process is gone: pass on what is left, without waiting for anybody."""
        left = DRAIN_LIMIT
        while self._fd >= 0 and left > 0:
            length = self._read()
            if length < 0:
                break
            left -= length

    def finish_log(self) -> None:
        """Log what came without a newline; nothing is logged from here any more."""
        if self._log is not None:
            self._log.finish(STREAM_NAMES[self.stream], time.time_ns())
            self._log = None

    def discard(self) -> None:
        """Nobody listens any more, but others still write: read and forget, so that they do not die of it."""
        self.finish_log()
        self.clients = []
        self.release()

    def close(self) -> None:
        """The end of the stream."""
        if self._fd >= 0:
            self.finish_log()
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1


class Input:
    """What clients type for a process; owns its descriptor (a pipe, or a duplicate of the pty's master)."""

    __slots__ = ("_closing", "_fd", "_loop", "_pending", "_waiting", "closes_with_client")

    def __init__(self, loop: Loop, fd: int, *, closes_with_client: bool) -> None:
        self._loop = loop
        self._fd = fd
        self._pending = b""
        self._closing = False
        self.closes_with_client = closes_with_client
        self._waiting: list[Client] = []
        os.set_blocking(fd, False)

    @property
    def open(self) -> bool:
        """Whether the process can still get input."""
        return self._fd >= 0 and not self._closing

    @property
    def busy(self) -> bool:
        """Whether the process has yet to take what was sent before."""
        return bool(self._pending)

    def put(self, data: bytes) -> None:
        """Send ``data``; ``busy`` says afterwards whether to wait (see ``wait``)."""
        if not self.open or not data:
            return
        if self._pending:
            self._pending += data
            return
        self._pending = data
        self._flush(0)

    def wait(self, client: Client) -> None:
        """Tell ``client`` (``resume``) when the process took all."""
        if client not in self._waiting:
            self._waiting.append(client)

    def close_soon(self) -> None:
        """Close the stream once the process took what was sent before."""
        self._closing = True
        if not self._pending:
            self.close()

    def close(self) -> None:
        """Close the stream now; also when its reader is gone."""
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._pending = b""
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for client in waiting:
            client.resume()

    def _flush(self, events: int) -> None:
        watched = bool(events)
        try:
            written = os.write(self._fd, self._pending)
        except BlockingIOError:
            written = 0
        except OSError:
            # EPIPE: nobody reads any more
            self.close()
            return
        self._pending = self._pending[written:]
        if self._pending:
            if events & GONE:
                self.close()
            elif not watched:
                self._loop.watch(self._fd, WRITE, self._flush)
            return
        if watched:
            self._loop.forget(self._fd)
        if self._closing:
            self.close()
        else:
            self._wake()
