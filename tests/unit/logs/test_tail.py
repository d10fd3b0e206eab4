"""A log is followed from where the last one stopped, across rotations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wharfie.logs.tail import Tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def tail(log: Path) -> Tail:
    made = Tail(str(log), f"{log}.cursor")
    made.open()
    return made


def everything(following: Tail) -> bytes:
    return b"".join(iter(following.read, b""))


def test_what_was_committed_is_not_read_again(log: Path) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    first = tail(log)
    assert everything(first) == b"one\ntwo\n"
    first.commit()
    first.close()
    with log.open("ab") as more:
        more.write(b"ee\n")
    second = tail(log)
    assert everything(second) == b"three\n"
    second.close()


def test_what_was_not_committed_is_read_again(log: Path) -> None:
    log.write_bytes(b"one\n")
    for _ in range(2):
        following = tail(log)
        assert everything(following) == b"one\n"
        following.close()


def test_rotations_meanwhile_lose_nothing_that_is_still_there(log: Path) -> None:
    log.write_bytes(b"one\n")
    following = tail(log)
    assert everything(following) == b"one\n"
    with log.open("ab") as more:
        more.write(b"two\n")
    for content in (b"three\n", b"four\n"):
        older = log.with_name("x.log.1")
        if older.exists():
            older.rename(log.with_name("x.log.2"))
        log.rename(older)
        log.write_bytes(content)
    assert everything(following) == b"two\nthree\nfour\n"
    following.commit()
    following.close()
    again = tail(log)
    assert everything(again) == b""
    again.close()


def test_without_a_memory_the_oldest_part_comes_first(log: Path) -> None:
    log.with_name("x.log.1").write_bytes(b"one\n")
    log.write_bytes(b"two\n")
    following = tail(log)
    assert everything(following) == b"one\ntwo\n"
    following.close()


def test_a_log_of_one_part_that_began_anew_is_read_from_its_beginning(log: Path) -> None:
    log.write_bytes(b"one and more\n")
    following = tail(log)
    assert everything(following) == b"one and more\n"
    log.write_bytes(b"two\n")
    assert everything(following) == b"two\n"
    following.close()


def test_what_is_written_and_rotated_away_between_two_looks_is_read(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_bytes(b"one\n")
    following = tail(log)
    assert following.read() == b"one\n"
    read = os.pread

    def read_then_rotate(fd: int, length: int, offset: int) -> bytes:
        data = read(fd, length, offset)
        monkeypatch.setattr(os, "pread", read)
        with log.open("ab") as more:
            more.write(b"two\n")
        log.rename(log.with_name("x.log.1"))
        log.write_bytes(b"three\n")
        return data

    monkeypatch.setattr(os, "pread", read_then_rotate)
    assert following.read() == b""
    assert everything(following) == b"two\nthree\n"
    following.close()
