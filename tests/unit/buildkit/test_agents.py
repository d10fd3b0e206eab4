"""SSH agents of a client, reached by sockets here."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.unit.buildkit.pair import client
from wharfie.buildkit.agents import Agents
from wharfie.buildkit.grpc import NOT_FOUND, Call, RpcError
from wharfie.buildkit.messages import common
from wharfie.buildkit.messages import session as messages

CHECK, FORWARD = "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"


async def check(call: Call) -> None:
    asked = await call.one(messages.AgentRequest)
    if asked.id == "broken":
        raise RpcError(2, "no agent answers")
    if asked.id != "default":
        raise RpcError(NOT_FOUND, f"unset ssh forward key {asked.id}")
    await call.send(common.Empty())


async def louder(call: Call) -> None:
    assert call.metadata["buildkit.ssh.id"] == ["default"]
    async for message in call.all(common.BytesMessage):
        await call.send(common.BytesMessage(data=message.data.upper()))


async def test_every_connection_is_a_stream_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / ("long" * 40)
    place.mkdir()
    async with client({CHECK: check, FORWARD: louder}) as session:
        agents = Agents(session, str(place))
        path = await agents.socket("default")
        assert await agents.socket("default") == path
        fd = os.open(place, os.O_PATH)
        for word in (b"one", b"two"):
            short = f"/proc/self/fd/{fd}/{os.path.basename(path)}"
            reader, writer = await asyncio.open_unix_connection(short)
            writer.write(word)
            writer.write_eof()
            assert await reader.read() == word.upper()
            writer.close()
        os.close(fd)
        agents.close()


async def test_an_agent_that_the_client_has_not_is_none(tmp_path: Path) -> None:
    async with client({CHECK: check, FORWARD: louder}) as session:
        agents = Agents(session, str(tmp_path))
        assert await agents.socket("other") == ""
        with pytest.raises(RpcError, match="no agent answers"):
            await agents.socket("broken")
    async with client({}) as session:
        assert await Agents(session, str(tmp_path)).socket("default") == ""
