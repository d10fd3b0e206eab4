"""Calls operations of the API by their documented names, and keeps what was answered."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from tests.conformance.api import spec

ERROR = {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}}


class Answered(NamedTuple):
    """One answer."""

    operation: str
    status: int
    values: list[Any]
    """The JSON documents of its body; none where it is something else."""
    problems: list[str]


class Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class Recorder:
    """A client that notes everything."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers: list[Answered] = []
        self.seen: set[spec.Field] = set()
        self.unknown: set[spec.Field] = set()
        self.surprises: list[str] = []

    def call(
        self,
        operation: str,
        name: str = "",
        *,
        expect: int,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Call it; ``body`` is JSON unless it is bytes. What came: JSON, a list of it, bytes, or a socket."""
        one = spec.operations()[operation]
        path = one.path.replace("{id}", quote(name)).replace("{name}", quote(name, safe="/:"))
        texts = {
            key: json.dumps(value) if isinstance(value, dict) else value
            for key, value in (query or {}).items()
        }
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/x-tar" if isinstance(body, bytes) else "application/json"}
        target = f"/v1.51{path}" + ("?" + urlencode(texts, doseq=True) if texts else "")
        fields = {**(given if data is not None else {}), **(headers or {})}
        if expect == 101:
            return self._upgraded(one, target, data or b"", fields)
        connection = Connection(self.path)
        connection.request(one.method, target, body=data, headers=fields)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        found = self._note(one, answer.status, answer.headers.get("Content-Type", ""), content)
        if answer.status != expect:
            surprise = f"{operation} {name}: {answer.status} for {expect} {content[:200]!r}"
            assert expect >= 400, surprise
            self.surprises.append(surprise)
        return found

    def _upgraded(
        self, one: spec.Operation, target: str, body: bytes, headers: dict[str, str]
    ) -> socket.socket:
        """The connection behind the head of the answer; not a byte more is read than that."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(self.path)
        fields = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
        lines = [f"{one.method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in fields.items()]]
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._note(one, 101, "", b"")
        return sock

    def _note(self, one: spec.Operation, status: int, media: str, content: bytes) -> Any:
        values = _documents(content) if media.startswith("application/json") else []
        schema = one.schema(status) or (ERROR if status >= 400 else None)
        owner = f"{one.id}Response"
        wrong: list[str] = []
        if values and schema is not None:
            for value in values:
                wrong += spec.problems(owner, schema, value)
                for field, known in spec.fields(owner, schema, value):
                    (self.seen if known else self.unknown).add(field)
        if status >= 400 and not values and one.method != "HEAD":
            wrong.append(f"an error without a message: {content[:200]!r}")
        self.answers.append(Answered(one.id, status, values, wrong))
        if not media.startswith("application/json"):
            return content
        return values[0] if len(values) == 1 else values


def _documents(content: bytes) -> list[Any]:
    """One JSON document, or one a line."""
    text = content.decode()
    try:
        return [json.loads(text)] if text.strip() else []
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
