"""Faults injected below the API: each documented 500 and 503 is answered, with a message."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
import pytest_asyncio

from tests.conformance.api import deviations, spec
from tests.conformance.api.recorder import Connection
from tests.conformance.api.scenario_containers import WEBSOCKET
from wharfie.api.backends import Backends
from wharfie.api.server import Server
from wharfie.api.table import all_routes
from wharfie.errors import Unavailable

WITHOUT = {
    "SystemPing": "it asks nobody",
    "SystemPingHead": "it asks nobody",
    "PluginList": "there are none to be asked for",
}
"""Operations that nothing below can fail."""
QUERY = {
    "ContainerLogs": "stdout=1",
    "ContainerResize": "h=1&w=1",
    "ExecResize": "h=1&w=1",
    "ImageCommit": "container=x",
    "ContainerArchive": "path=/",
    "ContainerArchiveInfo": "path=/",
    "PutContainerArchive": "path=/",
    "ImageGetAll": "names=x",
    "ImageCreate": "fromImage=x&tag=1",
}
FAILING = sorted(
    one.id
    for one in spec.operations().values()
    if 500 in one.statuses
    and one.tag not in spec.SWARM
    and one.id not in {*WITHOUT, *deviations.UNCALLED}
    and one.tag != "Plugin"
)


class Broken:
    """A part of the engine that fails whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> NoReturn:
            raise self._error

        return fail


async def served(path: Path, error: Exception) -> AsyncIterator[str]:
    backends = Backends(**{field.name: cast(Any, Broken(error)) for field in fields(Backends)})
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    server = Server(all_routes(backends))
    await server.listen(sock)
    yield str(path)
    await server.close(0.1)


@pytest_asyncio.fixture
async def faulty(tmp_path: Path) -> AsyncIterator[str]:
    async for path in served(tmp_path / "faulty", OSError(5, "Input/output error", "/data")):
        yield path


@pytest_asyncio.fixture
async def unavailable(tmp_path: Path) -> AsyncIterator[str]:
    async for path in served(tmp_path / "unavailable", Unavailable("not now")):
        yield path


def asked(path: str, operation: str) -> tuple[int, bytes]:
    """Call an operation in a thread's manner: status and body."""
    one = spec.operations()[operation]
    target = "/v1.51" + one.path.replace("{id}", "x").replace("{name}", "x")
    connection = Connection(path)
    body = b"{}" if one.method in ("POST", "PUT") else None
    media = "application/x-tar" if operation == "ImageBuild" else "application/json"
    headers = {"Content-Type": media} if body else {}
    if operation == "ContainerAttachWebsocket":
        headers |= WEBSOCKET
    query = QUERY.get(operation, "")
    connection.request(one.method, f"{target}?{query}" if query else target, body, headers)
    answer: http.client.HTTPResponse = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.parametrize("operation", FAILING)
async def test_a_fault_below_is_a_500_with_a_message(faulty: str, operation: str) -> None:
    status, body = await asyncio.to_thread(asked, faulty, operation)
    assert status == 500, body
    if spec.operations()[operation].method != "HEAD":
        assert json.loads(body)["message"] == "/data: Input/output error"


async def test_what_is_unavailable_is_a_503(unavailable: str) -> None:
    assert 503 in spec.operations()["VolumeUpdate"].statuses
    status, body = await asyncio.to_thread(asked, unavailable, "VolumeUpdate")
    assert (status, json.loads(body)) == (503, {"message": "not now"})
