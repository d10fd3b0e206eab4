"""gRPC over HTTP/2, both sides ours; what real clients send is played by tests/conformance/build."""

from __future__ import annotations

import asyncio
import base64
import socket

import pytest

from tests.unit.buildkit.pair import pair
from wharfie.buildkit import http2
from wharfie.buildkit.grpc import (
    INVALID,
    UNIMPLEMENTED,
    Call,
    Request,
    RpcError,
    Server,
    ask,
    framed,
    parsed,
    trailers_of,
)
from wharfie.buildkit.http2 import StreamLost, attach
from wharfie.buildkit.messages import common, control
from wharfie.errors import InvalidArgument

BYTES = common.BytesMessage


async def echo(call: Call) -> None:
    async for message in call.all(BYTES):
        await call.send(message)


async def test_a_question_is_answered() -> None:
    async def double(call: Call) -> None:
        message = await call.one(BYTES)
        await call.send(BYTES(data=message.data * 2))

    async with pair({"/a/Double": double}) as (_, connection):
        found = await ask(connection, "/a/Double", BYTES(data=b"ab"), BYTES)
        assert found.data == b"abab"


async def test_messages_larger_than_any_window_pass_both_ways() -> None:
    size = 9 << 20
    async with pair({"/a/Echo": echo}) as (_, connection), Request(connection, "/a/Echo") as request:
        for turn in range(3):
            await request.send(BYTES(data=bytes([turn]) * size))
            data = await request.next()
            assert data is not None
            assert parsed(BYTES, data).data == bytes([turn]) * size
        await request.end()
        assert await request.next() is None


async def test_an_error_comes_as_a_status() -> None:
    async def fail(call: Call) -> None:
        await call.one(BYTES)
        raise InvalidArgument('no "ü" at 100 %')

    async with pair({"/a/Fail": fail}) as (_, connection):
        with pytest.raises(RpcError, match='no "ü" at 100 %') as caught:
            await ask(connection, "/a/Fail", BYTES(), BYTES)
        assert caught.value.code == INVALID
        with pytest.raises(RpcError, match="unknown method Nothing for service a") as caught:
            await ask(connection, "/a/Nothing", BYTES(), BYTES)
        assert caught.value.code == UNIMPLEMENTED


async def test_an_error_after_messages_comes_in_the_trailers() -> None:
    async def some(call: Call) -> None:
        await call.send(BYTES(data=b"1"))
        raise RpcError(5, "gone")

    async with pair({"/a/Some": some}) as (_, connection), Request(connection, "/a/Some") as request:
        await request.end()
        assert await request.next() is not None
        with pytest.raises(RpcError, match="gone"):
            await request.next()


def test_details_of_an_error_travel_in_a_header() -> None:
    error = RpcError(2, "m", [("a/b", b"{}")])
    [text] = [value for name, value in trailers_of(error) if name == "grpc-status-details-bin"]
    status = common.Status.FromString(base64.b64decode(text + "=" * (-len(text) % 4)))
    assert RpcError.of(status).details == [("a/b", b"{}")]


def test_an_error_about_a_name_that_is_no_text_can_be_sent() -> None:
    error = RpcError(2, "no \udcff", [("a/b", b"{}")])
    assert ("grpc-message", "no ?") in trailers_of(error)
    assert error.status().message == "no ?"


async def test_what_is_not_read_of_calls_does_not_use_up_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2, "_CONNECTION_WINDOW", 1 << 16)

    async def pour(call: Call) -> None:
        while True:
            await call.send(BYTES(data=bytes(1 << 14)))

    async with pair({"/a/Pour": pour, "/a/Echo": echo}) as (_, connection):
        for _ in range(8):
            async with Request(connection, "/a/Pour") as request:
                assert await request.next() is not None
        async with asyncio.timeout(60):  # it would wait for ever
            await ask(connection, "/a/Echo", BYTES(data=b"x"), BYTES)


async def test_a_call_that_is_given_up_ends_its_handler() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with pair({"/a/Wait": wait}) as (_, connection):
        async with Request(connection, "/a/Wait") as request:
            await request.send(BYTES())
            await begun.wait()
        await ended.wait()


async def test_a_lost_connection_ends_both_sides() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with pair({"/a/Wait": wait}) as (server, connection), Request(connection, "/a/Wait") as request:
        await request.send(BYTES())
        await begun.wait()
        server.connection.close()
        with pytest.raises(StreamLost):
            await request.next()
        await ended.wait()


async def test_what_is_no_http2_closes_the_connection() -> None:
    ours, theirs = socket.socketpair()
    server = Server({})
    await attach(ours.detach(), b"GET / HTTP/1.1\r\n\r\n", server.connection)
    await server.connection.closed
    theirs.close()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01\x00\x00\x00\x01x", "compressed"),
        (b"\x00\xff\xff\xff\xffx", "larger than"),
        (b"\x00\x00\x00\x00\x09x", "in the middle of a message"),
        (b"\x00\x00", "in the middle of a message"),
        (framed(BYTES(data=b"x"))[:4] + b"\x01\xff", "cannot be read"),
        (b"", "has no message"),
    ],
)
async def test_a_request_that_is_no_grpc_is_refused(data: bytes, message: str) -> None:
    async def one(call: Call) -> None:
        await call.one(BYTES)

    async with pair({"/a/One": one}) as (_, connection), Request(connection, "/a/One") as request:
        await request.send_framed(data)
        await request.end()
        with pytest.raises(RpcError, match=message):
            await request.next()


def test_fields_have_the_numbers_of_buildkits() -> None:
    message = control.SolveRequest(ref="r", session="s", frontend_attributes={"a": "b"})
    message.exporters.add(type="moby")
    assert message.SerializeToString() == b"\x0a\x01r\x2a\x01s\x3a\x06\x0a\x01a\x12\x01bj\x06\x0a\x04moby"
