"""Docker's rules for paths in ``cp``: what is followed, what an archive begins with, what is replaced."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from wharfie.engine import copy
from wharfie.engine.commit import merged
from wharfie.images.unpack import CannotOverwrite
from wharfie.wire.config import Config


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "etc" / "sub").mkdir(parents=True)
    (tmp_path / "etc" / "passwd").write_text("root")
    (tmp_path / "conf").symlink_to("/etc")
    (tmp_path / "file").symlink_to("etc/passwd")
    return tmp_path


@pytest.fixture
def root(top: Path) -> Iterator[int]:
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


async def names(root: int, path: str) -> list[str]:
    data = b"".join([piece async for piece in copy.get_archive(root, path)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.name for member in archive]


async def stream(*members: tuple[str, bytes | None]) -> AsyncIterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.uid = info.gid = os.geteuid()
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    yield buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/passwd", ["passwd"]),
        ("etc/passwd", ["passwd"]),
        ("/etc", ["etc", "etc/passwd", "etc/sub"]),
        ("/etc/", ["etc", "etc/passwd", "etc/sub"]),
        ("/etc/.", [".", "./passwd", "./sub"]),
        ("/conf", ["conf"]),
        ("/conf/", ["conf", "conf/passwd", "conf/sub"]),
        ("/conf/passwd", ["passwd"]),
        ("/../../etc/sub", ["sub"]),
    ],
)
async def test_what_an_archive_begins_with(root: int, path: str, expected: list[str]) -> None:
    assert await names(root, path) == expected


@pytest.mark.parametrize("path", ["/nothing", "/etc/passwd/", "/etc/passwd/x", "/nothing/x"])
async def test_what_is_not_there_is_told(root: int, path: str) -> None:
    with pytest.raises(copy.PathNotFound, match="Could not find the file"):
        copy.stat_path(root, path)
    with pytest.raises(copy.PathNotFound):
        await names(root, path)


def test_the_stat_of_a_path_speaks_go(root: int) -> None:
    found = copy.stat_path(root, "/file")
    assert (found["name"], found["linkTarget"]) == ("file", "/etc/passwd")
    assert found["mode"] & 1 << 27
    assert copy.stat_path(root, "/conf")["linkTarget"] == "/etc"
    assert copy.stat_path(root, "/etc")["mode"] == 1 << 31 | 0o755
    assert copy.go_mode(stat.S_IFREG | 0o4755) == 1 << 23 | 0o755


async def test_an_archive_is_unpacked_through_a_link_to_a_directory(root: int, top: Path) -> None:
    await copy.put_archive(root, "/conf", stream(("new", b"1"), ("sub/deep/x", b"2")))
    assert (top / "etc" / "new").read_bytes() == b"1"
    assert (top / "etc" / "sub" / "deep" / "x").read_bytes() == b"2"


async def test_a_file_is_no_place_to_unpack_into(root: int) -> None:
    with pytest.raises(copy.NotADirectory, match="extraction point is not a directory"):
        await copy.put_archive(root, "/etc/passwd", stream(("x", b"")))


async def test_kinds_are_kept_when_asked_for(root: int, top: Path) -> None:
    with pytest.raises(CannotOverwrite, match='cannot overwrite directory "sub" with non-directory "sub"'):
        await copy.put_archive(root, "/etc", stream(("sub", b"")), no_overwrite_dir_non_dir=True)
    with pytest.raises(CannotOverwrite, match='cannot overwrite non-directory "passwd" with directory'):
        await copy.put_archive(root, "/etc", stream(("passwd", None)), no_overwrite_dir_non_dir=True)
    await copy.put_archive(root, "/etc", stream(("sub", b"now a file")))
    assert (top / "etc" / "sub").read_bytes() == b"now a file"


async def test_whiteout_names_are_plain_files_here(root: int, top: Path) -> None:
    await copy.put_archive(root, "/etc", stream((".wh.passwd", b"")))
    assert (top / "etc" / "passwd").exists()
    assert (top / "etc" / ".wh.passwd").is_file()


def test_a_commit_takes_what_was_given_and_keeps_the_rest() -> None:
    own = Config(env=["A=1"], cmd=["sh"], labels={"a": "b"}, working_dir="/w")
    made = merged(own, Config(cmd=["top"]))
    assert (made.env, made.cmd, made.labels, made.working_dir) == (["A=1"], ["top"], {"a": "b"}, "/w")
