"""``cp`` reaches volumes and binds of a container that does not run, and nothing stays mounted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours


@pytest.fixture
def stopped(engine: ours.Engine, tmp_path: Path) -> Iterator[str]:
    """A container never started, with a volume, a bind, a read-only bind and a bound file."""
    for name in ("bound", "fixed"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("old")
    options = (
        "-v", "cpvolume:/data", "-v", f"{tmp_path}/bound:/data/inner", "-v", f"{tmp_path}/fixed:/fixed:ro",
        "-v", f"{tmp_path}/file:/etc/file",
    )  # fmt: skip
    done = engine.cli(
        "create", "--name", "stopped", *options, "busybox", "sh", "-c", "cat /data/a /data/inner/b"
    )
    assert done.returncode == 0, done.stderr
    yield "stopped"
    engine.cli("rm", "-f", "stopped")
    engine.cli("volume", "rm", "cpvolume")


def test_a_copy_in_and_out_goes_through_the_mounts(engine: ours.Engine, stopped: str, tmp_path: Path) -> None:
    def mounts() -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [line for line in lines if str(engine.state) in line or str(tmp_path) in line]

    before = (mounts(), len(os.listdir(f"/proc/{engine.pid}/fd")))
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "b").write_text("two\n")
    for source, target in (("a", "/data/a"), ("b", "/data/inner/b"), ("b", "/etc/file")):
        done = engine.cli("cp", f"{tmp_path}/{source}", f"{stopped}:{target}")
        assert done.returncode == 0, done.stderr
    assert (engine.state / "data/volumes/cpvolume/_data/a").read_text() == "one\n"
    assert (tmp_path / "bound" / "b").read_text() == "two\n"
    assert engine.cli("cp", f"{stopped}:/data/inner/b", f"{tmp_path}/back").returncode == 0
    assert (tmp_path / "back").read_text() == "two\n"
    refused = engine.cli("cp", f"{tmp_path}/a", f"{stopped}:/fixed/a")
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert engine.cli("start", "-a", stopped).stdout == "one\ntwo\n"
    ours.until(lambda: set(mounts()) <= set(before[0]), "a mount is left")
    descriptors = f"/proc/{engine.pid}/fd"
    ours.until(lambda: len(os.listdir(descriptors)) <= before[1], "the daemon keeps descriptors")


def test_a_link_in_a_volume_leads_nowhere_outside(engine: ours.Engine, stopped: str, tmp_path: Path) -> None:
    volume = engine.state / "data/volumes/cpvolume/_data"
    (volume / "link").symlink_to(tmp_path / "fixed")
    (tmp_path / "a").write_text("one\n")
    engine.cli("cp", f"{tmp_path}/a", f"{stopped}:/data/link/a")
    assert list((tmp_path / "fixed").iterdir()) == []


def test_a_read_only_root_refuses_but_its_volume_takes(engine: ours.Engine, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    engine.cli("create", "--name", "sealed", "--read-only", "-v", "cpsealed:/data", "busybox", "true")
    try:
        refused = engine.cli("cp", f"{tmp_path}/a", "sealed:/root/a")
        assert refused.returncode == 1
        assert "container rootfs is marked read-only" in refused.stderr
        done = engine.cli("cp", f"{tmp_path}/a", "sealed:/data/a")
        assert done.returncode == 0, done.stderr
        assert (engine.state / "data/volumes/cpsealed/_data/a").read_text() == "one\n"
    finally:
        engine.cli("rm", "-f", "sealed")
        engine.cli("volume", "rm", "cpsealed")
