"""Connections that turn: on raw sockets, since no client library shows what happens at the seams."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.unit.api.fakes import Api

ATTACH = "POST /v1.51/containers/x/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: docker\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""


async def head(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)


async def rest(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(), 60)


@pytest.mark.parametrize("length", ["Content-Length: 0\r\n", ""])
@pytest.mark.parametrize("upgrade", [UPGRADE, ""])
async def test_bytes_in_the_same_packet_as_the_request_are_stdin(api: Api, upgrade: str, length: str) -> None:
    reader, writer = await api.connect()
    writer.write(f"{ATTACH}{upgrade}{length}\r\nfirst ".encode())
    answered = await head(reader)
    writer.write(b"second")
    writer.write_eof()
    assert await rest(reader) == b"first second<end of input>"
    assert answered.startswith(b"HTTP/1.1 101 UPGRADED\r\n" if upgrade else b"HTTP/1.1 200 OK\r\n")
    assert (b"\r\nUpgrade: tcp\r\n" in answered) is bool(upgrade)
    assert b"Transfer-Encoding" not in answered
    kind = b"multiplexed" if upgrade else b"raw"
    assert b"Content-Type: application/vnd.docker.%s-stream" % kind in answered


async def test_everything_sent_and_half_closed_before_the_answer(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(f"{ATTACH}{UPGRADE}\r\n".encode() + b"x" * 300_000)
    writer.write_eof()
    await head(reader)
    assert await rest(reader) == b"x" * 300_000 + b"<end of input>"


async def test_a_request_that_comes_byte_by_byte(api: Api) -> None:
    reader, writer = await api.connect()
    for byte in f"{ATTACH}{UPGRADE}\r\nhi".encode():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    await head(reader)
    writer.write_eof()
    assert await rest(reader) == b"hi<end of input>"


async def test_request_looking_bytes_in_stdin_stay_stdin(api: Api) -> None:
    reader, writer = await api.connect()
    inner = b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n"
    writer.write(f"{ATTACH}\r\n".encode() + inner)
    await head(reader)
    writer.write_eof()
    assert await rest(reader) == inner + b"<end of input>"


@pytest.mark.parametrize("chunked", [False, True])
async def test_exec_start_with_a_body_and_stdin_behind_it(api: Api, chunked: bool) -> None:
    reader, writer = await api.connect()
    body = b'{"Detach":false,"Tty":true}'
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    writer.write(
        f"POST /v1.51/exec/e0/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"{UPGRADE}{framing}\r\n\r\n".encode()
        + body[:9]
    )
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.write(body[9:] + b"typed")
    answered = await head(reader)
    writer.write_eof()
    assert await rest(reader) == b"typed<end of input>"
    assert b"application/vnd.docker.raw-stream" in answered


async def test_clients_before_1_42_know_one_content_type(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(f"{ATTACH}\r\n".replace("v1.51", "v1.41").encode())
    assert b"application/vnd.docker.raw-stream" in await head(reader)
    writer.close()


async def test_a_refused_attach_leaves_the_connection_to_http(api: Api) -> None:
    reader, writer = await api.connect()
    attach = f"{ATTACH}{UPGRADE}Content-Length: 0\r\n\r\n".replace("/x/", "/missing/")
    writer.write(attach.encode() + b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
    answered = await head(reader)
    assert answered.startswith(b"HTTP/1.1 404 ")
    assert await reader.readexactly(int(answered.split(b"Content-Length: ")[1].split(b"\r\n")[0])) == (
        b'{"message":"No such container: missing"}'
    )
    assert (await head(reader)).startswith(b"HTTP/1.1 200 ")
    assert await reader.readexactly(2) == b"OK"
    writer.write(f"{ATTACH}{UPGRADE}\r\nafterwards".encode())
    assert (await head(reader)).startswith(b"HTTP/1.1 101 ")
    writer.write_eof()
    assert await rest(reader) == b"afterwards<end of input>"


async def test_a_detached_start_is_an_ordinary_request(api: Api) -> None:
    reader, writer = await api.connect()
    body = b'{"Detach":true}'
    start = (
        "POST /v1.51/exec/e0/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    for _ in range(2):
        writer.write(start)
        assert (await head(reader)).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
    assert (await head(reader)).startswith(b"HTTP/1.1 200 ")
    assert api.execs.detached == ["e0", "e0"]
    writer.close()


async def test_no_descriptor_is_left_of_an_attached_client(api: Api) -> None:
    def sockets() -> int:
        return len([fd for fd in os.listdir("/proc/self/fd") if "socket" in _target(fd)])

    before = sockets()
    for _ in range(5):
        reader, writer = await api.connect()
        writer.write(f"{ATTACH}{UPGRADE}\r\n".encode())
        await head(reader)
        writer.write_eof()
        await rest(reader)
        writer.close()
        await writer.wait_closed()
    for _ in range(3000):
        if sockets() <= before:
            break
        await asyncio.sleep(0.01)
    assert sockets() <= before


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_a_stream_over_tls_is_relayed(api: Api, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    await api.server.listen(sock, server)
    client = ssl.create_default_context(cafile=str(cert))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", sock.getsockname()[1], ssl=client, server_hostname="localhost"
    )
    writer.write(f"{ATTACH}{UPGRADE}\r\nfirst ".replace("docker", "localhost").encode())
    assert (await head(reader)).startswith(b"HTTP/1.1 101 ")
    data = b"y" * 500_000
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(6 + len(data)), 60) == b"first " + data
    writer.close()


async def half_closed(api: Api, data: bytes) -> bytes:
    reader, writer = await api.connect()
    writer.write(data)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


async def test_who_half_closes_behind_requests_gets_their_answers(api: Api) -> None:
    ping = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    assert (await half_closed(api, ping * 3)).count(b"HTTP/1.1 200 OK") == 3
    body = b'{"Image": "busybox"}'
    create = b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert (await half_closed(api, create)).startswith(b"HTTP/1.1 201")


async def test_a_body_that_ends_in_its_middle_is_the_client_s_fault(api: Api) -> None:
    for rest in (b"Content-Length: 99\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        answer = await half_closed(api, b"POST /containers/create HTTP/1.1\r\nHost: d\r\n" + rest)
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert b"ends in its middle" in answer


async def test_a_stream_ends_with_the_half_close_of_its_client(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(b"GET /containers/x/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await api.streams.followed.wait()
    writer.write_eof()
    await asyncio.wait_for(api.streams.cancelled.wait(), 60)
    await reader.read()
    writer.close()
