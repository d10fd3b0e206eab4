"""Requests to one engine over either transport: connections kept, refusals raised, streams opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from typing import IO, Any, TypeVar, cast

from wharfie.client import api, http
from wharfie.client.address import Address
from wharfie.client.errors import BrokenAnswer, DaemonUnreachable
from wharfie.client.library import decoding
from wharfie.client.library.errors import TransferFailed, refusal
from wharfie.client.library.transport import Awaiting, Channel, Transport
from wharfie.client.settings import Settings
from wharfie.support import json

V = TypeVar("V")
Source = bytes | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
TAR = "application/x-tar"
_PART = 1 << 20
_IDLE = 4


class Exchange:
    """One connection with one request on it at a time."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._incoming = http.Incoming()
        self._body: http.Body | None = None

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer; raises BrokenAnswer."""
        while (found := self._incoming.head()) is None:
            if not await self._fill():
                raise BrokenAnswer("the engine closed the connection before it answered")
        self._body = http.Body(self._incoming, *found)
        return found

    async def _fill(self) -> bool:
        data = await self.channel.receive()
        self._incoming.feed(data)
        return bool(data)

    async def part(self) -> bytes:
        """The next part of the answer's body, empty at its end; raises BrokenAnswer."""
        assert self._body is not None
        while (part := self._body.part(_PART)) is None:
            if not await self._fill():
                self._body.ended()
        return part

    async def whole(self) -> bytes:
        """All of the body."""
        parts = []
        while part := await self.part():
            parts.append(part)
        return b"".join(parts)

    async def raw(self) -> bytes:
        """What comes next on a connection that is no longer HTTP, empty at the end."""
        return self._incoming.take(_PART) or await self.channel.receive()

    @property
    def is_reusable(self) -> bool:
        """Whether the answer is read to its end and the connection stays."""
        return self._body is not None and self._body.done and self._body.keeps


