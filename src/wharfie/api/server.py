"""The HTTP server: listens, finds the handler, turns errors into answers.

aiohttp parses; everything a request passes on the way to its handler is in :func:`Server._handle`. No
access log, no middlewares.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import web
from aiohttp.web import BaseRequest

from wharfie.api.answers import TakenOver
from wharfie.api.call import Call
from wharfie.api.errors import error_answer
from wharfie.api.hijack import Connection
from wharfie.api.router import Response, Route, Router
from wharfie.api.terminator import Terminator
from wharfie.errors import Forbidden

_log = logging.getLogger(__name__)


class _Connections(web.Server):
    """Makes our kind of connection handler for every connection."""

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    def _make_request(self, *parts: Any) -> BaseRequest:
        request = super()._make_request(*parts)
        return cast(Connection, request.protocol).begun(request)


class Server:
    """Serves a table of routes on any number of sockets."""

    def __init__(self, routes: Iterable[Route], *, guarded: bool = True) -> None:
        """``guarded``: on TCP, pages in browsers are kept out."""
        self._guarded = guarded
        self._router = Router(routes)
        self._listeners: list[asyncio.Server] = []
        self._names: set[str] = {"localhost", socket.gethostname().lower()}
        self._connections: _Connections | None = None

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve on a bound socket from now on."""
        if self._connections is None:
            options: dict[str, Any] = {
                "access_log": None,
                "keepalive_timeout": 3600.0,
                "tcp_keepalive": sock.family != socket.AF_UNIX,
                "auto_decompress": False,
                "lingering_time": 2.0,
            }
            self._connections = _Connections(cast(Any, self._handle), **options)
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            listener = await loop.create_unix_server(self._protocols(tls), sock=sock, backlog=512)
        else:
            listener = await loop.create_server(self._protocols(tls), sock=sock, backlog=512)
        self._listeners.append(listener)

    def _protocols(self, tls: ssl.SSLContext | None) -> Callable[[], asyncio.Protocol]:
        connections = cast(Any, self._connections)
        if tls is None:
            return cast(Callable[[], asyncio.Protocol], connections)

        def serve() -> asyncio.Protocol:
            connection: Connection = connections()
            connection.remote = True
            return connection

        return lambda: Terminator(tls, serve)

    async def close(self, grace: float = 2.0) -> None:
        """Stop listening, let requests end for ``grace`` seconds, then cut what is left."""
        for listener in self._listeners:
            listener.close()
        if self._connections is not None:
            self._connections.pre_shutdown()
            for connection in self._connections.connections:
                cast(Connection, connection).give_up()
            await self._connections.shutdown(grace)

    async def _handle(self, request: BaseRequest) -> Response:
        connection = cast(Connection, request.protocol)
        try:
            headers = request.headers
            network = connection.sockname and not isinstance(connection.sockname, (str, bytes))
            if self._guarded and (network or connection.remote):
                self._refuse_browsers(request)
            if "Expect" in headers and request.transport is not None:
                request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            path, _, query = request.raw_path.partition("?")
            if "%" in path:
                path = unquote(path)
            handler, argument, version = self._router.find(request.method, path)
            return await handler(Call(request, argument, version, query))
        except Exception as error:
            transport = request.transport
            if isinstance(error, ConnectionError) and (transport is None or transport.is_closing()):
                return TakenOver()
            return error_answer(error)
        finally:
            connection.settled()

    def _refuse_browsers(self, request: BaseRequest) -> None:
        """No page in a browser may talk to us: neither cross-origin nor by a name rebound to this address.

        Raises:
            Forbidden: the request says it comes from a page, or was sent to a name that is not this
            machine's.
        """
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            raise Forbidden("requests from browsers are refused")
        host = request.headers.get("Host", "").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            if name not in self._names:
                raise Forbidden(f"requests for the host {name!r} are refused; use its address") from None

    def allow_host(self, name: str) -> None:
        """Also take requests that were sent to this name (one given with ``--host``, or in a certificate)."""
        self._names.add(name.lower())
