"""The way of log lines to a service of the host or the network: a connection, made anew when it breaks."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence

from wharfie.logs.syslog import LOCAL, Target

_PATIENCE = 10.0
"""Seconds for a connection to be made, and for a batch to be taken."""


class Connection:
    """Messages go to ``target``; every method may raise OSError, after which it can be opened again."""

    def __init__(self, target: Target, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._datagrams: socket.socket | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, if it is not."""
        if self._datagrams is None and self._writer is None:
            async with asyncio.timeout(_PATIENCE):
                await self._connect()

    async def send(self, messages: Sequence[bytes]) -> None:
        """Hand them over in order; returns when the kernel has them all."""
        if self._reader is not None and self._reader.at_eof():
            # the service has gone: what is written now would be lost without an error
            self.close()
        await self.open()
        try:
            async with asyncio.timeout(_PATIENCE):
                if self._writer is not None:
                    self._writer.write(b"".join(messages))
                    await self._writer.drain()
                    return
                assert self._datagrams is not None
                for message in messages:
                    await asyncio.get_running_loop().sock_sendall(self._datagrams, message)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._writer is not None:
            self._writer.close()
        self._datagrams = self._reader = self._writer = None

    async def finish(self) -> None:
        """Close it when all is on its way, TLS' own farewell included."""
        writer = self._writer
        self.close()
        if writer is not None:
            async with asyncio.timeout(_PATIENCE):
                await writer.wait_closed()

    async def _connect(self) -> None:
        target = self._target
        if target.kind == "unix" and not target.path:
            await self._connect_locally()
        elif target.kind == "unix":
            self._use(*await asyncio.open_unix_connection(target.path))
        elif target.kind == "unixgram":
            self._datagrams = _unix_datagrams(target.path)
        elif target.kind == "udp":
            self._datagrams = await _udp(target.host, target.port)
        else:
            name = target.host if self._tls is not None else None
            self._use(
                *await asyncio.open_connection(target.host, target.port, ssl=self._tls, server_hostname=name)
            )

    def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # drained means taken by the kernel, not merely below a mark
        writer.transport.set_write_buffer_limits(high=0)
        self._reader, self._writer = reader, writer

    async def _connect_locally(self) -> None:
        for path in LOCAL:
            try:
                self._datagrams = _unix_datagrams(path)
                return
            except OSError:
                pass  # of the other kind, or not there
            try:
                self._use(*await asyncio.open_unix_connection(path))
                return
            except OSError:
                continue
        raise OSError("Unix syslog delivery error")


def _unix_datagrams(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


async def _udp(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM))[0]
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made
