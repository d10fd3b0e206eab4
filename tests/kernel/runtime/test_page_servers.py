"""Memory that goes over a socket: ``--page-server``, and ``--lazy-pages``, fetched when it is used."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Box, box
from tests.kernel.runtime.criu import Counting
from tests.ports import free_port

__all__ = ["box"]


@pytest.fixture
def counting(box: Box) -> Iterator[Counting]:
    made = Counting(box)
    made.write()
    yield made
    made("delete", "--force", "c")


def criu(counting: Counting, *words: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """CRIU itself, for the other side."""
    found = shutil.which("criu", path=counting.environment["PATH"])
    assert found
    null = subprocess.DEVNULL
    return subprocess.Popen(
        [found, *words], cwd=counting.box.directory, pass_fds=pass_fds, stdin=null, stdout=null, stderr=null
    )


def checkpointing(counting: Counting, *words: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """A checkpoint that goes on beside the test."""
    return subprocess.Popen(
        [*counting.argv, "--root", str(counting.state), "checkpoint", "--image-path", "images", *words, "c"],
        cwd=counting.box.directory, env=counting.environment, pass_fds=pass_fds,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A socket of the loopback's that listens, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, f"127.0.0.1:{server.getsockname()[1]}"


def is_listened_at(path: Path) -> bool:
    """Whether a server has the socket: it has a name a moment before."""
    # number, references, protocol, flags, type, state, inode, name
    found = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return path.exists() and any(
        line[3] == "00010000" and line[7:] and Path(line[7]).name == path.name for line in found
    )


def test_memory_goes_to_a_page_server(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    (counting.box.directory / "images").mkdir()
    with listening() as (server, address), checkpointing(counting, "--page-server", address) as dumping:
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            number = connection.fileno()
            words = ("page-server", "--images-dir", "images", "--ps-socket", str(number))
            with criu(counting, *words, pass_fds=(number,)) as other:
                connection.close()
                assert other.wait(60) == 0
        assert dumping.wait(60) == 0
    (pages,) = (counting.box.directory / "images").glob("pages-*.img")
    assert pages.stat().st_size > 4096
    counting("restore", "--detach", "--image-path", "images", "c")
    counting.tick()


def test_without_a_page_server_the_container_goes_on(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    with socket.socket() as server:  # that nobody else listens at this address either
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        said = counting("checkpoint", "--image-path", "images", "--page-server", address, "c", code=1)
    assert "criu failed: type DUMP" in said
    assert counting.status() == "running"
    counting.tick()


def test_pages_are_fetched_when_they_are_used(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    counting("checkpoint", "--image-path", "images", "c")
    with criu(counting, "lazy-pages", "--images-dir", "images") as fetching:
        try:
            counting.reaches(lambda: is_listened_at(counting.box.directory / "images/lazy-pages.socket"))
            counting("restore", "--detach", "--lazy-pages", "--image-path", "images", "c")
            counting.tick()
            assert fetching.wait(60) == 0
        finally:
            fetching.kill()
    counting.tick()


def test_a_container_whose_pages_are_fetched_by_a_stranger_goes_on(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    address = f"127.0.0.1:{free_port()}"
    ready, told = os.pipe()
    words = ("--lazy-pages", "--page-server", address, "--status-fd", str(told))
    with checkpointing(counting, *words, pass_fds=(told,)) as dumping:
        os.close(told)
        assert os.read(ready, 1) == b"\0"
        os.close(ready)
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))) as fetching:
            fetching.sendall(b"\xff" * 64)
        assert dumping.wait(60) == 1
    assert counting.status() == "running"
    counting.tick()
