"""BuildKit's protocol without buildx: a client of our own making, which asks what buildx does not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.unit.buildkit.clientfiles import Client, file
from wharfie.buildkit.filesync import PATH
from wharfie.buildkit.grpc import Request, RpcError, Server, ask, parsed
from wharfie.buildkit.http2 import Connection, attach
from wharfie.buildkit.messages import common, control

CONTROL = "/moby.buildkit.v1.Control/"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path_factory.mktemp("direct"), bridge="whbd") as running:
        yield running


def turned(engine: ours.Engine, path: str, *headers: str) -> tuple[socket.socket, str]:
    """A connection after its request, and the answer's first line."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(engine.host.removeprefix("unix://"))
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    return sock, answer.decode().split("\r\n")[0]


UPGRADE = ("Connection: Upgrade", "Upgrade: h2c")


async def called(engine: ours.Engine) -> Connection:
    sock, line = await asyncio.to_thread(turned, engine, "/grpc", *UPGRADE)
    assert line.startswith("HTTP/1.1 101")
    connection = Connection()
    await attach(sock.detach(), b"", connection)
    return connection


async def serving(engine: ours.Engine, key: str, sender: Client) -> Server:
    names = [f"X-Docker-Expose-Session-Uuid: {key}", f"X-Docker-Expose-Session-Grpc-Method: {PATH}"]
    sock, line = await asyncio.to_thread(turned, engine, "/session", *UPGRADE, *names)
    assert line.startswith("HTTP/1.1 101")
    server = Server(sender.handlers)
    await attach(sock.detach(), b"", server.connection)
    return server


@pytest.mark.parametrize("path", ["/grpc", "/session"])
def test_only_http2_is_spoken(engine: ours.Engine, path: str) -> None:
    for headers in ([], ["Connection: Upgrade", "Upgrade: websocket"], ["Upgrade: h2c"]):
        sock, line = turned(engine, path, *headers)
        assert line.startswith("HTTP/1.1 400"), headers
        sock.close()


async def test_a_build_may_name_its_frontend_at_once(engine: ours.Engine) -> None:
    connection = await called(engine)
    sender = Client([file("Dockerfile", b"FROM busybox\nRUN echo direct > /d\nLABEL a=b\n")])
    session = await serving(engine, "one", sender)
    request = control.SolveRequest(ref="direct", session="one", frontend="dockerfile.v0")
    request.exporters.add(type="moby", attributes={"name": "direct:1"})
    watching = asyncio.ensure_future(watched(connection, "direct"))  # noqa: TID251
    found = await ask(connection, f"{CONTROL}Solve", request, control.SolveResponse)
    assert found.response["image.name"] == "docker.io/library/direct:1"
    assert engine.cli("run", "--rm", "direct:1", "cat", "/d").stdout == "direct\n"
    names = [one.name for one in await watching if one.HasField("completed")]
    assert "[2/2] RUN echo direct > /d" in names
    assert names[-1] == "exporting to image"
    session.connection.close()
    connection.close()


async def watched(connection: Connection, ref: str) -> list[Any]:
    found = []
    async with Request(connection, f"{CONTROL}Status") as request:
        await request.send(control.StatusRequest(ref=ref), end=True)
        while (data := await request.next()) is not None:
            found += parsed(control.StatusResponse, data).vertexes
    return found


async def test_what_is_not_a_dockerfiles_is_refused(engine: ours.Engine, tmp_path: Path) -> None:
    connection = await called(engine)
    session = await serving(engine, "two", Client([]))
    solve = f"{CONTROL}Solve"
    raw = common.Definition(
        steps=[common.Op(source=common.Source(identifier="docker-image://x")).SerializeToString()]
    )
    policy = control.SourcePolicy(rules=[common.Empty()])
    for number, (more, message) in enumerate(
        [
            ({"definition": raw}, "raw LLB is not supported"),
            ({"frontend": "other.v0"}, "the frontend other.v0 is not supported"),
            ({"frontend": "dockerfile.v0", "policy": policy}, "source policies are not supported"),
            ({"frontend": "dockerfile.v0", "exporter": "floppy"}, "exporter floppy is not supported"),
            ({"frontend": "dockerfile.v0"}, "failed to read dockerfile: open Dockerfile: no such file"),
        ]
    ):
        request = control.SolveRequest(ref=f"two-{number}", session="two", **more)
        with pytest.raises(RpcError, match=message):
            await ask(connection, solve, request, control.SolveResponse)
    with pytest.raises(RpcError, match="unknown method Gossip"):
        await ask(connection, f"{CONTROL}Gossip", common.Empty(), common.Empty)
    health = await ask(connection, "/grpc.health.v1.Health/Check", common.Empty(), common.Health)
    assert health.status == 1
    session.connection.close()
    connection.close()
    assert "Traceback" not in (engine.state / "daemon.out").read_text()
