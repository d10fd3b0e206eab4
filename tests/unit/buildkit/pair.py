"""Two ends of one connection in this process: a server of gRPC, and who calls it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from wharfie.buildkit.grpc import Handler, Server
from wharfie.buildkit.http2 import Connection, attach
from wharfie.buildkit.session import Session


@asynccontextmanager
async def pair(handlers: Mapping[str, Handler]) -> AsyncIterator[tuple[Server, Connection]]:
    """A server with these handlers, and a connection to it."""
    ours, theirs = socket.socketpair()
    server, connection = Server(handlers), Connection()
    await attach(ours.detach(), b"", server.connection)
    await attach(theirs.detach(), b"", connection)
    try:
        yield server, connection
    finally:
        connection.close()
        server.connection.close()


@asynccontextmanager
async def client(handlers: Mapping[str, Handler], shared_key: str = "key") -> AsyncIterator[Session]:
    """The session of a client that offers these methods."""
    async with pair(handlers) as (_, connection):
        yield Session("id", shared_key, list(handlers), connection)


def descriptors() -> list[str]:
    """The files and directories that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # the one that the list was read by
        if target.startswith("/"):
            found.append(target)
    return sorted(found)
