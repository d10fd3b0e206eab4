"""Archives that a thread sends past the event loop: whole, at the client's pace, or cut where they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.unit.api.fakes import Api
from wharfie.errors import Conflict
from wharfie.images.pipe import PipeBroken

ASK = b"GET /v1.41/images/get?names=a HTTP/1.1\r\nHost: docker\r\n\r\n"
PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"

Write = Callable[[bytes], None]


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
async def test_a_body_comes_whole_and_the_connection_goes_on(api: Api, size: int) -> None:
    def work(write: Write) -> None:
        write(b"first")
        write(b"")
        write(b"x" * size)

    api.store.saving = work
    reader, writer = await api.connect()
    writer.write(ASK + PING)
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked" in head
    whole = b"5\r\nfirst\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
    assert rest[: len(whole)] == whole
    assert rest[len(whole) :].startswith(b"HTTP/1.1 200 OK")
    assert rest.endswith(b"OK")
    writer.close()


async def test_an_archive_of_nothing_is_an_empty_body(api: Api) -> None:
    api.store.saving = lambda _: None
    assert (await api.ask("GET", "/images/get?names=a"))[::2] == (200, b"")


async def test_an_error_before_the_first_byte_is_a_status(api: Api) -> None:
    def work(_: Write) -> None:
        raise Conflict("it is busy")

    api.store.saving = work
    status, _, body = await api.ask("GET", "/images/get?names=a")
    assert (status, body) == (409, b'{"message":"it is busy"}')


async def test_an_error_in_the_middle_cuts_the_connection(api: Api) -> None:
    def work(write: Write) -> None:
        write(b"half")
        raise Conflict("it is damaged")

    api.store.saving = work
    reader, writer = await api.connect()
    writer.write(ASK)
    answer = await reader.read()
    assert answer.endswith(b"4\r\nhalf\r\n")
    writer.close()


async def test_a_client_that_does_not_read_holds_nobody_up_and_is_noticed_when_it_leaves(
    api: Api,
) -> None:
    broken: list[BaseException] = []

    def work(write: Write) -> None:
        try:
            while True:
                write(bytes(1 << 20))
        except PipeBroken as error:
            broken.append(error)
            raise

    api.store.saving = work
    reader, writer = await api.connect()
    writer.write(ASK)
    await reader.readexactly(1000)
    assert (await api.ask("GET", "/_ping"))[0] == 200
    assert not broken
    writer.transport.abort()
    await asyncio.wait_for(api.store.saved.wait(), 30)
    assert len(broken) == 1
