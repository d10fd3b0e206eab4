"""The embedded DNS: one pair of sockets per container, so who asks is known by where he asks.

::

    question ─▶ a container's name, or an address of one ─▶ answered
             ─▶ anything else ─▶ on its allow-list, if it has one? ─▶ forwarded ─▶ what it says is let through
                                   │ no: refused, and told

It is no open resolver: the sockets are inside the containers' namespaces, at a loopback address.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from wharfie.linux.nfsets import Changes
from wharfie.porter import openings, sandbox, wire
from wharfie.porter.loop import READ, Loop
from wharfie.porter.names import Names
from wharfie.porter.openings import Openings
from wharfie.porter.upstream import Upstream
from wharfie.porter.wire import Malformed, Question

_STREAMS = 64
_SILENCE = 10.0
_TELLINGS = 20
"""Refusals of a container's that are told in a second, as of packets: it could fill everybody's events."""
Reply = Callable[[bytes], None]


class Client:
    """A container that asks: its sockets, whom to ask for it, and what it may reach."""

    __slots__ = ("allowed", "forward", "namespace", "openings", "servers", "sockets", "streams", "tellings")

    def __init__(self, changes: Changes) -> None:
        self.sockets: tuple[socket.socket, ...] = ()
        self.namespace: tuple[int, int] | None = None
        """Where they are; they keep it alive, so nothing else gets its number."""
        self.servers: list[str] = []
        self.forward = True
        self.allowed: list[str] | None = None
        self.openings = Openings(changes)
        self.streams = 0
        self.tellings = (0.0, 0)
        """When the second began that is counted, and how many refusals were told in it."""


class Questions:
    """All clients."""

    def __init__(self, loop: Loop, names: Names, tell: Callable[[dict[str, object]], None]) -> None:
        self._loop = loop
        self._names = names
        self._upstream = Upstream(loop)
        self._tell = tell
        self._changes = Changes()
        self.clients: dict[str, Client] = {}

    def configure(self, container: str, message: dict[str, object]) -> None:
        """What the daemon says of a container."""
        client = self._client(container)
        client.servers = [str(server) for server in message["servers"]]  # type: ignore[attr-defined]
        client.forward = bool(message["forward"])
        allowed = message.get("allowed")
        client.allowed = None if allowed is None else [str(name) for name in allowed]  # type: ignore[attr-defined]
        own = [str(address) for address in message.get("addresses", ())]  # type: ignore[attr-defined]
        client.openings.configure(str(message.get("table", "")), own, client.allowed or [])

    def _client(self, container: str) -> Client:
        if container not in self.clients:
            self.clients[container] = Client(self._changes)
        return self.clients[container]

    def again(self) -> None:
        """The table is a new one: what was let through is let through again."""
        for client in self.clients.values():
            client.openings.put()

    def open(self, container: str, netns: int, *, used: bool) -> None:
        """Listen in its namespace, if nobody does yet; ``used``: somebody may have asked there already.

        Raises OSError.
        """
        client = self._client(container)
        found = os.fstat(netns)
        namespace = (found.st_dev, found.st_ino)
        if client.namespace == namespace:
            # its ports stay: the kernel leads who asks again by an old connection to where they were
            return
        self._close(client)
        client.sockets, client.namespace = sandbox.open_sockets(netns, used=used), namespace
        datagrams, streams = client.sockets
        self._loop.watch(datagrams.fileno(), READ, lambda _: self._datagrams(container, client, datagrams))
        self._loop.watch(streams.fileno(), READ, lambda _: self._accept(container, client, streams))

    def shut(self, container: str) -> None:
        """The container has ended."""
        client = self.clients.pop(container, None)
        if client is not None:
            self._close(client)

    def _close(self, client: Client) -> None:
        for sock in client.sockets:
            self._loop.forget(sock.fileno())
            sock.close()
        client.sockets, client.namespace = (), None

    # -- transport ----------------------------------------------------------------------------------

    def _datagrams(self, container: str, client: Client, sock: socket.socket) -> None:
        for _ in range(64):
            try:
                message, sender = sock.recvfrom(4096)
            except OSError:
                return

            def reply(answer: bytes, sender: tuple[str, int] = sender) -> None:
                try:
                    sock.sendto(answer, sender)
                except OSError:
                    return  # the asker is gone, or its queue is full: it asks again

            self._ask(container, client, message, reply, stream=False)

    def _accept(self, container: str, client: Client, listener: socket.socket) -> None:
        sock = self._loop.accept(listener)
        if sock is None:
            return
        if client.streams >= _STREAMS:
            sock.close()
            return
        sock.setblocking(False)
        client.streams += 1
        received = bytearray()

        def end() -> None:
            if sock.fileno() >= 0:
                timer.cancel()
                self._loop.forget(sock.fileno())
                sock.close()
                client.streams -= 1

        timer = self._loop.after(_SILENCE, end)

        def reply(answer: bytes) -> None:
            try:
                sock.sendall(len(answer).to_bytes(2, "big") + answer)
            except OSError:
                end()

        def readable(_events: int) -> None:
            try:
                data = sock.recv(65537)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                end()
                return
            received.extend(data)
            while len(received) >= 2:
                length = int.from_bytes(received[:2], "big")
                if len(received) < 2 + length:
                    return
                message = bytes(received[2 : 2 + length])
                del received[: 2 + length]
                self._ask(container, client, message, reply, stream=True)

        self._loop.watch(sock.fileno(), READ, readable)

    # -- answers ------------------------------------------------------------------------------------

    def _ask(self, container: str, client: Client, message: bytes, reply: Reply, *, stream: bool) -> None:
        try:
            question = Question(message)
        except Malformed:
            if len(message) >= 12 and not message[2] & 0x80:
                reply(message[:2] + b"\x80\x81" + bytes(8))
            return
        room = 0 if stream else question.room
        if not question.plain:
            reply(question.answer(wire.NOTIMP))
            return
        records = self._names.answer(container, question)
        if records is not None:
            reply(question.answer(wire.NOERROR, records, room=room))
        elif not client.forward:
            # a network without a way out has none for questions either (CVE-2024-29018)
            reply(question.answer(wire.SERVFAIL))
        elif client.allowed is not None and not openings.allowed(question.name, client.allowed):
            self._tell_refusal(container, client, question.name)
            reply(question.answer(wire.REFUSED))
        else:
            self._forward(container, client, question, reply, stream=stream)

    def _tell_refusal(self, container: str, client: Client, name: str) -> None:
        began, count = client.tellings
        now = time.monotonic()
        if now - began >= 1:
            began, count = now, 0
        client.tellings = began, count + 1
        if count < _TELLINGS:
            self._tell({"event": "refused", "container": container, "name": name})

    def _forward(
        self, container: str, client: Client, question: Question, reply: Reply, *, stream: bool
    ) -> None:
        def done(answer: bytes | None) -> None:
            if answer is None:
                reply(question.answer(wire.SERVFAIL))
                return
            # the list may be another one by now, or the container gone and its address somebody else's
            present = self.clients.get(container) is client
            if present and client.allowed is not None and openings.allowed(question.name, client.allowed):
                answer = client.openings.let_through(question.name, answer)
            reply(answer)

        self._upstream.ask(container, question.message, client.servers, done, stream=stream)
