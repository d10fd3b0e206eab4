"""Sessions, and builds that wait for theirs."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from tests.unit.buildkit.pair import client
from wharfie.buildkit import session as sessions
from wharfie.buildkit.grpc import RpcError
from wharfie.buildkit.http2 import Connection
from wharfie.buildkit.messages import common
from wharfie.buildkit.session import Session, Sessions
from wharfie.errors import InvalidArgument, NotFound


async def test_a_build_may_come_before_its_session() -> None:
    known = Sessions()
    waiting = [asyncio.ensure_future(known.get("id")) for _ in range(2)]  # noqa: TID251
    await asyncio.sleep(0)
    async with client({}) as session:
        known.add(session)
        assert await asyncio.gather(*waiting) == [session, session]
        assert await known.get("id") is session


async def test_a_session_that_never_comes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_PATIENCE", 0)
    with pytest.raises(NotFound, match="no active session for id"):
        await Sessions().get("id")


async def test_one_who_gives_up_does_not_keep_a_session_from_another() -> None:
    known = Sessions()
    first = asyncio.ensure_future(known.get("id"))  # noqa: TID251
    second = asyncio.ensure_future(known.get("id"))  # noqa: TID251
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    async with client({}) as session:
        known.add(session)
        assert await second is session
    assert not known._waiting


async def test_an_id_is_taken_until_its_session_ends() -> None:
    known = Sessions()
    async with client({}) as session:
        known.add(session)
        with pytest.raises(InvalidArgument, match="session id is there already"):
            known.add(Session("id", "", [], Connection()))
        session.connection.close()
        await session.connection.closed
        await asyncio.sleep(0)
        known.add(Session("id", "", [], Connection()))
    with pytest.raises(InvalidArgument, match="needs an id"):
        known.add(Session("", "", [], Connection()))


async def test_what_the_client_does_not_offer_is_not_asked() -> None:
    async with client({}) as session:
        with pytest.raises(RpcError, match="the client does not offer /a/B"):
            await session.ask("/a/B", common.Empty(), common.Empty)


async def test_a_second_session_of_an_id_is_sent_away() -> None:
    from wharfie.buildkit.serving import BuildKit

    served = BuildKit(None)  # type: ignore[arg-type]
    ours, theirs = socket.socketpair()
    first = asyncio.ensure_future(served.serve_session(ours.detach(), b"", "id", "", []))  # noqa: TID251
    await served._sessions.get("id")
    second, peer = socket.socketpair()
    number = second.detach()
    await served.serve_session(number, b"", "id", "", [])
    assert not first.done()
    theirs.close()
    await first
    peer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
