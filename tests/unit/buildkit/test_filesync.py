"""Files of a client's directory: the first time all of them, then what is different."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.unit.buildkit.clientfiles import DIRECTORY, LINK, Client, entry, failing, file
from tests.unit.buildkit.pair import client, descriptors
from wharfie.buildkit import filesync
from wharfie.buildkit.filesync import receive
from wharfie.buildkit.filetree import Listing, Tree
from wharfie.buildkit.grpc import RpcError
from wharfie.support.files import write_all

PIPE, SETUID = 1 << 25, 1 << 23


def tree() -> list[tuple[object, bytes]]:
    return [
        file("a.txt", b"alpha beta gamma"),
        (entry("dir", DIRECTORY | 0o750), b""),
        file("dir/empty", b""),
        (entry("dir/link", LINK | 0o777, link=b"../a.txt"), b""),
        (entry("dir/more", link=b"a.txt", size=16), b""),
        (entry("dir/pipe", PIPE | 0o600), b""),
        (entry("dir/tool", SETUID | 0o755, size=3), b"#!x"),
        (entry(b"dir/\xff", size=1), b"!"),
    ]


async def received(sender: Client, target: Path, old: Listing | None = None) -> Listing:
    async with client(sender.handlers) as session:
        return await receive(session, "context", str(target), old=old)


async def test_all_kinds_of_files_arrive_as_they_are(tmp_path: Path) -> None:
    before = descriptors()
    await received(Client(tree()), tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"alpha beta gamma"
    assert (tmp_path / "dir/more").stat().st_ino == (tmp_path / "a.txt").stat().st_ino
    assert os.readlink(tmp_path / "dir/link") == "../a.txt"
    assert (tmp_path / "dir/tool").stat().st_mode & 0o7777 == 0o4755
    assert (tmp_path / "dir/pipe").is_fifo()
    assert (tmp_path / os.fsdecode(b"dir/\xff")).read_bytes() == b"!"
    assert (tmp_path / "dir").stat().st_mode & 0o777 == 0o750
    times = {os.lstat(path).st_mtime for path in tmp_path.rglob("*")}
    assert times == {1_700_000_000}
    assert descriptors() == before


async def test_the_second_time_only_what_is_different_is_asked_for(tmp_path: Path) -> None:
    listing = await received(Client(tree()), tmp_path)
    same = Client(tree())
    assert await received(same, tmp_path, listing) == listing
    assert same.asked == []

    changed = [one for one in tree() if one[0].path not in (b"dir/empty", b"dir/link")]  # type: ignore[attr-defined]
    changed[0] = file("a.txt", b"another")
    changed.insert(2, (entry("dir/link", DIRECTORY | 0o755), b""))
    changed.insert(3, file("dir/link/x", b"x"))
    second = Client(changed)
    await received(second, tmp_path, listing)
    assert sorted(second.asked) == [b"a.txt", b"dir/link/x"]
    assert (tmp_path / "a.txt").read_bytes() == b"another"
    assert (tmp_path / "dir/more").read_bytes() == b"another", "a further name goes with its file"
    assert (tmp_path / "dir/link/x").read_bytes() == b"x"
    assert not (tmp_path / "dir/empty").exists()


async def test_a_file_that_grows_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    growing = Client([(entry("log", size=3), b"abcdef")])
    listing = await received(growing, tmp_path)
    assert (tmp_path / "log").read_bytes() == b"abcdef"
    again = Client([(entry("log", size=3), b"abcdefgh")])
    await received(again, tmp_path, listing)
    assert again.asked == [b"log"]
    assert (tmp_path / "log").read_bytes() == b"abcdefgh"


async def test_who_gives_up_lets_go_of_files_when_nobody_writes_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, closed, early = threading.Event(), threading.Event(), []

    def held(fd: int, data: bytes) -> None:
        begun.set()
        early.append(closed.wait(0.2))
        write_all(fd, data)

    def close(tree: Tree) -> None:
        closed.set()
        real(tree)

    real = Tree.close
    monkeypatch.setattr(filesync, "write_all", held)
    monkeypatch.setattr(Tree, "close", close)
    giving_up = asyncio.ensure_future(received(Client([file("a", b"a")]), tmp_path))  # noqa: TID251
    await asyncio.to_thread(begun.wait, 60)
    giving_up.cancel()
    await asyncio.wait([giving_up])
    assert (giving_up.cancelled(), closed.is_set(), early) == (True, True, [False])
    assert (tmp_path / "a").read_bytes() == b"a"


async def test_a_further_name_of_what_is_left_out_is_a_file(tmp_path: Path) -> None:
    await received(Client([(entry("b", link=b"left/out", size=2), b"hi")]), tmp_path)
    assert (tmp_path / "b").read_bytes() == b"hi"


async def test_patterns_travel_in_headers_whatever_they_are_made_of(tmp_path: Path) -> None:
    sender = Client([])
    async with client(sender.handlers) as session:
        await receive(session, "context", str(tmp_path), follow=["a b", "c"], exclude=["ü*"])
    assert sender.metadata["dir-name"] == ["context"]
    assert sender.metadata["followpaths"] == ["a b", "c"]
    assert sender.metadata["exclude-patterns"] == ["%C3%BC%2A"]
    assert sender.metadata["exclude-patterns-encoded"] == ["1"]


async def test_what_goes_wrong_at_the_client_is_told(tmp_path: Path) -> None:
    sender = Client([file("a", b"a")])
    sender.after_list = failing("open a: permission denied")
    with pytest.raises(RpcError, match="error from sender: open a: permission denied"):
        await received(sender, tmp_path)
