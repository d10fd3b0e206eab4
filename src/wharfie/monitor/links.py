"""Connections of a monitor with daemons: the one of its launch, and those that come to monitor.sock.

There may be two for a moment (a daemon restarts while the old one dies); each gets the events, and replies
go to whoever asked. A daemon that does not read is let go of: it can always connect again, and must not cost
memory.
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.monitor import protocol
from wharfie.monitor.loop import GONE, READ, WRITE
from wharfie.support.files import unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.monitor.loop import Loop

    Handler = Callable[["Link", dict[str, Any], list[int]], None]

UNSENT_LIMIT = 10_000
"""Messages a daemon may be behind."""


class Link:
    """One connection."""

    __slots__ = ("_handler", "_links", "_loop", "_socket", "_unsent")

    def __init__(self, loop: Loop, sock: _socket.socket, links: Links, handler: Handler) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._socket: _socket.socket | None = sock
        self._links = links
        self._handler = handler
        self._unsent: list[dict[str, Any]] = []
        loop.watch(sock.fileno(), READ, self._ready)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message now or when the daemon reads again."""
        if self._socket is None:
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self._flush()
        elif len(self._unsent) > UNSENT_LIMIT:
            self.close()

    def _flush(self) -> None:
        assert self._socket is not None
        try:
            while self._unsent:
                protocol.send(self._socket, self._unsent[0])
                del self._unsent[0]
        except BlockingIOError:
            self._loop.change(self._socket.fileno(), READ | WRITE)
            return
        except OSError:
            self.close()
            return
        self._loop.change(self._socket.fileno(), READ)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        while self._socket is not None and events & (READ | GONE):
            try:
                received = protocol.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                received = None
            if received is None:
                self.close()
                return
            message, fds = received
            self._handler(self, message, fds)

    def close(self) -> None:
        """Let go of the daemon; what it had not read yet is still delivered by the kernel."""
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._unsent = []
            self._links.remove(self)


class Links:
    """All connections, and the socket where new ones arrive."""

    __slots__ = ("_all", "_directory", "_handler", "_listener", "_loop", "_on_new")

    def __init__(
        self,
        loop: Loop,
        directory: int,
        listener: int,
        handler: Handler,
        on_new: Callable[[Link], None],
    ) -> None:
        """``directory`` is the open <exec-root>/containers/<id>, ``listener`` comes from ``listen``."""
        self._loop = loop
        self._directory = directory
        self._handler = handler
        self._on_new = on_new
        self._all: list[Link] = []
        self._listener: _socket.socket | None = _socket.socket(fileno=listener)
        loop.watch(listener, READ, self._accept)

    def add(self, sock: _socket.socket) -> Link:
        """Take over a connection that is there already."""
        link = Link(self._loop, sock, self, self._handler)
        self._all.append(link)
        return link

    def remove(self, link: Link) -> None:
        """Called by a link that closes."""
        if link in self._all:
            self._all.remove(link)

    def send(self, message: dict[str, Any]) -> None:
        """Tell everybody."""
        for link in tuple(self._all):
            link.send(message)

    def _accept(self, _events: int) -> None:
        assert self._listener is not None
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        self._on_new(self.add(_socket.socket(fileno=fd)))

    def close(self) -> None:
        """Remove monitor.sock and close all connections."""
        self.close_listener()
        for link in tuple(self._all):
            link.close()

    def close_listener(self) -> None:
        """Remove monitor.sock: whoever comes now finds the exit record instead."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
            unlink(protocol.SOCKET_NAME, self._directory)


def listen(directory: int) -> int:
    """Make monitor.sock in an open directory, in place of one that a dead monitor left; its descriptor."""
    unlink(protocol.SOCKET_NAME, directory)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        listener.setblocking(False)
        mask = os.umask(0o177)
        try:
            listener.bind(protocol.socket_address(directory))
        finally:
            os.umask(mask)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener.detach()
