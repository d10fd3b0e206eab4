"""Requests to one daemon: keeps a connection for the next one, turns refusals into errors."""

from __future__ import annotations

from wharfie.client.errors import ApiError, BrokenAnswer
from wharfie.client.http import Connection, Response
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from wharfie.client.address import Address

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


def quote(text: str, safe: str = "") -> str:
    """Percent-encode for a path or a query; ``urllib`` costs more than the whole start."""
    if _SAFE.issuperset(text):
        return text
    return "".join(
        chr(byte) if byte < 128 and (chr(byte) in _SAFE or chr(byte) in safe) else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def query(**values: object) -> str:
    """``?a=1&b=x`` of the values that are given (neither None, False nor empty)."""
    parts = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if item is None or item is False or item == "":
                continue
            text = "1" if item is True else json.dumps(item) if isinstance(item, dict) else str(item)
            parts.append(f"{name}={quote(text)}")
    return "?" + "&".join(parts) if parts else ""


def check(response: Response) -> Response:
    """The response, if it is no refusal; raises ApiError with the daemon's sentence."""
    if response.status < 400:
        return response
    text = response.read().decode("utf-8", "replace").strip()
    try:
        message = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        message = text or f"the daemon answered with status {response.status}"
    raise ApiError(response.status, message)


class Api:
    """The Engine API of the daemon at one address."""

    __slots__ = ("_idle", "address", "greeter", "headers", "starter", "version")

    def __init__(
        self,
        address: Address,
        starter: Callable[[], None] | None = None,
        headers: Callable[[], dict[str, str]] = dict,
        version: str = "",
    ) -> None:
        """``starter`` is called once when nobody listens, to start one; ``headers`` go with everything.

        ``version`` of the API: empty for the daemon's own.
        """
        self.headers = headers
        self.address = address
        self.starter = starter
        self.version = version
        self.greeter: Callable[[Connection], None] | None = None
        """Is given the first connection before anything is asked on it."""
        self._idle: Connection | None = None

    def connect(self) -> Connection:
        """An idle connection, or a new one."""
        if self._idle is not None:
            connection, self._idle = self._idle, None
            return connection
        from wharfie.client.errors import DaemonUnreachable

        try:
            return self._connected()
        except DaemonUnreachable:
            if self.starter is None:
                raise
            starter, self.starter = self.starter, None
            starter()
            return self._connected()

    def _connected(self) -> Connection:
        prefix = f"/v{self.version}" if self.version else ""
        headers = {"Host": self.address.host, **self.headers()}
        connection = Connection(self.address.connect(), headers, prefix)
        if self.greeter is None:
            return connection
        greeter, self.greeter = self.greeter, None
        greeter(connection)
        if connection.reusable:
            return connection
        connection.close()
        return Connection(self.address.connect(), headers, prefix)

    def release(self, connection: Connection) -> None:
        """Keep a connection whose answer is read for the next request."""
        if connection.reusable and self._idle is None:
            self._idle = connection
        else:
            connection.close()

    def exchange(
        self, method: str, target: str, body: bytes | None = None, **options: Any
    ) -> tuple[Connection, Response]:
        """Send a request; its connection and its answer, refused or not."""
        kept = self._idle is not None
        connection = self.connect()
        try:
            connection.send(method, target, body, **options)
            return connection, connection.response()
        except BrokenAnswer:
            connection.close()
            if not kept or method != "GET":
                raise
        connection = self.connect()
        connection.send(method, target, body, **options)
        return connection, connection.response()

    def call(self, method: str, target: str, body: Any = None, **options: Any) -> Any:
        """One request with JSON in and out; None for an empty answer. Raises ApiError."""
        connection, response = self.exchange(
            method, target, None if body is None else json.dumps(body).encode(), **options
        )
        try:
            data = check(response).read()
        finally:
            if response.done:
                self.release(connection)
            else:
                connection.close()
        return json.loads(data) if data.strip() else None

    def get(self, target: str) -> Any:
        """``GET`` with a JSON answer."""
        return self.call("GET", target)

    def post(self, target: str, body: Any = None, **options: Any) -> Any:
        """``POST`` with JSON in and out."""
        return self.call("POST", target, body, **options)

    def stream(
        self, method: str, target: str, body: Any = None, **options: Any
    ) -> tuple[Connection, Response]:
        """A request whose answer is read piece by piece; raises ApiError."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection, response = self.exchange(method, target, data, **options)
        try:
            return connection, check(response)
        except ApiError:
            connection.close()
            raise

    def upload(
        self,
        method: str,
        target: str,
        parts: Iterator[bytes],
        content_type: str = "application/x-tar",
        headers: dict[str, str] | None = None,
        *,
        beside: bool = False,
    ) -> Response:
        """Send a body of unknown length; the answer, to be read by the caller.

        ``beside``: while it is still being sent, as a daemon that tells of its progress answers.
        """
        return self._uploaded(
            lambda connection: connection.send_stream(method, target, parts, content_type, headers), beside
        )

    def upload_file(
        self,
        method: str,
        target: str,
        fd: int,
        size: int,
        content_type: str = "application/x-tar",
        *,
        beside: bool = False,
    ) -> Response:
        """The same with a regular file's next ``size`` bytes."""
        return self._uploaded(
            lambda connection: connection.send_file(method, target, fd, size, content_type), beside
        )

    def _uploaded(self, send: Callable[[Connection], None], beside: bool) -> Response:
        connection = self.connect()
        broken: BrokenAnswer | None = None
        try:
            if beside:
                connection.beside(send)
            else:
                send(connection)
        except BrokenAnswer as error:
            # the daemon may have refused before it read everything: its answer says why
            broken = error
        try:
            return check(connection.response())
        except BrokenAnswer:
            raise broken or BrokenAnswer("the wharfie daemon hung up during an upload") from None
