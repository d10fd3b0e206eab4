"""A page in a browser on this machine cannot use the API over TCP."""

from __future__ import annotations

import socket

import pytest

from tests.unit.api.fakes import Api


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Host: 127.0.0.1:{port}", 200),
        ("Host: localhost:{port}", 200),
        ("Host: [::1]:{port}", 200),
        ("Host: rebound.example:{port}", 403),
        ("Host: 127.0.0.1:{port}\r\nOrigin: http://evil.example", 403),
        ("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: cross-site", 403),
    ],
)
async def test_requests_over_tcp(api: Api, headers: str, status: int) -> None:
    import asyncio

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    await api.server.listen(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /_ping HTTP/1.1\r\n{headers.format(port=port)}\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.read()).startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
