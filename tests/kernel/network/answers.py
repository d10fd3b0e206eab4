"""Answers on port 80 of any network namespace, and questions from any."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.kernel.network.namespaces import enter


class Place:
    """A network namespace that sockets are made in."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY)

    def close(self) -> None:
        """Keep the namespace alive no longer."""
        os.close(self._fd)

    def run(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` there, in a thread of its own."""
        found: list[Any] = []

        def body() -> None:
            enter(self._fd)
            found.append(work())

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return found[0] if found else None


class Answers:
    """Servers on port 80 of every place: each tells who it was asked by."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def listen(self) -> None:
        """In the present namespace."""
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                server = socket.socket(family, kind)
                if family == socket.AF_INET6:
                    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                server.bind((address, 80))
                if kind == socket.SOCK_STREAM:
                    server.listen(64)
                self._selector.register(server, selectors.EVENT_READ)

    def serve(self) -> None:
        """For ever, in a thread that ends with the process."""
        while True:
            for key, _ in self._selector.select():
                server = key.fileobj
                assert isinstance(server, socket.socket)
                with suppress(OSError):  # who asked has gone away, or its network has: others will ask
                    self._answer(server)

    @staticmethod
    def _answer(server: socket.socket) -> None:
        if server.type == socket.SOCK_STREAM:
            client, peer = server.accept()
            with client:
                client.sendall(peer[0].encode())
        else:
            _, peer = server.recvfrom(100)
            server.sendto(peer[0].encode(), peer)


def ask(protocol: str, address: str, port: int, patience: float) -> str | None:
    """Who the other side says we are; None without an answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(patience)
        try:
            sock.connect((address, port))
            if protocol == "udp":
                sock.send(b"?")
            return sock.recv(100).decode() or None
        except OSError:
            return None


def serve_names(address: str, names: dict[str, str], seconds: int) -> Callable[[], None]:
    """A name server in the present namespace, as work for a thread; what it says is good for ``seconds``."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def serve() -> None:
        while True:
            query, peer = server.recvfrom(512)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            question = query[12 : at + 5]
            # type A; for all else there is nothing
            found = names.get(".".join(labels)) if query[at + 1 : at + 3] == b"\0\1" else None
            answer = b""
            if found:
                answer = b"\xc0\x0c\0\1\0\1" + seconds.to_bytes(4, "big") + b"\0\4" + socket.inet_aton(found)
            counts = b"\0\1" + (b"\0\1" if found else b"\0\0") + bytes(4)
            server.sendto(query[:2] + b"\x81\x80" + counts + question + answer, peer)

    return serve
