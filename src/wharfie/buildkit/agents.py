"""SSH agents of a client as sockets here: every connection to one is a stream of the client's session."""

from __future__ import annotations

import asyncio
import os

from wharfie.buildkit.grpc import NOT_FOUND, UNIMPLEMENTED, Request, RpcError, parsed
from wharfie.buildkit.http2 import StreamLost
from wharfie.buildkit.messages import common
from wharfie.buildkit.messages import session as messages
from wharfie.buildkit.session import Session
from wharfie.support.tasks import spawn

_CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
_FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
_PIECE = 32 << 10


class Agents:
    """One build's; sockets in a directory of its own."""

    def __init__(self, session: Session, directory: str) -> None:
        self._session = session
        self._directory = directory
        self._servers: dict[str, tuple[str, asyncio.Server]] = {}
        self._lock = asyncio.Lock()

    async def socket(self, name: str) -> str:
        """The path of an agent's socket; empty if the client offers none by this name."""
        async with self._lock:
            if name not in self._servers:
                try:
                    await self._session.ask(_CHECK, messages.AgentRequest(id=name), common.Empty)
                except RpcError as error:
                    if error.code in (NOT_FOUND, UNIMPLEMENTED) or "unset ssh forward key" in error.message:
                        return ""
                    raise
                self._servers[name] = await self._listen(name)
            return self._servers[name][0]

    async def _listen(self, name: str) -> tuple[str, asyncio.Server]:
        file = f"agent-{len(self._servers)}"
        # the address of a Unix socket holds 108 bytes (unix(7)): through the descriptor it is short
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._forward(name, reader, writer)

            server = await asyncio.start_unix_server(serve, f"/proc/self/fd/{place}/{file}")
        finally:
            os.close(place)
        return f"{self._directory}/{file}", server

    async def _forward(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with Request(self._session.connection, _FORWARD, [("buildkit.ssh.id", name)]) as request:
                outward = spawn("forward to an agent", _outward(reader, request))
                try:
                    while (data := await request.next()) is not None:
                        writer.write(parsed(common.BytesMessage, data).data)
                        await writer.drain()
                finally:
                    outward.cancel()
        except (RpcError, StreamLost, ConnectionError):
            pass  # whoever asked the agent sees the connection end
        finally:
            writer.close()

    def close(self) -> None:
        """No socket is left."""
        for _, server in self._servers.values():
            server.close()


async def _outward(reader: asyncio.StreamReader, request: Request) -> None:
    try:
        while data := await reader.read(_PIECE):
            await request.send(common.BytesMessage(data=data))
        await request.end()
    except (StreamLost, ConnectionError):
        return
