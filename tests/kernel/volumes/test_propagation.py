"""Mounts that travel between host and container, or stay where they are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A directory that is a shared mount of its own."""
    place = tmp_path / "shared"
    (place / "inner").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    subprocess.run(["mount", "--make-shared", place], check=True)
    (place / "inner").mkdir()
    yield place
    words = ["umount", "-R", place]
    # what the kernel still takes down of a container that has ended may have it in use
    ours.until(lambda: not subprocess.run(words, check=False).returncode, "it stays in use")


def _mount(place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "late", place], check=True)
    (place / "file").write_text("late\n")


@pytest.mark.parametrize(("word", "seen"), [("rslave", True), ("rshared", True), ("rprivate", False)])
def test_a_mount_of_the_host_is_seen_or_not(engine: ours.Engine, shared: Path, word: str, seen: bool) -> None:
    mount = f"type=bind,source={shared},target=/x,bind-propagation={word}"
    done = engine.cli("run", "-d", "--name", "sees", "--mount", mount, "busybox", "sleep", "1000")
    assert done.returncode == 0, done.stderr
    try:
        _mount(shared / "inner")
        done = engine.cli("exec", "sees", "cat", "/x/inner/file")
        assert (done.stdout == "late\n") is seen
    finally:
        engine.cli("rm", "-f", "sees")


@pytest.mark.parametrize(("word", "seen"), [("rshared", True), ("rslave", False)])
def test_a_mount_of_the_container_is_seen_or_not(
    engine: ours.Engine, shared: Path, word: str, seen: bool
) -> None:
    engine.cli(
        "run", "-d", "--name", "mounts", "--privileged", "-v", f"{shared}:/x:{word}", "busybox", "sleep", "99"
    )
    try:
        done = engine.cli("exec", "--privileged", "mounts", "sh", "-c",
                          "mount -t tmpfs in /x/inner && touch /x/inner/made")  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (shared / "inner" / "made").exists() is seen
    finally:
        engine.cli("rm", "-f", "mounts")


@pytest.mark.parametrize(
    ("word", "reason"),
    [("rshared", "but it is not a shared mount"), ("slave", "but it is not a shared or slave mount")],
)
def test_what_cannot_travel_is_refused(engine: ours.Engine, shared: Path, word: str, reason: str) -> None:
    subprocess.run(["mount", "--make-private", shared], check=True)
    done = engine.cli("run", "--name", "never", "-v", f"{shared}/inner:/x:{word}", "busybox", "true")
    assert done.returncode == 125
    assert f"path {shared}/inner is mounted on {shared} {reason}" in done.stderr
    engine.cli("rm", "never")


def test_read_only_reaches_the_mounts_below(engine: ours.Engine, shared: Path) -> None:
    _mount(shared / "inner")
    touch = ("busybox", "sh", "-c", "touch /x/f 2>/dev/null; echo $?; touch /x/inner/f 2>/dev/null; echo $?")
    bind = f"type=bind,source={shared},target=/x"
    forced = f"{bind},readonly,bind-recursive=readonly,bind-propagation=rprivate"
    for words, said in (
        (("-v", f"{shared}:/x"), "0\n0\n"),
        (("--mount", forced), "1\n1\n"),
        (("--mount", f"{bind},readonly,bind-recursive=writable"), "1\n0\n"),
        (("-v", f"{shared}:/x:ro"), "1\n1\n"),
    ):
        assert engine.cli("run", "--rm", *words, *touch).stdout == said, words
    look = ("busybox", "ls", "-A", "/x/inner")
    assert engine.cli("run", "--rm", "--mount", f"{bind},bind-recursive=disabled", *look).stdout == ""
    assert "file" in engine.cli("run", "--rm", "--mount", bind, *look).stdout
