"""Attaching by WebSocket: frames become input, output becomes frames, either end ends it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.unit.api.fakes import Api


@pytest_asyncio.fixture
async def session(api: Api) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(api.path))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as made:
        yield made


@pytest.mark.parametrize(("version", "kind"), [("1.51", "BINARY"), ("1.27", "TEXT")])
async def test_what_is_sent_comes_back_in_frames_of_the_version(
    api: Api, session: aiohttp.ClientSession, version: str, kind: str
) -> None:
    async with session.ws_connect(f"/v{version}/containers/x/attach/ws?stream=1&stdin=1&stdout=1") as ws:
        await ws.send_bytes(b"over ")
        await ws.send_str("and out")
        got = ""
        while len(got) < len("over and out"):
            message = await ws.receive()
            assert message.type.name == kind
            got += message.data if isinstance(message.data, str) else message.data.decode()
        assert got == "over and out"
    wanted = api.streams.requests[0]
    assert (wanted.multiplex, wanted.stdin, wanted.stdout) == (False, True, True)
    # before 1.42 nobody could choose
    assert wanted.stderr is (version == "1.27")


async def test_nothing_is_left_of_a_client_that_said_goodbye(
    api: Api, session: aiohttp.ClientSession
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        async with session.ws_connect("/containers/x/attach/ws?stream=1&stdin=1&stdout=1") as ws:
            await ws.send_bytes(b"x")
            await ws.receive_bytes()
    for _ in range(3000):
        if len(os.listdir("/proc/self/fd")) <= before + 2:
            break
        await asyncio.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


async def test_a_request_that_is_no_handshake_is_refused(api: Api) -> None:
    status, _, body = await api.ask("GET", "/containers/x/attach/ws?stream=1")
    assert (status, "handshake" in json.loads(body)["message"]) == (400, True)
    status, _, _ = await api.ask("GET", "/containers/missing/attach/ws")
    assert status == 404
