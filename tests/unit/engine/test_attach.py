"""Attachments: detach keys, who may attach, and streams that wait for a start."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from wharfie.engine.attach import Hangups, Streams, detach_keys
from wharfie.engine.container import State, Status
from wharfie.errors import Conflict, InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (None, b"\x10\x11"),
        ("", b"\x10\x11"),
        ("a,b", b"ab"),
        ("ctrl-a,x", b"\x01x"),
        ("ctrl-@,ctrl-_", b"\0\x1f"),
    ],
)
def test_detach_keys(text: str | None, keys: bytes) -> None:
    assert detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-1", "ctrl-", "ab", "a,,b", "ü"])
def test_wrong_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        detach_keys(text)


@dataclass
class Wanted:
    stdin: bool = True
    stdout: bool = True
    stderr: bool = True
    stream: bool = True
    logs: bool = False
    detach_keys: str | None = None
    multiplex: bool = True


class Containers:
    def __init__(self, state: State) -> None:
        self.events: list[str] = []
        self.container: Any = SimpleNamespace(
            id="c" * 64, short_id="c" * 12, tty=False, link=None, pending=[], log_path="",
            status=Status(state=state), config=SimpleNamespace(open_stdin=True),
        )  # fmt: skip

    def get(self, ref: str) -> Any:
        return self.container

    def emit(self, container: Any, action: str, **attributes: str) -> None:
        self.events.append(action)


@pytest.mark.parametrize(
    ("state", "words"), [(State.PAUSED, "is paused"), (State.RESTARTING, "is restarting")]
)
async def test_some_containers_cannot_be_attached_to(state: State, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        await Streams(Containers(state)).check_attach("c")


async def test_before_the_start_the_stream_waits() -> None:
    containers = Containers(State.CREATED)
    ours, theirs = socket.socketpair()
    await Streams(containers).attach("c", Wanted(), theirs.detach(), b"early")
    [pending] = containers.container.pending
    assert pending.attachment.prefix == b"early"
    assert pending.attachment.multiplex
    assert pending.attachment.detach_keys == b""
    os.close(pending.fd)
    pending.handle.set_result(SimpleNamespace(closed=asyncio.get_running_loop().create_future()))
    ours.close()


async def test_a_client_that_goes_before_the_start_is_forgotten() -> None:
    containers = Containers(State.CREATED)
    ours, theirs = socket.socketpair()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    await Streams(containers).attach("c", Wanted(), theirs.detach(), b"")
    pending = containers.container.pending[0]
    ours.send(b"typed already")
    ours.close()
    await asyncio.wait([pending.handle], timeout=60)
    assert pending.handle.cancelled()
    assert containers.container.pending == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before - 2


async def test_without_stream_and_logs_the_connection_ends() -> None:
    containers = Containers(State.EXITED)
    ours, theirs = socket.socketpair()
    await Streams(containers).attach("c", Wanted(stream=False), theirs.detach(), b"")
    assert ours.recv(10) == b""
    assert containers.events == []


async def test_hangups_ignore_input() -> None:
    ours, theirs = socket.socketpair()
    called = asyncio.Event()
    hangups = Hangups()
    hangups.watch(theirs.fileno(), called.set)
    ours.send(b"input")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(called.wait(), 0.05)
    ours.close()
    await asyncio.wait_for(called.wait(), 60)
    theirs.close()
