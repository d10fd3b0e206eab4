"""Questions that are not ours, passed on: one server after the other, each asked once.

By datagram as it came, with an identifier and a port that nobody can guess (RFC 5452); by stream with its
length before it (RFC 1035, 4.2.2). The answer goes back under the asker's own identifier.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from wharfie.porter.loop import READ, WRITE, Loop, Timer

PATIENCE = 2.0
MOST = 512
"""Questions under way at once: a container that floods us waits for itself."""
Done = Callable[[bytes | None], None]


class Upstream:
    """The way out for questions."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._under_way: dict[str, int] = {}

    def ask(self, asker: str, message: bytes, servers: Sequence[str], done: Done, *, stream: bool) -> None:
        """Find an answer; ``done`` gets None where nobody has one."""
        if not servers or self._under_way.get(asker, 0) >= MOST:
            done(None)
            return
        self._under_way[asker] = self._under_way.get(asker, 0) + 1

        def finished(answer: bytes | None) -> None:
            self._under_way[asker] -= 1
            if not self._under_way[asker]:
                del self._under_way[asker]
            done(answer)

        kind = _Stream if stream else _Datagram
        kind(self._loop, message, list(servers), finished).begin()


class _Ask:
    """One question on its way."""

    kind = socket.SOCK_DGRAM

    def __init__(self, loop: Loop, message: bytes, servers: list[str], done: Done) -> None:
        self._loop = loop
        self._original = message[:2]
        self._done = done
        self._servers = servers
        self._sock: socket.socket | None = None
        self._timer: Timer | None = None
        self.message = message

    def begin(self) -> None:
        """Ask the next server."""
        while self._servers:
            host, port = _split(self._servers.pop(0))
            self.message = os.urandom(2) + self.message[2:]
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                self._sock = socket.socket(family, self.kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
                self.connect(self._sock, (host, port))
            except OSError:
                self._close()
                continue
            self._timer = self._loop.after(PATIENCE, self.failed)
            return
        self._done(None)

    def connect(self, sock: socket.socket, server: tuple[str, int]) -> None:
        """Send it, or begin to; raises OSError."""
        raise OSError("neither datagram nor stream")

    def failed(self) -> None:
        """This server has no answer."""
        self._close()
        self.begin()

    def answered(self, answer: bytes) -> None:
        """What a server says; not to be believed unless it is for this question."""
        if len(answer) < 12 or answer[:2] != self.message[:2] or not answer[2] & 0x80:
            return
        code = answer[3] & 0x0F
        if code in (2, 5) and self._servers:
            # SERVFAIL, REFUSED: another may know
            self.failed()
            return
        self._close()
        self._done(self._original + answer[2:])

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None:
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None


class _Datagram(_Ask):
    def connect(self, sock: socket.socket, server: tuple[str, int]) -> None:
        sock.connect(server)
        sock.send(self.message)
        self._loop.watch(sock.fileno(), READ, self._readable)

    def _readable(self, _events: int) -> None:
        assert self._sock is not None
        try:
            self.answered(self._sock.recv(65535))
        except BlockingIOError:
            return
        except OSError:
            self.failed()


class _Stream(_Ask):
    kind = socket.SOCK_STREAM

    def connect(self, sock: socket.socket, server: tuple[str, int]) -> None:
        self._received = bytearray()
        try:
            sock.connect(server)
        except BlockingIOError:
            pass  # it is under way
        self._loop.watch(sock.fileno(), WRITE, self._writable)

    def _writable(self, _events: int) -> None:
        assert self._sock is not None
        try:
            self._sock.send(len(self.message).to_bytes(2, "big") + self.message)
        except OSError:
            self.failed()
            return
        self._loop.watch(self._sock.fileno(), READ, self._readable)

    def _readable(self, _events: int) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(65537)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.failed()
            return
        self._received += data
        length = int.from_bytes(self._received[:2], "big")
        if len(self._received) >= 2 + length and len(self._received) >= 2:
            message, sock = bytes(self._received[2 : 2 + length]), self._sock
            self.answered(message)
            if self._sock is sock:
                self.failed()  # it speaks of something else


def _split(server: str) -> tuple[str, int]:
    """``1.1.1.1``, ``1.1.1.1:5353`` or ``[::1]:5353``."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]")
        return host, int(port.removeprefix(":") or 53)
    if server.count(":") == 1:
        host, _, port = server.partition(":")
        return host, int(port)
    return server.partition("%")[0], 53
