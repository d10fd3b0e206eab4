"""The HTTP reader: every way a body can come, and what is no answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from wharfie.client.api import query, quote
from wharfie.client.errors import BrokenAnswer
from wharfie.client.http import Connection


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


BODIES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("data", BODIES)
def test_bodies_however_they_arrive(pair: tuple[Connection, socket.socket], data: bytes, step: int) -> None:
    connection, theirs = pair
    for at in range(0, len(data), step):
        theirs.sendall(data[at : at + step])
    response = connection.response()
    assert (response.status, response.read(), response.done) == (200, b"hello", True)
    assert connection.reusable


def test_a_body_up_to_the_end(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    theirs.shutdown(socket.SHUT_WR)
    assert connection.response().read() == b"all of it"
    assert not connection.reusable


def test_bytes_behind_the_head_go_with_the_socket(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly")
    assert connection.response().status == 101
    assert connection.hijack()[1] == b"early"


@pytest.mark.parametrize(
    "data", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
             b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"]
)  # fmt: skip
def test_what_is_no_answer(pair: tuple[Connection, socket.socket], data: bytes) -> None:
    connection, theirs = pair
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenAnswer):
        connection.response().read()
    assert not connection.reusable


def test_json_lines(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.sendall(
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"a":1\r\n3\r\n}\n{\r\n1\r\n}\r\n0\r\n\r\n'  # noqa: E501
    )
    assert list(connection.response().lines()) == [{"a": 1}, {}]


def test_queries() -> None:
    assert query(a=1, b=None, c=False, d=True, e="", f="x y", g=["p", "q"]) == "?a=1&d=1&f=x%20y&g=p&g=q"
    assert quote("ä/b", "/") == "%C3%A4/b"


def drained(sock: socket.socket, size: int) -> int:
    taken = 0
    while taken < size and (data := sock.recv(1 << 16)):
        taken += len(data)
    return taken


def test_an_answer_is_read_while_the_request_is_still_being_sent(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, theirs = pair
    size = 16 << 20
    connection.beside(lambda one: one.send_stream("POST", "/x", iter([bytes(size)]), "application/x-tar"))
    theirs.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"a": 1}\r\n1\r\n\n\r\n')
    lines = connection.response().lines()
    assert next(lines) == {"a": 1}
    assert drained(theirs, size) >= size
    theirs.sendall(b'9\r\n{"a": 2}\n\r\n0\r\n\r\n')
    assert list(lines) == [{"a": 2}]


def test_what_goes_wrong_with_the_body_is_told_to_who_reads_the_answer(
    pair: tuple[Connection, socket.socket],
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x"
        raise ValueError("the disk is gone")

    connection, theirs = pair
    connection.beside(lambda one: one.send_stream("POST", "/x", parts(), "application/x-tar"))
    assert drained(theirs, 1 << 20) < 1 << 20
    theirs.close()
    with pytest.raises(ValueError, match="the disk is gone"):
        connection.response()
