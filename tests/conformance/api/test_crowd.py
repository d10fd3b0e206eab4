"""A hundred followers of a log, a hundred streams of statistics, fifty attached clients, some of them slow.

Nothing is lost, nobody starves, and the daemon's memory is bounded; ``python -m bench.crowd`` tells how long
it takes to answer meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ours
from wharfie.wire import stdcopy

FOLLOWERS, WATCHERS, ATTACHED = 100, 100, 50
LINES = 20_000
SAMPLES = 3
TALK = (
    f"until [ -e /go ]; do sleep 0.05; done; i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done"
)
EXPECTED = "".join(f"line {number}\n" for number in range(LINES)).encode()
PATIENCE = 300


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    """One of its own, for its memory is looked at."""
    with ours.engine(tmp_path_factory.mktemp("crowd"), bridge="whcr") as running:
        yield running


class Client:
    """One connection with one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def ask(cls, path: str, method: str, target: str, *headers: str) -> Client:
        """Send the request, and read the head of the answer."""
        # a small buffer here, so that a slow reader is one for the daemon as well
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 12)
        lines = [f"{method} /v1.51{target} HTTP/1.1", "Host: d", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] in (b"200", b"101"), head
        return cls(reader, writer)

    async def chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def body(self) -> bytes:
        """All chunks to the end."""
        parts = []
        while part := await self.chunk():
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Go away."""
        self.writer.close()


def unframed(data: bytes) -> bytes:
    """What is in stdcopy frames."""
    parts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        parts.append(data[at + stdcopy.HEADER_SIZE : at + stdcopy.HEADER_SIZE + size])
        at += stdcopy.HEADER_SIZE + size
    return b"".join(parts)


async def follow(path: str, slow: asyncio.Event | None) -> bytes:
    """The whole log, from before its first line on; a slow one begins to read at the end."""
    client = await Client.ask(path, "GET", "/containers/talker/logs?follow=1&stdout=1")
    if slow is not None:
        await slow.wait()
    found = unframed(await client.body())
    client.close()
    return found


async def watch(path: str) -> list[str]:
    """The times of some samples."""
    client = await Client.ask(path, "GET", "/containers/cat/stats")
    found: list[str] = []
    while len(found) < SAMPLES:
        found.append(json.loads(await client.chunk())["read"])
    client.close()
    return found


class Everybody:
    """Lets nobody on before all are there."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._here = asyncio.Event()

    async def arrive(self) -> None:
        """One more; returns when all have come."""
        self._missing -= 1
        if not self._missing:
            self._here.set()
        await self._here.wait()


async def attach(path: str, number: int, everybody: Everybody) -> bool:
    """Says its own name, and when all of them are attached once more, and hears everybody then."""
    headers = ("Connection: Upgrade", "Upgrade: tcp")
    client = await Client.ask(path, "POST", "/containers/cat/attach?stream=1&stdin=1&stdout=1", *headers)
    got = b""

    async def hear(wanted: set[bytes]) -> None:
        nonlocal got
        while _missing(got) or not wanted <= set(unframed(got).split(b"\n")):
            data = await client.reader.read(1 << 12)
            assert data, got
            got += data

    client.writer.write(b"here %d\n" % number)
    await hear({b"here %d" % number})
    await everybody.arrive()
    client.writer.write(b"again %d\n" % number)
    await hear({b"again %d" % other for other in range(ATTACHED)})
    client.close()
    return True


def _missing(data: bytes) -> int:
    """Bytes that the last frame lacks."""
    at = 0
    while at < len(data):
        if len(data) - at < stdcopy.HEADER_SIZE:
            return stdcopy.HEADER_SIZE - (len(data) - at)
        at += stdcopy.HEADER_SIZE + int.from_bytes(data[at + 4 : at + 8], "big")
    return at - len(data)


# in a process of its own: what is measured is the daemon, and not this crowd
PINGS = """
import select, socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
waits = []
print("begun", flush=True)
sock.settimeout(60)
while True:
    before = time.perf_counter()
    sock.sendall(b"GET /_ping HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n")
    got = b""
    while not got.endswith(b"OK"):
        got += sock.recv(4096)
    waits.append((time.perf_counter() - before) * 1000)
    if select.select([0], [], [], 0.01)[0]:
        break
waits.sort()
print(len(waits), waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1])
"""


@contextmanager
def pinged(path: str) -> Iterator[list[float]]:
    """Asks for ``_ping`` over and over meanwhile; how often, and the middle, 99th and longest wait in ms."""
    found: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-c", PINGS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield found
        finally:
            process.stdin.close()
            found += map(float, process.stdout.read().split())


def resident(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def crowd(engine: ours.Engine) -> None:
    """All of them at once."""
    path = engine.host.removeprefix("unix://")
    read_on = asyncio.Event()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        followers = [
            group.create_task(follow(path, read_on if number % 10 == 0 else None))
            for number in range(FOLLOWERS)
        ]
        others = [group.create_task(watch(path)) for _ in range(WATCHERS)]
        everybody = Everybody(ATTACHED)
        attached = [group.create_task(attach(path, number, everybody)) for number in range(ATTACHED)]
        assert all(await asyncio.gather(*attached))
        await asyncio.to_thread(engine.cli, "exec", "talker", "touch", "/go")
        quick = [one for number, one in enumerate(followers) if number % 10]
        for log in await asyncio.gather(*quick):
            assert log == EXPECTED
        samples = await asyncio.gather(*others)
        read_on.set()
        assert {one == EXPECTED for one in await asyncio.gather(*followers)} == {True}
    assert all(sorted(set(times)) == times for times in samples)


def prepare(engine: ours.Engine) -> None:
    """The containers that they are about."""
    assert engine.cli("run", "-d", "--name", "talker", "busybox", "sh", "-c", TALK).returncode == 0
    assert engine.cli("run", "-di", "--name", "cat", "busybox", "cat").returncode == 0


def test_a_crowd_of_clients_gets_all_of_it(engine: ours.Engine) -> None:
    prepare(engine)
    before = resident(engine.pid)
    with pinged(engine.host.removeprefix("unix://")) as waits:
        asyncio.run(crowd(engine))
    assert waits
    assert waits[0] > 1
    assert resident(engine.pid) - before < 64 << 10
    # nobody of them is remembered
    ours.until(lambda: len(list(Path(f"/proc/{engine.pid}/fd").iterdir())) < 60, "descriptors are left")
