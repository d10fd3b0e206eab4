"""What is carried through published ports, and what no client and no container can do by it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from wharfie.porter.doors import Door, Room, _Flow
from wharfie.porter.loop import Loop

LOCAL = ("127.0.0.1", 0)


def bound(kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(LOCAL)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


class Passage:
    """A published port, and a container behind it."""

    def __init__(self, kind: int = socket.SOCK_STREAM, room: int = 1000) -> None:
        self.loop = Loop()
        self.inner = bound(kind)
        self.inner.settimeout(60)
        self.outer = bound(kind)
        self.address = self.outer.getsockname()
        self.room = Room(room)
        self.door = Door(self.loop, self.outer, self.inner.getsockname(), self.room)

    def until(self, what: Callable[[], object]) -> None:
        for _ in range(1000):
            if what():
                return
            self.loop.turn()
        raise AssertionError("it turns round and round")

    def connect(self) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection(self.address)
        self.until(lambda: any(stream._flows for stream in self.door._streams))
        server, _ = self.inner.accept()
        return client, server

    def close(self) -> None:
        self.door.close()
        self.inner.close()


@pytest.fixture
def passage() -> Iterator[Passage]:
    made = Passage()
    yield made
    made.close()


def quiet(loop: Loop) -> bool:
    """Whether nothing is ready: a process would sleep now."""
    return not loop._epoll.poll(0)


def test_bytes_go_both_ways_and_so_does_the_end(passage: Passage) -> None:
    client, server = passage.connect()
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        passage.until(lambda: quiet(passage.loop))
        assert server.recv(100) == b"question"
        assert server.recv(100) == b""
        server.sendall(b"answer")
        server.close()
        passage.until(lambda: not passage.door._streams)
        assert client.recv(100) == b"answer"
        assert client.recv(100) == b""


def test_a_client_that_is_reset_after_its_end_is_not_waited_for(passage: Passage) -> None:
    client, server = passage.connect()
    with server:
        client.shutdown(socket.SHUT_WR)
        passage.until(lambda: quiet(passage.loop))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        passage.until(lambda: not passage.door._streams)


def test_a_side_that_is_over_while_the_other_one_reads_nothing_is_asked_no_more(passage: Passage) -> None:
    client, server = passage.connect()
    with client, server:
        server.shutdown(socket.SHUT_WR)
        passage.until(lambda: quiet(passage.loop))
        client.setblocking(False)
        sent = 0
        try:
            while True:
                sent += client.send(bytes(1 << 16))
                passage.until(lambda: quiet(passage.loop))
        except BlockingIOError:
            pass  # everything on the way is full
        client.close()
        passage.until(lambda: quiet(passage.loop))
        received = 0
        while received < sent:
            if quiet(passage.loop):
                received += len(server.recv(1 << 20))
            else:
                passage.loop.turn()
        passage.until(lambda: not passage.door._streams)


def test_what_a_container_said_before_it_hung_up_on_its_client_arrives(passage: Passage) -> None:
    client, server = passage.connect()
    with client:
        client.sendall(b"more than it reads")
        passage.until(lambda: quiet(passage.loop))
        server.sendall(b"too large")
        server.close()  # with something unread: a reset
        passage.until(lambda: not passage.door._streams)
        assert client.recv(100) == b"too large"


def test_a_stream_that_never_pauses_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = 0

    def splice(_source: int, _target: int, count: int) -> int:
        nonlocal moved
        moved += 1
        assert moved < 10_000
        return count

    monkeypatch.setattr(os, "splice", splice)
    one, other = socket.socketpair()
    with one, other:
        flow = _Flow(one, other)
        flow.move()
        assert not flow.over
        flow.close()


def test_connections_end_with_their_port(passage: Passage) -> None:
    client, server = passage.connect()
    with client, server:
        passage.door.close()
        assert client.recv(1) == b""
        assert server.recv(1) == b""


def test_only_so_much_is_carried_at_once() -> None:
    passage = Passage(room=Room.STREAM)
    client, server = passage.connect()
    second = socket.create_connection(passage.address)
    passage.until(lambda: quiet(passage.loop))
    passage.inner.setblocking(False)
    with pytest.raises(BlockingIOError):
        passage.inner.accept()
    client.close()
    server.close()
    passage.until(lambda: not passage.door._streams)
    passage.until(lambda: passage.door._streams)
    second.close()
    passage.close()
    assert passage.room.take(Room.STREAM), "room was not given back"


def test_without_descriptors_nobody_is_let_in_and_nobody_waits_in_circles(
    passage: Passage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe2", none_left)
        with socket.create_connection(passage.address) as client:
            passage.until(lambda: passage.door._streams)
            passage.until(lambda: not passage.door._streams)
            assert client.recv(1) == b""
    client, server = passage.connect()
    client.close()
    server.close()


def test_a_sender_of_datagrams_costs_one_timer_however_much_it_is_told() -> None:
    passage = Passage(socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(passage.address)
        client.send(b"hello")
        passage.until(lambda: passage.door._senders)
        _, port = passage.inner.recvfrom(100)
        for _ in range(100):
            passage.inner.sendto(b"answer", port)
            passage.until(lambda: quiet(passage.loop))
            assert client.recv(100) == b"answer"
        assert len(passage.loop._timers) == 1
    passage.close()


def test_a_listener_without_descriptors_is_left_alone_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    passage = Passage()
    refused: list[int] = []

    class Poor:
        """A listener of a process that may open no more files."""

        fileno = passage.outer.fileno

        def accept(self) -> None:
            refused.append(1)
            raise OSError(errno.EMFILE, "none left")

    with socket.create_connection(passage.address) as client:
        with monkeypatch.context() as patched:
            patched.setattr(passage.door, "_sock", Poor())
            passage.until(lambda: refused)
            assert quiet(passage.loop)
        passage.until(lambda: passage.door._streams)
        client.close()
    passage.close()
    assert passage.loop._paused == {}
