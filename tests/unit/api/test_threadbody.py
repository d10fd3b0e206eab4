"""Large uploads that a thread reads past the event loop: whole.

In whatever pieces, and what comes behind them.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.unit.api.fakes import Api

HEAD = b"POST /v1.41/images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


async def exchange(api: Api, *pieces: bytes) -> bytes:
    reader, writer = await api.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("cut", [1, 3, 90, 91, 92, 95, 200, 100_000])
async def test_a_body_comes_whole_and_the_connection_goes_on(api: Api, cut: int) -> None:
    data = [b"a" * 7, b"b" * 70_000, b"c"]
    sent = HEAD + chunked(*data) + NEXT
    answer = await exchange(api, sent[:cut], sent[cut:])
    assert api.store.loaded == b"".join(data)
    assert b"Loaded image: x:1" in answer
    assert answer.endswith(b"OK")


@pytest.mark.parametrize("end", [b"0\r\nTrailer: x\r\n\r\n", b"0;extension=1\r\n\r\n"])
async def test_extensions_and_trailers_are_passed_over(api: Api, end: bytes) -> None:
    answer = await exchange(api, HEAD + chunked(b"tar", end=end) + NEXT)
    assert api.store.loaded == b"tar"
    assert answer.endswith(b"OK")


async def test_an_error_in_the_middle_is_told_while_the_client_still_sends(api: Api) -> None:
    reader, writer = await api.connect()
    writer.write(HEAD + chunked(b"wrong" * 10, end=b""))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 400 " in head
    body = await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    assert json.loads(body) == {"message": "this is no archive"}
    writer.close()


@pytest.mark.parametrize("line", [b"x\r\n", b"-5\r\n", b"\r\nabc\r\n", b"f" * 20 + b"\r\n", b"y" * 5000])
async def test_what_is_not_chunked_is_refused(api: Api, line: bytes) -> None:
    answer = await exchange(api, HEAD + line)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"not chunked as it should be" in answer


async def test_a_client_that_goes_away_ends_the_work(api: Api) -> None:
    _, writer = await api.connect()
    writer.write(HEAD + b"ff\r\nabc")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(api.store.begun.wait(), 60)
    assert api.store.loaded == b""
