"""Older parts of a log are compressed beside its writer, and read as if they were not."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from pathlib import Path

import pytest

from tests.unit.logs.test_reader import SECOND, T, collect, numbers, write
from wharfie.logs import packed, packing
from wharfie.logs.jsonfile import JsonFile, lock_names
from wharfie.logs.packed import PackedPart
from wharfie.logs.parts import open_parts
from wharfie.logs.reader import LogQuery, read_logs
from wharfie.logs.watch import DirectoryWatcher

LINES = 3000


def pack(path: Path, first: int = 1) -> None:
    packing.pack_parts(str(path), lambda: first)


def names(path: Path) -> list[str]:
    return sorted(one.name.removeprefix(path.name) for one in path.parent.iterdir())


@pytest.fixture(params=[1, 4, 12])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Line n is of n seconds after T; parts from the first, fourth or twelfth older one on are compressed."""
    path = tmp_path / "log"
    write(path, LINES, max_size=30_000, max_file=50)
    count = len(names(path))
    pack(path, request.param)
    assert names(path) == sorted(
        ["", *(f".{n}" + (".gz" if n >= request.param else "") for n in range(1, count))]
    )
    return path


def test_any_program_reads_what_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, LINES, max_size=30_000, max_file=50)
    plain = [one.read_bytes() for one in sorted(tmp_path.iterdir())[1:]]
    pack(path)
    assert [gzip.decompress(one.read_bytes()) for one in sorted(tmp_path.iterdir())[1:]] == plain


@pytest.mark.parametrize("tail", [None, 0, 1, 700, LINES - 1, LINES, LINES + 5])
async def test_tail(log: Path, tail: int | None) -> None:
    expected = list(range(LINES))
    assert await numbers(log, tail=tail) == (
        expected if tail is None else expected[LINES - min(tail, LINES) :]
    )


@pytest.mark.parametrize(
    ("since", "until"), [(0, 0), (1, 0), (999, 1500), (0, 3), (2999, 0), (5000, 0), (40, 40)]
)
async def test_since_and_until(log: Path, since: int, until: int) -> None:
    last = LINES - 1
    found = await numbers(log, since_ns=since and T + since * SECOND, until_ns=until and T + until * SECOND)
    assert found == list(range(since, min(until or last, last) + 1))


async def test_entries_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "BLOCK", 100)
    path = tmp_path / "log"
    lines = [f"{number}:{'x' * (number * 7 % 400)}" for number in range(200)]
    writer = JsonFile(str(path), max_size=20_000, max_file=50)
    for number, line in enumerate(lines):
        writer.write("stdout", f"{line}\n".encode(), T + number * SECOND)
    writer.close()
    pack(path)
    for tail in (1, 20, 150, 300):
        output = await collect(read_logs(str(path), LogQuery(tail=tail), multiplex=False))
        assert output.decode().split() == lines[-tail:]
    for since in range(0, 200, 9):
        query = LogQuery(since_ns=T + since * SECOND)
        output = await collect(read_logs(str(path), query, multiplex=False))
        assert output.decode().split() == lines[since:]


async def test_rotation_goes_on_over_compressed_parts_and_drops_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = JsonFile(str(path), max_size=1000, max_file=4)
    for number in range(300):
        writer.write("stdout", b"%d\n" % number, T)
        if number % 17 == 0:
            pack(path, 1 + number % 3)
    writer.close()
    assert len(names(path)) == 4
    found = await numbers(path)
    assert found == list(range(found[0], 300))
    assert len(found) > 40


