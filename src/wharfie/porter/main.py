"""The porter's doors to the daemon, and its end.

A SOCK_SEQPACKET socket below the exec root; one JSON object per packet, descriptors beside it::

    {"op": "hello"}                         → {"ports": [key…], "clients": [container…], "more": bool} …
    {"op": "reset"}                           all names are told anew: those known are good until all are told
    {"op": "told"}                            now they are; sockets stay in any case
    {"op": "seat", container, network, network_name, names, addresses}
    {"op": "unseat", container, network}
    {"op": "client", container, servers, forward, allowed, addresses, table, links}
    {"op": "open", container} + netns       → {"opened": container} or {"error": …, container}
                                              (monitors ask for that, too)
    {"op": "shut", container}
    {"op": "ports", "items": [[key, host, port]…]} + a socket each         {"op": "retarget", "items": […]}
    {"op": "drop", "keys": [key…]}
    {"op": "again"}                           the packet filter's table is new: what names opened is put there
                                            ← {"event": "refused", container, name}

It ends when the daemon has gone and nobody needs it: no port to keep, no container that asks.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
from typing import Any

from wharfie.linux.fd import close_all, recv_fds, send_fds
from wharfie.porter.doors import Door, Room
from wharfie.porter.loop import READ, Loop
from wharfie.porter.names import Names, Seat
from wharfie.porter.questions import Questions

_LARGEST = 1 << 18
_MOST_FDS = 64
_PART = 1000
_FILES = 1 << 16
"""More than that would be memory, not descriptors."""
_log = logging.getLogger(__name__)


class Service:
    """Everything the porter knows and does."""

    def __init__(self, listener: socket.socket, files: int = 1024) -> None:
        """``files``: how many this process may open."""
        self.loop = Loop()
        self._listener = listener
        self._names = Names()
        self._fresh: Names | None = None
        """Those that are told anew, until all are."""
        self._questions = Questions(self.loop, self._names, self._tell)
        self._doors: dict[str, Door] = {}
        self._room = Room(files * 3 // 4)
        self._connections: set[socket.socket] = set()
        self._daemon: socket.socket | None = None
        listener.setblocking(False)
        self.loop.watch(listener.fileno(), READ, self._accept, first=True)

    def _accept(self, _events: int) -> None:
        sock = self.loop.accept(self._listener)
        if sock is None:
            return
        sock.setblocking(False)
        self._connections.add(sock)
        self.loop.watch(sock.fileno(), READ, lambda _: self._readable(sock), first=True)

    def _readable(self, sock: socket.socket) -> None:
        while True:
            try:
                data, fds = recv_fds(sock, _LARGEST, _MOST_FDS)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                close_all(fds)
                self._gone(sock)
                return
            message: dict[str, Any] = {}
            try:
                message = json.loads(data)
                answers = self._do(sock, message, fds)
            except (OSError, ValueError, LookupError) as error:
                waits = message.get("container", "") if message.get("op") == "open" else ""
                answers = [{"error": str(error), "container": waits}]
                _log.warning("a request of the daemon failed: %s", error)
            finally:
                close_all(fds)
            for answer in answers:
                try:
                    send_fds(sock, json.dumps(answer).encode(), ())
                except OSError:
                    self._gone(sock)
                    return

    def _gone(self, sock: socket.socket) -> None:
        self.loop.forget(sock.fileno())
        self._connections.discard(sock)
        sock.close()
        if sock is self._daemon:
            self._daemon = None
        if not self._connections and not self._doors and not self._questions.clients:
            self.loop.running = False

    def _tell(self, event: dict[str, object]) -> None:
        if self._daemon is not None:
            try:
                send_fds(self._daemon, json.dumps(event).encode(), ())
            except OSError:
                return  # it reads again, or comes back: a refusal that is not told is refused all the same

    def _do(self, sock: socket.socket, message: dict[str, Any], fds: list[int]) -> list[dict[str, Any]]:
        op = message["op"]
        if op == "open":
            # a monitor asks for a new namespace, the daemon for one where another porter may have been
            self._questions.open(message["container"], fds[0], used=sock is self._daemon)
            return [{"opened": message["container"]}]
        if op == "hello":
            if self._daemon is not None and self._daemon is not sock:
                # what the last one said, and nobody has read yet, comes before what this one says
                self._readable(self._daemon)
            self._daemon = sock
            return self._known()
        if op == "ports":
            for (key, host, port), fd in zip(message["items"], fds, strict=True):
                self._drop(key)
                sock = socket.socket(fileno=os.dup(fd))
                self._doors[key] = Door(self.loop, sock, (host, port), self._room)
        elif op == "retarget":
            for key, host, port in message["items"]:
                if key in self._doors:
                    self._doors[key].target = (host, port)
        elif op == "drop":
            for key in message["keys"]:
                self._drop(key)
        else:
            self._learn(op, message)
        return []

    def _known(self) -> list[dict[str, Any]]:
        """What the next daemon must know, in parts: a packet has its limit."""
        ports, clients = list(self._doors), list(self._questions.clients)
        count = max(len(ports), len(clients), 1)
        return [
            {
                "ports": ports[start : start + _PART],
                "clients": clients[start : start + _PART],
                "more": start + _PART < count,
            }
            for start in range(0, count, _PART)
        ]

    def _learn(self, op: str, message: dict[str, Any]) -> None:
        """What the daemon tells about names."""
        if op == "reset":
            self._fresh = Names()
            return
        if op == "told":
            if self._fresh is not None:
                self._names.become(self._fresh)
                self._fresh = None
            return
        if op == "again":
            self._questions.again()
            return
        names = self._fresh or self._names
        container = message["container"]
        if op == "seat":
            where = (message["network"], message["network_name"])
            names.put(Seat(container, *where, message["names"], message["addresses"]))
        elif op == "unseat":
            names.take(container, message["network"])
        elif op == "client":
            names.links[container] = message.get("links") or {}
            self._questions.configure(container, message)
        elif op == "shut":
            names.links.pop(container, None)
            self._questions.shut(container)
        else:
            raise ValueError(f"the porter does not know {op}")

    def _drop(self, key: str) -> None:
        door = self._doors.pop(key, None)
        if door is not None:
            door.close()


def _raised_limit() -> int:
    """The number of files that this process may open, now as high as it may set it (setrlimit(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)


def main(fd: int) -> None:
    """Serve on the listening socket ``fd`` until nobody needs it."""
    logging.basicConfig(level=logging.INFO, format="porter: %(message)s")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # a terminal's ^C is for the daemon
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    service = Service(socket.socket(fileno=fd), _raised_limit())
    service.loop.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
