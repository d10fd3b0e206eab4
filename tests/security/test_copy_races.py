"""``docker cp`` against a container that swaps directories for links meanwhile (CVE-2018-15664)."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wharfie.engine import copy
from wharfie.errors import WharfieError

ROUNDS = 150


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("original")
    (tmp_path / "root" / "data").mkdir(parents=True)
    (tmp_path / "root" / "data" / "key").write_text("inside")
    return tmp_path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def swapping(host: Path) -> Iterator[list[int]]:
    """A thread of the container that makes ``data`` a directory and a link to the host's secret in turn."""
    stop = threading.Event()
    swaps = [0]

    def swap() -> None:
        data, spare = host / "root" / "data", host / "root" / "spare"
        evil = host / "root" / "evil"
        while not stop.is_set():
            try:
                evil.symlink_to(host / "secret")
                data.rename(spare)
                evil.rename(data)
                data.unlink()
                spare.rename(data)
                swaps[0] += 1
            except OSError:
                # the copy made a directory at a moment when there was none: begin anew
                evil.unlink(missing_ok=True)
                while spare.exists():
                    shutil.rmtree(data, ignore_errors=True)
                    with suppress(OSError):
                        spare.rename(data)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield swaps
    finally:
        stop.set()
        thread.join()


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def untouched(host: Path) -> bool:
    return os.listdir(host / "secret") == ["key"] and (host / "secret" / "key").read_text() == "original"


async def test_a_copy_in_never_lands_outside(host: Path) -> None:
    with opened(host / "root") as root, swapping(host) as swaps:
        for _ in range(ROUNDS):
            try:
                await copy.put_archive(root, "/data", stream(tar(key=b"evil", new=b"evil")))
            except (WharfieError, OSError):
                pass
        assert swaps[0]
    assert untouched(host)


async def test_a_copy_in_through_the_swapped_directory_never_lands_outside(host: Path) -> None:
    data = tar(**{"data/key": b"evil", "data/sub/new": b"evil"})
    with opened(host / "root") as root, swapping(host) as swaps:
        for _ in range(ROUNDS):
            try:
                await copy.put_archive(root, "/", stream(data))
            except (WharfieError, OSError):
                pass
        assert swaps[0]
    assert untouched(host)


async def test_a_copy_out_never_reads_outside(host: Path) -> None:
    complete = 0
    with opened(host / "root") as root, swapping(host) as swaps:
        for path in ("/data/key", "/data/.", "/data/") * (ROUNDS // 3):
            try:
                found = b"".join([piece async for piece in copy.get_archive(root, path)])
            except (WharfieError, OSError):
                continue
            complete += 1
            assert b"original" not in found
        assert swaps[0]
    assert complete
    assert untouched(host)


@pytest.mark.parametrize("path", ["/../../secret", "/link", "/link/", "../secret/key", "/link/key"])
async def test_no_path_leads_outside(host: Path, path: str) -> None:
    (host / "root" / "link").symlink_to("../secret")
    with opened(host / "root") as root:
        try:
            await copy.put_archive(root, path, stream(tar(key=b"evil")))
        except WharfieError:
            pass
        try:
            found = b"".join([piece async for piece in copy.get_archive(root, path)])
        except WharfieError:
            found = b""
    assert b"original" not in found
    assert untouched(host)


async def test_a_fifo_in_the_way_does_not_hold_the_copy_up(host: Path) -> None:
    os.mkfifo(host / "root" / "data" / "pipe")
    with opened(host / "root") as root:
        async with asyncio.timeout(60):
            found = b"".join([piece async for piece in copy.get_archive(root, "/data")])
    with tarfile.open(fileobj=io.BytesIO(found)) as archive:
        names = {info.name: info for info in archive}
    assert names["data/pipe"].isfifo()
