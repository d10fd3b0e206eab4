"""What the porter knows while one daemon after the other tells it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfie.errors import Unavailable
from wharfie.network.porter import PorterProcess
from wharfie.porter.main import Service
from wharfie.support.tasks import spawn


class Daemon:
    """One that tells, and is read when the porter comes to it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        self.theirs = theirs

    def say(self, op: str, **words: object) -> None:
        self._own.send(json.dumps({"op": op, **words}).encode())

    def seat(self, container: str) -> None:
        self.say("seat", container=container, network="n", network_name="net", names=[container],
                 addresses=["10.0.0.1"])  # fmt: skip

    def heard(self) -> None:
        self._service._readable(self.theirs)

    def hears(self) -> object:
        return json.loads(self._own.recv(1 << 16))

    def close(self) -> None:
        self._own.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        yield Service(listener)


def _knows(service: Service, name: str) -> bool:
    return bool(service._names.find("one", name))


def test_names_are_good_until_the_next_daemon_has_told_all(service: Service) -> None:
    first, second = Daemon(service), Daemon(service)
    first.say("hello")
    for name in ("one", "two", "gone"):
        first.seat(name)
    first.heard()
    assert _knows(service, "two")
    second.say("hello")
    second.say("reset")
    second.seat("one")
    second.heard()
    assert _knows(service, "two"), "what the next daemon has not come to yet is not known"
    second.seat("two")
    second.say("told")
    second.heard()
    assert _knows(service, "two")
    assert not _knows(service, "gone")


def test_what_a_dead_daemon_said_comes_before_what_the_next_one_says(service: Service) -> None:
    first, second = Daemon(service), Daemon(service)
    first.say("hello")
    first.heard()
    first.seat("one")
    first.say("unseat", container="one", network="n")
    first.close()
    second.say("hello")
    second.say("reset")
    second.seat("one")
    second.say("told")
    second.heard()
    first.heard()
    assert _knows(service, "one"), "an old message undid a new one"


def test_who_asks_in_vain_is_told_at_once(service: Service) -> None:
    daemon = Daemon(service)
    daemon.say("open", container="one")  # without a namespace
    daemon.heard()
    assert daemon.hears() == {"error": "list index out of range", "container": "one"}


async def test_the_daemon_waits_no_longer_for_what_the_porter_cannot_do(tmp_path: Path) -> None:
    porter = PorterProcess(str(tmp_path))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    porter._use(ours, None)
    asked = spawn("open", porter.open("one", os.getpid()))
    await asyncio.sleep(0)
    assert json.loads(theirs.recv(1 << 16)) == {"op": "open", "container": "one"}
    theirs.send(json.dumps({"error": "no such thing", "container": "one"}).encode())
    with pytest.raises(Unavailable, match="the porter: no such thing"):
        await asked
    porter.close()
    theirs.close()
