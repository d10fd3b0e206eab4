"""Sockets that reserve published ports, and what comes through them to be carried to a container.

Streams are spliced, so their bytes never come up to this process (splice(2)); datagrams are passed on through
a socket of the sender's own, which is closed when it has been silent for a while.
"""

from __future__ import annotations

import errno
import os
import socket

from wharfie.porter.loop import READ, WRITE, Loop, Timer

_PIPE = 1 << 16
_CONNECT = 10.0
_SILENCE = 60.0
_MOST = 4096
Target = tuple[str, int]


class Door:
    """One published port."""

    def __init__(self, loop: Loop, sock: socket.socket, target: Target) -> None:
        self._loop = loop
        self._sock = sock
        self.target = target
        self._senders: dict[tuple[object, ...], tuple[socket.socket, list[Timer]]] = {}
        stream = sock.type == socket.SOCK_STREAM
        sock.setblocking(False)
        loop.watch(sock.fileno(), READ, self._accept if stream else self._datagrams)

    def close(self) -> None:
        """Let go of the port."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        for sender in list(self._senders):
            self._end(sender)

    def _accept(self, _events: int) -> None:
        for _ in range(32):
            try:
                client, _ = self._sock.accept()
            except OSError:
                return
            Stream(self._loop, client, self.target)

    def _datagrams(self, _events: int) -> None:
        for _ in range(64):
            try:
                data, sender = self._sock.recvfrom(65535)
            except OSError:
                return
            known = self._senders.get(sender)
            if known is None:
                if len(self._senders) >= _MOST:
                    return
                known = self._meet(sender)
                if known is None:
                    return
            try:
                known[0].send(data)
            except OSError:
                continue  # as lost on the way

    def _meet(self, sender: tuple[object, ...]) -> tuple[socket.socket, list[Timer]] | None:
        family = socket.AF_INET6 if ":" in self.target[0] else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            sock.connect(self.target)
        except OSError:
            return None
        timers = [self._loop.after(_SILENCE, lambda: self._end(sender))]
        self._senders[sender] = (sock, timers)

        def back(_events: int) -> None:
            timers[0].cancel()
            timers[0] = self._loop.after(_SILENCE, lambda: self._end(sender))
            try:
                self._sock.sendto(sock.recv(65535), sender)
            except OSError:
                return  # nobody listens in the container, or the sender's queue is full

        self._loop.watch(sock.fileno(), READ, back)
        return self._senders[sender]

    def _end(self, sender: tuple[object, ...]) -> None:
        sock, timers = self._senders.pop(sender)
        timers[0].cancel()
        self._loop.forget(sock.fileno())
        sock.close()


class Stream:
    """A connection and its continuation to a container, spliced together both ways."""

    def __init__(self, loop: Loop, client: socket.socket, target: Target) -> None:
        self._loop = loop
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._sockets = [client]
        self._flows: list[_Flow] = []
        client.setblocking(False)
        try:
            server = socket.socket(family, kind)
            self._sockets.append(server)
            server.connect(target)
        except BlockingIOError:
            pass  # it is under way
        except OSError:
            self.close()
            return
        self._timer = loop.after(_CONNECT, self.close)
        loop.watch(server.fileno(), WRITE, self._connected)

    def _connected(self, _events: int) -> None:
        self._timer.cancel()
        client, server = self._sockets
        if server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close()
            return
        for sock in self._sockets:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flows = [_Flow(client, server), _Flow(server, client)]
        self._turn(0)

    def _turn(self, _events: int) -> None:
        """Move what can be moved, and wait for what is wanted next."""
        try:
            for flow in self._flows:
                flow.move()
        except OSError:
            self.close()
            return
        if all(flow.over for flow in self._flows):
            self.close()
            return
        for sock in self._sockets:
            events = 0
            for flow in self._flows:
                if flow.source is sock and flow.wants_input:
                    events |= READ
                if flow.target is sock and flow.held:
                    events |= WRITE
            self._loop.watch(sock.fileno(), events, self._turn)

    def close(self) -> None:
        """End both."""
        for sock in self._sockets:
            self._loop.forget(sock.fileno())
            sock.close()
        for flow in self._flows:
            flow.close()
        self._sockets, self._flows = [], []


class _Flow:
    """One direction: socket, pipe, socket."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.held = 0
        """Bytes in the pipe."""
        self._ended = False
        self.over = False

    @property
    def wants_input(self) -> bool:
        """Whether there is room for more."""
        return not self._ended and not self.held

    def move(self) -> None:
        """Until nothing moves any more; raises OSError."""
        while not self.over:
            if not self.held and not self._ended:
                try:
                    count = os.splice(self.source.fileno(), self._in, _PIPE)
                except BlockingIOError:
                    return
                self._ended = count == 0
                self.held = count
            while self.held:
                try:
                    self.held -= os.splice(self._out, self.target.fileno(), self.held)
                except BlockingIOError:
                    return
            if self._ended:
                self.over = True
                try:
                    self.target.shutdown(socket.SHUT_WR)
                except OSError as error:
                    if error.errno != errno.ENOTCONN:
                        raise

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._in)
        os.close(self._out)
