"""Sockets that reserve published ports, and what comes through them to be carried to a container.

Streams are spliced, so their bytes never come up to this process (splice(2)); datagrams are passed on through
a socket of the sender's own, which is closed when it has been silent for a while.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial

from wharfie.porter.loop import FAILED, HUNG_UP, READ, WRITE, Loop, Timer

_PIPE = 1 << 16
_ROUNDS = 32
"""Pipes full of one direction's bytes, before others have their turn."""
_CONNECT = 10.0
_SILENCE = 60.0
_MOST = 4096
Target = tuple[str, int]


class Room:
    """How many descriptors all that is carried may take: names are answered and ports kept with the rest."""

    STREAM, DATAGRAMS = 6, 1

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, count: int) -> bool:
        """Whether there is room, which is taken."""
        if self._left < count:
            return False
        self._left -= count
        return True

    def give(self, count: int) -> None:
        """It is free again."""
        self._left += count


class Door:
    """One published port."""

    def __init__(self, loop: Loop, sock: socket.socket, target: Target, room: Room) -> None:
        self._loop = loop
        self._sock = sock
        self._room = room
        self.target = target
        self._streams: set[Stream] = set()
        self._senders: dict[tuple[object, ...], _Sender] = {}
        stream = sock.type == socket.SOCK_STREAM
        sock.setblocking(False)
        loop.watch(sock.fileno(), READ, self._accept if stream else self._datagrams)

    def close(self) -> None:
        """Let go of the port, and of all that came through it."""
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        for stream in list(self._streams):
            stream.close()
        for sender in list(self._senders):
            self._end(sender)

    def _accept(self, _events: int) -> None:
        for _ in range(32):
            if not self._room.take(Room.STREAM):
                self._loop.pause(self._sock.fileno())
                return
            client = self._loop.accept(self._sock)
            if client is None:
                self._room.give(Room.STREAM)
                return
            self._streams.add(Stream(self._loop, client, self.target, self._over))

    def _over(self, stream: Stream) -> None:
        self._streams.discard(stream)
        self._room.give(Room.STREAM)

    def _datagrams(self, _events: int) -> None:
        for _ in range(64):
            try:
                data, sender = self._sock.recvfrom(65535)
            except OSError:
                return
            known = self._senders.get(sender) or self._meet(sender)
            if known is None:
                return
            try:
                known.sock.send(data)
            except OSError:
                continue  # as lost on the way

    def _meet(self, sender: tuple[object, ...]) -> _Sender | None:
        if len(self._senders) >= _MOST or not self._room.take(Room.DATAGRAMS):
            return None
        family = socket.AF_INET6 if ":" in self.target[0] else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError:
            self._room.give(Room.DATAGRAMS)
            return None
        known = self._senders[sender] = _Sender(sock)
        try:
            sock.connect(self.target)
        except OSError:
            self._end(sender)
            return None
        known.timer = self._loop.after(_SILENCE, partial(self._silent, sender, known))

        def back(_events: int) -> None:
            known.heard = time.monotonic()
            try:
                self._sock.sendto(sock.recv(65535), sender)
            except OSError:
                return  # nobody listens in the container, or the sender's queue is full

        self._loop.watch(sock.fileno(), READ, back)
        return known

    def _silent(self, sender: tuple[object, ...], known: _Sender) -> None:
        # one timer a sender, however many datagrams it gets
        left = known.heard + _SILENCE - time.monotonic()
        if left > 0:
            known.timer = self._loop.after(left, partial(self._silent, sender, known))
        else:
            self._end(sender)

    def _end(self, sender: tuple[object, ...]) -> None:
        known = self._senders.pop(sender)
        if known.timer is not None:
            known.timer.cancel()
        self._loop.forget(known.sock.fileno())
        known.sock.close()
        self._room.give(Room.DATAGRAMS)


class _Sender:
    """Who sends datagrams: a socket of its own towards the container."""

    __slots__ = ("heard", "sock", "timer")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = time.monotonic()
        self.timer: Timer | None = None


class Stream:
    """A connection and its continuation to a container, spliced together both ways."""

    def __init__(
        self, loop: Loop, client: socket.socket, target: Target, over: Callable[[Stream], None]
    ) -> None:
        self._loop = loop
        self._over = over
        self._sockets = [client]
        self._flows: list[_Flow] = []
        self._timer: Timer | None = loop.after(_CONNECT, self.close)
        client.setblocking(False)
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        # whatever is wrong is told when it is asked for: nothing is closed while somebody makes it
        try:
            server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            self._sockets.append(server)
            server.connect(target)
        except BlockingIOError:
            pass  # it is under way
        except OSError:
            self._timer.cancel()
            self._timer = loop.after(0, self.close)
            return
        loop.watch(server.fileno(), WRITE, self._connected)

    def _connected(self, _events: int) -> None:
        client, server = self._sockets
        if self._timer is not None:
            self._timer.cancel()
        try:
            if server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
                return
            for sock in self._sockets:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target in ((client, server), (server, client)):
                self._flows.append(_Flow(source, target))
        except OSError:
            self.close()
            return
        self._turn()

    def _ready(self, sock: socket.socket, events: int) -> None:
        self._turn()
        if not self._sockets or not events & (FAILED | HUNG_UP) or self._wanted(sock):
            return
        if events & FAILED and any(flow.source is sock and flow.over for flow in self._flows):
            # it was reset after its end: whatever is still to go there does not arrive
            self.close()
        else:
            # nothing can be done now, and it would be told of at once, again and again
            self._loop.forget(sock.fileno())

    def _turn(self) -> None:
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
            self._loop.watch(sock.fileno(), self._wanted(sock), partial(self._ready, sock))

    def _wanted(self, sock: socket.socket) -> int:
        events = 0
        for flow in self._flows:
            if flow.source is sock and flow.wants_input:
                events |= READ
            if flow.target is sock and flow.held:
                events |= WRITE
        return events

    def close(self) -> None:
        """End both."""
        if not self._sockets:
            return
        if self._timer is not None:
            self._timer.cancel()
        for sock in self._sockets:
            self._loop.forget(sock.fileno())
            sock.close()
        for flow in self._flows:
            flow.close()
        self._sockets, self._flows = [], []
        self._over(self)


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
        """Until nothing moves any more, or others should have their turn; raises OSError."""
        for _ in range(_ROUNDS):
            if self.over:
                return
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