class Engine:
    """The engine at one address."""

    def __init__(
        self,
        transport: Transport,
        address: Address,
        starter: Callable[[], object] | None,
        timeout: float | None,
        settings_directory: str,
    ) -> None:
        """``starter`` starts an engine where nobody listens; ``timeout`` holds for simple questions."""
        self.transport = transport
        self.address = address
        self.awaits = isinstance(transport, Awaiting)
        self.settings = Settings(settings_directory)
        self._headers = {"Host": address.host, **self.settings.headers}
        self._starter = starter
        self._timeout = timeout
        self._idle: list[Exchange] = []

    async def _connect(self) -> Exchange:
        while self._idle:
            try:
                kept = self._idle.pop()
            except IndexError:
                break  # another thread was quicker
            if kept.channel.is_quiet():
                return kept
            kept.channel.close()
        try:
            return Exchange(await self.transport.connect(self.address))
        except DaemonUnreachable:
            if self._starter is None:
                raise
        await self.transport.apart(self._starter)
        return Exchange(await self.transport.connect(self.address))

    def close(self) -> None:
        """End the connections that are kept."""
        while self._idle:
            self._idle.pop().channel.close()

    def _release(self, exchange: Exchange) -> None:
        if exchange.is_reusable and len(self._idle) < _IDLE:
            exchange.channel.limit = None
            self._idle.append(exchange)
        else:
            exchange.channel.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None,
        body: Any,
        headers: dict[str, str] | None,
        *,
        data: Source | None = None,
        patient: bool = True,
        upgrade: bool = False,
    ) -> tuple[Exchange, int, dict[str, str]]:
        """A request and the head of its answer, which is none of the refusals."""
        target = path + api.query(**(query or {}))
        headers = {**self._headers, **(headers or {})}
        exchange = await self._connect()
        exchange.channel.limit = None if patient else self._timeout
        try:
            if data is not None:
                await self._upload(exchange, method, target, data, headers)
            else:
                packed = None if body is None else json.dumps(body).encode()
                whole = http.request(method, target, packed, headers, "application/json", upgrade=upgrade)
                await exchange.channel.send(whole)
            status, answered = await exchange.head()
            if status >= 400:
                raise refusal(status, _message(status, await exchange.whole()))
        except BaseException:
            exchange.channel.close()
            raise
        return exchange, status, answered

    async def _upload(
        self, exchange: Exchange, method: str, target: str, data: Source, headers: dict[str, str] | None
    ) -> None:
        await exchange.channel.send(http.upload(method, target, TAR, headers))
        try:
            async for part in self._pieces(data):
                await exchange.channel.send(http.chunk(part))
            await exchange.channel.send(http.LAST_CHUNK)
        except BrokenAnswer:
            return  # refused before everything was read: the answer says why

    async def _pieces(self, data: Source) -> AsyncGenerator[bytes, None]:
        if isinstance(data, bytes):
            if data:
                yield data
        elif isinstance(data, AsyncIterable):
            async for part in data:
                if part:
                    yield part
        else:
            reader = getattr(data, "read", None)
            pieces: Iterator[bytes] = iter(lambda: reader(_PART), b"") if reader else iter(data)
            while (piece := await self._next(pieces)) is not None:
                if piece:
                    yield piece

    async def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        def step() -> bytes | None:
            return next(pieces, None)

        return await self.transport.apart(step)

    async def head(self, method: str, path: str, **query: Any) -> tuple[int, dict[str, str]]:
        """Status and headers of an answer whose body says nothing."""
        exchange, status, headers = await self._send(method, path, query, None, None)
        try:
            if method != "HEAD":
                await exchange.whole()
        finally:
            if method == "HEAD":
                exchange.channel.close()
            else:
                self._release(exchange)
        return status, headers

    async def call(
        self,
        method: str,
        path: str,
        kind: type[V],
        query: dict[str, Any] | None = None,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        data: Source | None = None,
        patient: bool = False,
    ) -> V:
        """A question with one document for an answer; raises EngineError, BrokenAnswer."""
        exchange, _, _ = await self._send(method, path, query, body, headers, data=data, patient=patient)
        try:
            answer = await exchange.whole()
        finally:
            self._release(exchange)
        return decoding.read(answer or b"null", kind)

    async def do(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        *,
        body: Any = None,
        data: Source | None = None,
        patient: bool = False,
    ) -> int:
        """A request whose answer says nothing but its status."""
        exchange, status, _ = await self._send(method, path, query, body, None, data=data, patient=patient)
        try:
            await exchange.whole()
        finally:
            self._release(exchange)
        return status

    async def parts(
        self,
        method: str,
        path: str,
        query: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        data: Source | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The body of an answer as it comes."""
        exchange, _, _ = await self._send(method, path, query, None, headers, data=data)
        try:
            while part := await exchange.part():
                yield part
        finally:
            self._release(exchange)

    async def lines(
        self,
        method: str,
        path: str,
        kind: type[V],
        query: dict[str, Any] | None = None,
        *,
        headers: dict[str, str] | None = None,
        data: Source | None = None,
    ) -> AsyncGenerator[V, None]:
        """JSON documents, one a line, as they come."""
        rest = b""
        source = self.parts(method, path, query, headers=headers, data=data)
        try:
            async for part in source:
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    if line.strip():
                        yield decoding.read(line, kind)
            if rest.strip():
                yield decoding.read(rest, kind)
        finally:
            await source.aclose()

    async def progress(
        self,
        path: str,
        query: dict[str, Any],
        *,
        headers: dict[str, str] | None = None,
        data: Source | None = None,
        told: Callable[[dict[str, Any]], object] | None = None,
    ) -> list[dict[str, Any]]:
        """A request that answers with its progress; all messages, at the end. Raises TransferFailed."""
        messages = []
        kind = cast(type[dict[str, Any]], dict)
        source = self.lines("POST", path, kind, query, headers=headers, data=data)
        try:
            async for message in source:
                problem = message.get("error") or (message.get("errorDetail") or {}).get("message")
                if problem:
                    raise TransferFailed(500, str(problem))
                messages.append(message)
                if told is not None:
                    told(message)
        finally:
            await source.aclose()
        return messages

    async def hijack(self, path: str, query: dict[str, Any], body: Any = None) -> Exchange:
        """A connection that is no longer HTTP."""
        exchange, _, _ = await self._send("POST", path, query, body, None, upgrade=True)
        return exchange


def _message(status: int, data: bytes) -> str:
    text = data.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text or f"the engine answered with status {status}"
