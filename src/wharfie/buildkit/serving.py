"""BuildKit's services on a daemon's connections: ``/grpc``, where clients call us, and ``/session``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from wharfie.buildkit.bridge import Bridge
from wharfie.buildkit.control import Control
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.grpc import Call, Handler, Server
from wharfie.buildkit.http2 import Connection, attach
from wharfie.buildkit.jobs import Jobs
from wharfie.buildkit.messages import common
from wharfie.buildkit.session import Session, Sessions
from wharfie.errors import WharfieError

_SERVING = 1
_log = logging.getLogger(__name__)


class BuildKit:
    """One daemon's."""

    def __init__(self, engine: Engine) -> None:
        self._sessions = Sessions()
        jobs = Jobs()
        control = Control(engine, self._sessions, jobs)
        bridge = Bridge(engine, jobs, control)
        self._handlers: dict[str, Handler] = {
            **control.handlers(),
            **bridge.handlers(),
            "/grpc.health.v1.Health/Check": _healthy,
            # spans of clients: there is nobody here to look at them
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export": _nothing,
        }

    async def serve(self, fd: int, prefix: bytes) -> None:
        """Be called on a connection, until the client closes it; ``prefix``: what was read of it."""
        server = Server(self._handlers)
        await _to_the_end(fd, prefix, server.connection)

    async def serve_session(
        self, fd: int, prefix: bytes, key: str, shared_key: str, methods: Sequence[str]
    ) -> None:
        """Let builds call the client, until it ends the session."""
        connection = Connection()
        session = Session(key, shared_key, methods, connection)
        await _to_the_end(fd, prefix, connection, lambda: self._sessions.add(session))


async def _to_the_end(
    fd: int, prefix: bytes, connection: Connection, begun: Callable[[], None] = lambda: None
) -> None:
    try:
        await attach(fd, prefix, connection)
        begun()
        await connection.closed
    except WharfieError as error:
        _log.warning("a client of BuildKit's protocol is sent away: %s", error)
    finally:
        connection.close()


async def _healthy(call: Call) -> None:
    await call.send(common.Health(status=_SERVING))


async def _nothing(call: Call) -> None:
    await call.send(common.Empty())