async def test_a_follower_goes_on_behind_the_part_it_has_open(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = JsonFile(str(path), max_size=500, max_file=100)
    stopped: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    watcher = DirectoryWatcher()
    found: list[bytes] = []
    read = asyncio.Event()

    async def follow() -> None:
        query = LogQuery(follow=True)
        async for piece in read_logs(str(path), query, multiplex=False, watcher=watcher, stopped=stopped):
            found.append(piece)
            read.set()

    following = asyncio.ensure_future(follow())  # noqa: TID251
    for number in range(300):
        writer.write("stdout", b"%d\n" % number, T)
        if number % 11 == 0:
            # the follower may be anywhere in it
            pack(path)
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 60 == 0:
            while b"".join(found).count(b"\n") <= number:
                read.clear()
                await asyncio.wait_for(read.wait(), 60)
    writer.close()
    stopped.set_result(None)
    await asyncio.wait_for(following, 60)
    assert [int(one) for one in b"".join(found).split()] == list(range(300))


def test_a_writer_waits_for_nobody_who_has_the_names(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = JsonFile(str(path), max_size=300, max_file=5)
    held = lock_names(str(path))
    for number in range(20):
        writer.write("stdout", b"%d\n" % number, T)
    assert names(path) == [""]
    os.close(held)
    writer.write("stdout", b"20\n", T)
    writer.close()
    assert names(path) == ["", ".1"]
    assert path.read_bytes().count(b"\n") == 1


async def test_a_part_that_rotation_moves_meanwhile_gets_its_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    writer = JsonFile(str(path), max_size=300, max_file=4)
    number = 0

    def rotations(count: int) -> None:
        nonlocal number
        for _ in range(count * 5):
            writer.write("stdout", b"%d\n" % number, T)
            number += 1

    real = packed.pack

    def slowly(source: int, target: int) -> None:
        rotations(1)
        real(source, target)

    rotations(2)
    monkeypatch.setattr(packing, "pack", slowly)
    pack_once = iter([1])
    packing.pack_parts(str(path), lambda: next(pack_once, 1000))
    assert ".2.gz" in names(path)
    # and one that it drops meanwhile leaves nothing
    monkeypatch.setattr(packing, "pack", lambda source, target: (rotations(6), real(source, target))[1])
    pack_once = iter([1])
    packing.pack_parts(str(path), lambda: next(pack_once, 1000))
    writer.close()
    assert all(not name.endswith((".gz", ".packing")) for name in names(path))
    assert await numbers(path) == list(range((await numbers(path))[0], number))


async def test_what_a_crash_leaves_is_read_once_and_finished(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 300, max_size=3000, max_file=50)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    pack(path)
    # between the renaming of one and the removal of the other; and while one was written
    whole = path.with_name("log.2")
    whole.write_bytes(before["log.2"])
    path.with_name("log.packing").write_bytes(b"half")
    assert await numbers(path) == list(range(300))
    pack(path)
    assert not whole.exists()
    assert await numbers(path) == list(range(300))
    assert "log.packing" not in [one.name for one in tmp_path.iterdir()]


async def test_a_monitor_killed_while_it_renamed_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 300, max_size=3000, max_file=50)
    pack(path, 3)
    for number in range(len(names(path)) - 1, 0, -1):
        for suffix in ("", ".gz"):
            one = path.with_name(f"log.{number}{suffix}")
            if one.exists():
                one.rename(path.with_name(f"log.{number + 1}{suffix}"))
    assert not path.with_name("log.1").exists()
    assert await numbers(path) == list(range(300))


async def test_a_broken_part_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 3000, max_size=150_000, max_file=50)
    pack(path)
    broken = path.with_name("log.1.gz")
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    found = await numbers(path)
    assert found[-1] == 2999
    assert len(found) < 3000
    assert found == sorted(set(found))


def test_parts_are_compressed_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 3000, max_size=30_000, max_file=50)
    parts = open_parts(str(path))
    worker = threading.Thread(target=pack, args=(path,))
    worker.start()
    read = b"".join(block for part in parts for block, _ in part.blocks(0))
    worker.join()
    again = open_parts(str(path))
    assert sum(isinstance(part, PackedPart) for part in again) == len(again) - 1
    assert b"".join(block for part in again for block, _ in part.blocks(0)) == read
    for part in (*parts, *again):
        part.close()
