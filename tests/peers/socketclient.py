"""Requests on an engine's socket, one connection each: nothing of a client library's own ideas in between."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class Client:
    """One engine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body; a ``str`` is sent as it is, anything else as JSON."""
        status, _, content = self.exchange(method, path, body)
        return status, content

    def exchange(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        """The same with the headers of the answer."""
        connection = _Connection(self._path)
        try:
            text = body if body is None or isinstance(body, str) else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()
