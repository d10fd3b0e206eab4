"""What was copied into a stopped container is on the disk for good; nothing else is waited for."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wharfie.engine import rootfs


@pytest.fixture
def container(tmp_path: Path) -> Any:
    (tmp_path / "old").write_text("old")
    (tmp_path / "d").mkdir()
    for path in (tmp_path / "old", tmp_path / "d", tmp_path):
        os.utime(path, (1, 1))
    return SimpleNamespace(
        upper=str(tmp_path),
        status=SimpleNamespace(running=False),
        host_config=SimpleNamespace(storage_opt=None),
    )


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: found.append(os.readlink(f"/proc/self/fd/{fd}")))
    monkeypatch.setattr(rootfs, "sync_filesystem", lambda path: found.append(f"all of {path}"))
    return found


def later_than(path: Path) -> int:
    """A time when what is written next has another stamp than what is there."""
    return max(os.lstat(one).st_ctime_ns for one in [path, *path.rglob("*")]) + 1


def written_later(path: Path, since: int) -> None:
    while path.lstat().st_ctime_ns < since:
        path.chmod(0o600 if path.is_file() else 0o700)


def test_only_what_was_written_is_waited_for(container: Any, synced: list[str], tmp_path: Path) -> None:
    since = later_than(tmp_path)
    (tmp_path / "d/new").write_text("new")
    (tmp_path / "d/link").symlink_to("/etc/passwd")
    for name in ("d/new", "d"):
        written_later(tmp_path / name, since)
    rootfs.settle(container, since)
    assert synced == [f"{tmp_path}/d", f"{tmp_path}/d/new"]


def test_many_files_are_waited_for_at_once(container: Any, synced: list[str], tmp_path: Path) -> None:
    since = later_than(tmp_path)
    for number in range(65):
        (tmp_path / f"d/{number}").write_text("new")
        written_later(tmp_path / f"d/{number}", since)
    rootfs.settle(container, since)
    assert synced == [f"all of {tmp_path}"]


def test_a_running_container_writes_when_it_likes(container: Any, synced: list[str]) -> None:
    container.status.running = True
    rootfs.settle(container, 0)
    assert synced == []


def test_no_file_is_stamped_before_its_time(tmp_path: Path) -> None:
    since = rootfs.now()
    (tmp_path / "f").write_text("x")
    assert (tmp_path / "f").stat().st_ctime_ns >= since
