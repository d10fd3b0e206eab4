"""One client's stream, tied to a process.

::

              put()                        _flush()
    Output ─────────▶ _waiting (≤ 1 MiB) ─────────▶ stream      behind: more than that, the output is held
    Input  ◀───────────────────────────────────── stream      read only while the process takes its input

    open ──detach keys────────────▶ closed (detached)
         ──client's end of input──▶ input closed (stdin_once, no terminal), otherwise closed (client)
         ──client gone────────────▶ closed (client)
         ──process gone───────────▶ ending: what is waiting goes out first, then shutdown, closed (exited)

The stream is a connected socket, usually the very one the request came on.
"""

from __future__ import annotations

import _socket

from wharfie.monitor import protocol
from wharfie.monitor.loop import GONE, READ, WRITE
from wharfie.monitor.stdio import CHUNK, HOLD_LIMIT
from wharfie.wire import stdcopy
from wharfie.wire.detachkeys import DetachKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wharfie.monitor.loop import Loop
    from wharfie.monitor.protocol import Attachment
    from wharfie.monitor.stdio import Input, Output


class Client:
    """One attachment, from its beginning until its stream is closed."""

    __slots__ = (
        "_attachment",
        "_ending",
        "_input",
        "_keys",
        "_loop",
        "_on_closed",
        "_outputs",
        "_reading",
        "_socket",
        "_waiting",
        "_watched",
    )

    def __init__(
        self,
        loop: Loop,
        attachment: Attachment,
        stream_fd: int,
        *,
        input: Input | None,
        outputs: list[Output],
        on_closed: Callable[[Client, str], None],
    ) -> None:
        self._loop = loop
        self._attachment = attachment
        self._socket = _socket.socket(fileno=stream_fd)
        self._socket.setblocking(False)
        self._keys = DetachKeys(attachment.detach_keys)
        self._input = input if attachment.stdin else None
        self._reading = self._input is not None
        self._on_closed: Callable[[Client, str], None] | None = on_closed
        self._waiting = bytearray()
        self._watched = False
        self._ending = False
        wanted = {stdcopy.STDOUT: attachment.stdout, stdcopy.STDERR: attachment.stderr}
        self._outputs = [output for output in outputs if wanted[output.stream]]
        for output in self._outputs:
            output.clients.append(self)
        self._watch()
        if attachment.prefix and self._input is not None:
            self._take_input(attachment.prefix)

    @property
    def behind(self) -> bool:
        """Whether so much waits for this client that the process's output must wait too."""
        return self.unsent > HOLD_LIMIT

    @property
    def closed(self) -> bool:
        """Whether the stream is closed already."""
        return self._on_closed is None

    @property
    def unsent(self) -> int:
        """Bytes of output that the client has yet to take."""
        return len(self._waiting)

    # output

    def put(self, stream: int, chunk: memoryview) -> None:
        """Send a chunk of output; what the client does not take now is copied."""
        if self._on_closed is None:
            return
        pieces: list[bytes | memoryview] = [chunk]
        if self._attachment.multiplex:
            pieces.insert(0, stdcopy.header(stream, len(chunk)))
        total = sum(map(len, pieces))
        sent = 0
        if not self._waiting:
            try:
                sent = self._socket.sendmsg(pieces, (), _socket.MSG_NOSIGNAL)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close(protocol.CLIENT)
                return
        if sent < total:
            self._waiting += b"".join(pieces)[sent:]
            self._watch()
            if self.behind and not self._ending:
                for output in self._outputs:
                    output.hold()

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._waiting, _socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self.close(protocol.CLIENT)
            return
        # cheap: a bytearray only moves its beginning
        del self._waiting[:sent]
        if len(self._waiting) <= HOLD_LIMIT // 2:
            for output in self._outputs:
                output.release()
        if not self._waiting:
            self._waiting = bytearray()
            self._watch()
            if self._ending:
                self.close(protocol.EXITED)

    # input

    def resume(self) -> None:
        """The process took its input: read on."""
        if self._on_closed is not None and self._reading:
            if self._input is not None and not self._input.open:
                self._reading = False
            self._watch()

    def _read(self) -> None:
        if self._input is None or self._input.busy:
            return
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.close(protocol.CLIENT)
            return
        if data:
            self._take_input(data)
        else:
            self._input_ended()

    def _take_input(self, data: bytes) -> None:
        assert self._input is not None
        text, detached = self._keys.feed(data)
        self._input.put(text)
        if detached:
            self.close(protocol.DETACHED)
        elif self._input.busy:
            self._input.wait(self)
            self._watch()

    def _input_ended(self) -> None:
        assert self._input is not None
        self._reading = False
        self._input.put(self._keys.end())
        if self._input.closes_with_client:
            self._input.close_soon()
            self._watch()
        else:
            # Docker: where its end of input means nothing to the process, it ends the attachment
            self.close(protocol.CLIENT)

    # both

    def _watch(self) -> None:
        mask = WRITE if self._waiting else 0
        if self._reading and self._input is not None and not self._input.busy:
            mask |= READ
        if self._watched:
            self._loop.change(self._socket.fileno(), mask)
        else:
            self._loop.watch(self._socket.fileno(), mask, self._ready)
            self._watched = True

    def _ready(self, events: int) -> None:
        if events & READ:
            self._read()
        if self._on_closed is not None and events & WRITE:
            self._flush()
        if self._on_closed is not None and events & GONE and not events & READ:
            if self._reading and self._input is not None and self._input.busy:
                # what it sent before it went is still to be read, once the process took the rest: see resume
                self._loop.forget(self._socket.fileno())
                self._watched = False
            else:
                self.close(protocol.CLIENT)

    def end(self) -> None:
        """The process is gone and all its output was put: close when the client has it."""
        if self._on_closed is None:
            return
        self._ending = True
        self._reading = False
        self._outputs = []
        if self._waiting:
            self._watch()
            self._flush()
        else:
            self.close(protocol.EXITED)

    def close(self, reason: str) -> None:
        """Close the stream and say why; once."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is None:
            return
        self._loop.forget(self._socket.fileno())
        outputs, self._outputs = self._outputs, []
        self._waiting = bytearray()
        stdin, self._input = self._input, None
        try:
            # other processes may hold the same socket: its end of output must not wait for them
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # not connected any more
        self._socket.close()
        for output in outputs:
            output.clients.remove(self)
            output.release()
        if stdin is not None and self._reading and reason == protocol.CLIENT and stdin.closes_with_client:
            stdin.close_soon()
        on_closed(self, reason)
