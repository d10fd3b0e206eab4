"""A daemon that answers from a table: what the command line is tested and timed against.

One thread per connection. A route is ``"METHOD /path"`` and a function of the request that returns an
answer; every request is kept in :attr:`Stub.requests`. Answers are bytes written as they are, so tests may be
as odd as they like.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ID = "c0ffee" + "0123456789" * 5 + "abcdefab"


class Request(NamedTuple):
    """One request, and the connection it came on."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    sock: socket.socket

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(value: Any = None, status: int = 200, reason: str = "OK") -> bytes:
    """A JSON answer with a length."""
    body = b"" if value is None else json.dumps(value).encode()
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def refusal(status: int, message: str) -> bytes:
    """An error as the engine words it."""
    return answer({"message": message}, status, "No")


def chunked(*parts: bytes, kind: str = "application/json") -> bytes:
    """A chunked answer."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream: int, payload: bytes) -> bytes:
    """One stdcopy frame."""
    return struct.pack(">BxxxL", stream, len(payload)) + payload


Route = Callable[["Stub", Request], bytes | None]


class Stub:
    """The server; a route that returns None closes the connection."""

    def __init__(self, path: Path, routes: dict[str, Route]) -> None:
        self.host = f"unix://{path}"
        self.routes = routes
        self.requests: list[Request] = []
        self.started = threading.Event()
        self.exit_code = 0
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader:
            while (line := reader.readline()) and (words := line.decode().split()):
                headers = {}
                while (header := reader.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = self._body(reader, headers)
                request = Request(words[0], words[1], headers, body, sock)
                self.requests.append(request)
                route = self.routes.get(f"{request.method} {request.path}")
                if route is None:
                    sock.sendall(refusal(404, f"page not found: {request.method} {request.path}"))
                    continue
                try:
                    data = route(self, request)
                    if data is None:
                        return
                    sock.sendall(data)
                except OSError:
                    return

    @staticmethod
    def _body(reader: Any, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return bytes(reader.read(int(headers.get("content-length", "0"))))
        parts = []
        while size := int(reader.readline(), 16):
            parts.append(reader.read(size))
            reader.readline()
        reader.readline()
        return b"".join(parts)

    def asked(self) -> list[str]:
        """Method and target of every request so far."""
        return [f"{request.method} {request.target}" for request in self.requests]

    def bodies(self, path: str) -> list[Any]:
        """The JSON bodies sent to ``path``."""
        return [request.json for request in self.requests if request.path == path]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def attach_then(*parts: bytes) -> Route:
    """An attach whose stream is ``parts``, sent when the container is started."""

    def route(stub: Stub, request: Request) -> None:
        request.sock.sendall(UPGRADED)
        assert stub.started.wait(10)
        for part in parts:
            request.sock.sendall(part)

    return route


def echo(stub: Stub, request: Request) -> None:
    """An attach that frames what is sent to it, until that ends."""
    request.sock.sendall(UPGRADED)
    assert stub.started.wait(10)
    while data := request.sock.recv(65536):
        request.sock.sendall(frame(1, data))


def started(stub: Stub, request: Request) -> bytes:
    """Start."""
    stub.started.set()
    return answer(None, 204, "No Content")


def waited(stub: Stub, request: Request) -> bytes:
    """Wait: the head at once, the rest when the container is started."""
    request.sock.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert stub.started.wait(10)
    body = json.dumps({"StatusCode": stub.exit_code}).encode()
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def container_routes(*output: bytes) -> dict[str, Route]:
    """A container that can be created, attached to, started and waited for."""
    return {
        "POST /containers/create": lambda *_: answer({"Id": ID, "Warnings": []}, 201, "Created"),
        f"POST /containers/{ID}/attach": attach_then(*output),
        f"POST /containers/{ID}/start": started,
        f"POST /containers/{ID}/wait": waited,
    }


@contextmanager
def serving(directory: Path, routes: dict[str, Route]) -> Iterator[Stub]:
    """Run a stub below ``directory``."""
    stub = Stub(directory / "stub.sock", routes)
    try:
        yield stub
    finally:
        stub.close()
