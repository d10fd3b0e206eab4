"""Sessions: connections on which a client serves us for as long as its build goes on.

A build names its session by an id; either may come first, so a build waits for its session a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from wharfie.buildkit.grpc import RpcError, ask
from wharfie.buildkit.http2 import Connection
from wharfie.errors import InvalidArgument, NotFound

_PATIENCE = 5.0


class Session:
    """One client's."""

    def __init__(self, key: str, shared_key: str, methods: Sequence[str], connection: Connection) -> None:
        self.key = key
        self.shared_key = shared_key
        """The same for builds of the same directory."""
        self._methods = frozenset(methods)
        self.connection = connection

    def offers(self, path: str) -> bool:
        """Whether the client has this method."""
        return path in self._methods

    async def ask(self, path: str, message: Any, kind: Any, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        """A question with one answer; raises RpcError, StreamLost."""
        if not self.offers(path):
            raise RpcError(12, f"the client does not offer {path}")
        return await ask(self.connection, path, message, kind, metadata)


class Sessions:
    """All that are there, and the builds that wait for one."""

    def __init__(self) -> None:
        self._there: dict[str, Session] = {}
        self._waiting: dict[asyncio.Future[Session], str] = {}

    def add(self, session: Session) -> None:
        """One that was opened; raises InvalidArgument."""
        if not session.key:
            raise InvalidArgument("a session needs an id in X-Docker-Expose-Session-Uuid")
        if session.key in self._there:
            raise InvalidArgument(f"session {session.key} is there already")
        self._there[session.key] = session
        session.connection.closed.add_done_callback(lambda _: self._there.pop(session.key, None))
        for future, key in self._waiting.items():
            if key == session.key and not future.done():
                future.set_result(session)

    async def get(self, key: str) -> Session:
        """The session by its id, which may be on its way; raises NotFound."""
        found = self._there.get(key)
        if found is not None:
            return found
        future: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._waiting[future] = key
        try:
            return await asyncio.wait_for(future, _PATIENCE)
        except TimeoutError:
            raise NotFound(f"no active session for {key}: context deadline exceeded") from None
        finally:
            del self._waiting[future]
