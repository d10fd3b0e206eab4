"""Large files are digested while they arrive, and what is known of them is what is on the disk."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfie.build import arrival, content
from wharfie.build.arrival import Arrival
from wharfie.build.content import Excluded, Found
from wharfie.build.copystep import unpack_into
from wharfie.images.tar import BadArchive
from wharfie.images.unpack import Rules

BIG = os.urandom(100_000)
WHOLE = [Found("", True)]


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "LEAST", 50_000)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def archive(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(root: int, data: bytes) -> Arrival:
    arriving = Arrival()
    stream = io.BytesIO(data)
    unpack_into(root, lambda: stream.read(7000), Rules(owner=(os.getuid(), os.getgid())), arriving)
    return arriving


def test_the_digest_is_that_of_the_file_and_saves_reading_it(root: int, tmp_path: Path) -> None:
    arriving = unpacked(root, archive(("d/big", BIG), ("small", b"x")))
    inode = (tmp_path / "d/big").stat().st_ino
    assert arriving.known == {inode: (len(BIG), hashlib.sha256(BIG).digest())}
    read = content.digest(root, WHOLE, Excluded([]))
    assert content.digest(root, WHOLE, Excluded([]), arriving.known) == read
    assert content.digest(root, WHOLE, Excluded([]), {inode: (len(BIG), b"another")}) != read


def test_a_file_of_another_size_is_read_whatever_its_inode_was(root: int, tmp_path: Path) -> None:
    unpacked(root, archive(("small", b"x")))
    known = {(tmp_path / "small").stat().st_ino: (len(BIG), b"stale")}
    assert content.digest(root, WHOLE, Excluded([]), known) == content.digest(root, WHOLE, Excluded([]))


def test_nothing_is_known_of_an_archive_that_replaces_its_files(root: int) -> None:
    assert unpacked(root, archive(("big", BIG), ("big", BIG[::-1]))).known == {}


def test_an_archive_that_breaks_off_leaves_no_thread(root: int) -> None:
    before = set(threading.enumerate())  # those of earlier tests may end meanwhile
    with pytest.raises(BadArchive):
        unpacked(root, archive(("big", BIG))[:60_000])
    assert not set(threading.enumerate()) - before
