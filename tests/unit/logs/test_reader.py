"""What was logged is read back: whole, by tail and times, and while it is written and rotated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.logs.decode import Renderer, runs, time_of
from wharfie.logs.jsonfile import PARTIAL, Encoder, JsonFile, timestamp
from wharfie.logs.reader import LogQuery, read_logs
from wharfie.logs.watch import DirectoryWatcher
from wharfie.wire.stdcopy import Demultiplexer

T = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)
LINES = st.lists(
    st.sampled_from([b"plain\n", b'"q"\n', b"\\n\n", b"a\\", b"\n", "ü\n".encode(), b"x" * 20000, b"{"])
)


def rendered(
    block: bytes, *, multiplex: bool = False, blocks: bool = False, timestamps: bool = False
) -> bytes:
    renderer = Renderer(multiplex=multiplex, timestamps=timestamps, details=False, blocks=blocks)
    return b"".join(renderer.render(run) for run in runs(block))


@given(st.lists(TEXT | LINES.map(b"".join)))
def test_decoding_gives_back_what_was_encoded(chunks: list[bytes]) -> None:
    encoder = Encoder("stdout")
    block = b"".join(encoder.encode(chunk, T + number) for number, chunk in enumerate(chunks))
    block += encoder.finish(T)
    assert rendered(block) == b"".join(chunks)
    for blocks in (False, True):
        frames = list(Demultiplexer().feed(rendered(block, multiplex=True, blocks=blocks)))
        assert b"".join(bytes(part) for _, part in frames) == b"".join(chunks)


@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(st.characters(exclude_categories=["Cs"])))
    )
)
def test_other_writers_entries_are_read_too(entries: list[tuple[str, str]]) -> None:
    lines = [
        json.dumps({"log": log, "stream": stream, "time": "2024-01-01T00:00:00Z"}, ensure_ascii=bool(n % 2))
        for n, (stream, log) in enumerate(entries)
    ]
    block = "".join(line + "\n" for line in lines).encode()
    assert rendered(block) == "".join(log for _, log in entries).encode()


def test_frames_hold_one_line_each() -> None:
    block = Encoder("stderr").encode(b"one\ntwo\nthree\n", T)
    frames = [(stream, bytes(part)) for stream, part in Demultiplexer().feed(rendered(block, multiplex=True))]
    assert frames == [(2, b"one\n"), (2, b"two\n"), (2, b"three\n")]


def test_with_blocks_the_lines_of_one_write_share_a_frame() -> None:
    block = Encoder("stderr").encode(b"one\ntwo\n", T) + Encoder("stdout").encode(b"three\n", T)
    output = rendered(block, multiplex=True, blocks=True)
    assert [(stream, bytes(part)) for stream, part in Demultiplexer().feed(output)] == [
        (2, b"one\ntwo\n"),
        (1, b"three\n"),
    ]
    stamp = b"2023-11-14T22:13:20.000000000Z "
    timed = rendered(block, multiplex=True, blocks=True, timestamps=True)
    assert [bytes(part) for _, part in Demultiplexer().feed(timed)] == [
        stamp + b"one\n" + stamp + b"two\n",
        stamp + b"three\n",
    ]


def test_torn_lines_are_left_out() -> None:
    good = Encoder("stdout").encode(b"good\n", T)
    assert rendered(good + b'{"log":"to\n' + b"\0\0\0\n" + good) == b"good\ngood\n"


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_times_come_back(time_ns: int) -> None:
    assert time_of(timestamp(time_ns)) == time_ns


def write(path: Path, count: int, *, max_size: int = 0, max_file: int = 1) -> None:
    """Line n is logged n seconds after T; every third one to stderr."""
    log = JsonFile(str(path), max_size=max_size, max_file=max_file, attrs={"b": "2 2", "a": "1"})
    for number in range(count):
        log.write("stdout" if number % 3 else "stderr", b"%d\n" % number, T + number * SECOND)
    log.close()


async def collect(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def numbers(path: Path, **query: object) -> list[int]:
    output = await collect(read_logs(str(path), LogQuery(**query), multiplex=False))  # type: ignore[arg-type]
    return [int(line) for line in output.split()]


@pytest.mark.parametrize("max_size", [0, 2000])
@pytest.mark.parametrize("tail", [None, 0, 1, 7, 150, 1000])
async def test_tail(tmp_path: Path, max_size: int, tail: int | None) -> None:
    path = tmp_path / "log"
    write(path, 300, max_size=max_size, max_file=50)
    expected = list(range(300))
    assert await numbers(path, tail=tail) == (expected if tail is None else expected[300 - min(tail, 300) :])


@pytest.mark.parametrize("max_size", [0, 30_000])
@pytest.mark.parametrize(
    ("since", "until"), [(0, 0), (1, 0), (1999, 2500), (0, 3), (2999, 0), (5000, 0), (40, 40)]
)
async def test_since_and_until(tmp_path: Path, max_size: int, since: int, until: int) -> None:
    path = tmp_path / "log"
    write(path, 3000, max_size=max_size, max_file=50)
    found = await numbers(path, since_ns=since and T + since * SECOND, until_ns=until and T + until * SECOND)
    assert found == list(range(since, min(until or 2999, 2999) + 1))


async def test_streams_are_chosen(tmp_path: Path) -> None:
    write(tmp_path / "log", 9)
    assert await numbers(tmp_path / "log", stdout=False) == [0, 3, 6]
    assert await numbers(tmp_path / "log", stderr=False) == [1, 2, 4, 5, 7, 8]


async def test_times_and_details_come_before_the_text(tmp_path: Path) -> None:
    write(tmp_path / "log", 1)
    query = LogQuery(timestamps=True, details=True)
    output = await collect(read_logs(str(tmp_path / "log"), query, multiplex=False))
    assert output == b"2023-11-14T22:13:20.000000000Z a=1,b=2+2 0\n"


async def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert await numbers(tmp_path / "log") == []


@pytest.mark.parametrize("max_size", [0, 500])
async def test_following_misses_nothing_across_rotation(tmp_path: Path, max_size: int) -> None:
    path = tmp_path / "log"
    log = JsonFile(str(path), max_size=max_size, max_file=100)
    stopped: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    watcher = DirectoryWatcher()
    found: list[bytes] = []
    progress = asyncio.Event()

    async def follow() -> None:
        query = LogQuery(follow=True)
        async for piece in read_logs(str(path), query, multiplex=False, watcher=watcher, stopped=stopped):
            found.append(piece)
            progress.set()

    following = asyncio.ensure_future(follow())  # noqa: TID251
    for number in range(400):
        log.write("stdout", b"%d\n" % number, T)
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 50 == 0:
            # a follower that is up to date waits for inotify
            while b"".join(found) != b"".join(b"%d\n" % n for n in range(number + 1)):
                progress.clear()
                await asyncio.wait_for(progress.wait(), 60)
    log.write("stdout", b"y" * PARTIAL, T)
    log.close()
    stopped.set_result(None)
    await asyncio.wait_for(following, 60)
    assert b"".join(found) == b"".join(b"%d\n" % n for n in range(400)) + b"y" * PARTIAL
    assert watcher._fd == -1


async def test_following_ends_at_until(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 5)
    stopped: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    query = LogQuery(follow=True, until_ns=T + 2 * SECOND)
    pieces = read_logs(str(path), query, multiplex=False, watcher=DirectoryWatcher(), stopped=stopped)
    assert await asyncio.wait_for(collect(pieces), 60) == b"0\n1\n2\n"
