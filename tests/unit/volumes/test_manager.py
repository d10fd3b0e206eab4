"""Volumes: names, options, life and death."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from wharfie.errors import InternalError
from wharfie.state.db import Database
from wharfie.volumes import manager
from wharfie.volumes.manager import VolumeManager
from wharfie.volumes.model import (
    DriverNotFound,
    InvalidVolume,
    VolumeInUse,
    VolumeNotFound,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(str(tmp_path / "state.db"))
    yield database
    database.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "volumes"


@pytest.fixture
def volumes(db: Database, root: Path) -> VolumeManager:
    return VolumeManager(db, str(root))


def test_a_volume_is_a_directory_that_outlives_the_daemon(
    volumes: VolumeManager, db: Database, root: Path
) -> None:
    made = volumes.create("data", labels={"a": "b"})
    assert made.mountpoint == str(root / "data" / "_data")
    assert os.stat(made.mountpoint).st_mode & 0o7777 == 0o755
    assert made.labels == {"a": "b"}
    assert made.created_ns > 0
    again = VolumeManager(db, str(root))
    assert again.get("data") == made
    assert again.list() == [made]


def test_other_users_of_the_host_cannot_enter(volumes: VolumeManager, root: Path) -> None:
    volumes.create("data")
    assert os.stat(root).st_mode & 0o077 == 0


def test_creating_twice_gives_the_same_volume(volumes: VolumeManager) -> None:
    first = volumes.create("data", labels={"a": "b"})
    Path(first.mountpoint, "kept").write_text("x")
    assert volumes.create("data") == first
    assert Path(first.mountpoint, "kept").exists()


def test_anonymous_volumes_have_64_digits_and_the_mark(volumes: VolumeManager) -> None:
    made = volumes.create()
    assert re.fullmatch("[0-9a-f]{64}", made.name)
    assert made.anonymous
    assert made.labels == {"com.docker.volume.anonymous": ""}
    assert volumes.ensure("a" * 64, anonymous=True).anonymous
    assert not volumes.ensure("named", anonymous=False).anonymous


@pytest.mark.parametrize(
    "name", ["../x", "a/b", ".hidden", "-x", "a b", "ä1", "ab\n", "a\0b", "x" * 256, "a:b"]
)
def test_names_that_no_volume_can_have(volumes: VolumeManager, root: Path, name: str) -> None:
    with pytest.raises(InvalidVolume, match="includes invalid characters for a local volume name"):
        volumes.create(name)
    assert not root.exists()


def test_a_name_of_one_character_is_too_short(volumes: VolumeManager) -> None:
    with pytest.raises(InvalidVolume, match="names should be at least two alphanumeric characters"):
        volumes.create("a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"foo": "x"}, 'create data: invalid option: "foo"'),
        ({"type": "tmpfs"}, 'create data: missing required option: "device"'),
        ({"device": "/x"}, 'create data: missing required option: "type"'),
        ({"o": "bind"}, 'create data: missing required option: "device"'),
        ({"size": "much"}, "create data: invalid size: 'much'"),
        ({"size": "1k"}, "it must be between 1MB and 16TB"),
        ({"size": "1g", "type": "tmpfs", "device": "x"}, "size makes a file system of its own"),
        ({"type": "tmpfs", "device": "a\0b"}, "NUL"),
        ({"type": "none", "device": "rel", "o": "bind"}, "it must be an absolute path"),
    ],
)
def test_options_that_cannot_be(volumes: VolumeManager, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidVolume, match=re.escape(message)):
        volumes.create("data", options=options)
    assert volumes.list() == []


async def test_a_bound_directory_survives_its_volume(
    volumes: VolumeManager, root: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "kept").write_text("x")
    options = {"type": "none", "device": str(place), "o": "bind"}
    assert volumes.create("data", options=options).mountpoint == str(root / "data" / "_data")
    await volumes.remove("data")
    assert (place / "kept").exists()


def test_other_drivers_are_not_there(volumes: VolumeManager) -> None:
    with pytest.raises(DriverNotFound, match='error looking up volume plugin nfs: plugin "nfs" not found'):
        volumes.create("data", driver="nfs")


async def test_removing(volumes: VolumeManager, root: Path) -> None:
    made = volumes.create("data")
    Path(made.mountpoint, "dir").mkdir()
    with pytest.raises(VolumeInUse, match=re.escape("remove data: volume is in use - [c1, c2]")):
        await volumes.remove("data", users=["c1", "c2"], force=True)
    await volumes.remove("data")
    assert os.listdir(root) == []
    with pytest.raises(VolumeNotFound, match="get data: no such volume"):
        await volumes.remove("data")
    await volumes.remove("data", force=True)
    assert volumes.find("data") is None


async def test_prune_removes_what_it_is_told_and_counts(volumes: VolumeManager) -> None:
    for name in ("one", "two", "three"):
        Path(volumes.create(name).mountpoint, "file").write_bytes(b"x" * 100)
    os.link(Path(volumes.get("one").mountpoint, "file"), Path(volumes.get("one").mountpoint, "same"))
    assert volumes.size("one") == 100
    pruned = await volumes.prune(["one", "two", "unknown"], lambda _name: ())
    assert (pruned.names, pruned.bytes) == (("one", "two"), 200)
    assert [volume.name for volume in volumes.list()] == ["three"]


async def test_prune_leaves_what_somebody_took_meanwhile(volumes: VolumeManager) -> None:
    asked: list[str] = []

    def users(name: str) -> list[str]:
        asked.append(name)
        # while the first is looked at, a container is made with the second
        return ["c1"] if name == "two" and "one" in asked else []

    for name in ("one", "two"):
        volumes.create(name)
    assert (await volumes.prune(["one", "two"], users)).names == ("one",)
    assert [volume.name for volume in volumes.list()] == ["two"]


async def test_the_event_loop_removes_no_files(
    volumes: VolumeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(work: Callable[[str], object], path: str) -> object:
        assert threading.current_thread() is not threading.main_thread()
        return work(path)

    for name in ("remove_tree", "directory_size"):
        monkeypatch.setattr(manager, name, partial(elsewhere, getattr(manager, name)))
    volumes.create("one")
    volumes.create("two")
    await volumes.remove("one")
    assert (await volumes.prune(["two"], lambda _name: ())).names == ("two",)


def test_recovery_sweeps_what_a_crash_left(volumes: VolumeManager, root: Path) -> None:
    volumes.recover()
    volumes.create("data")
    (root / ".removed-abc" / "_data").mkdir(parents=True)
    (root / "data" / ".wharfie-populating-abc").mkdir()
    (root / "data" / "disk.ext4.1234.tmp").write_text("half")
    volumes.recover()
    assert os.listdir(root) == ["data"]
    assert os.listdir(root / "data") == ["_data"]


def test_recovery_finds_volumes_that_the_database_does_not_know(root: Path, tmp_path: Path) -> None:
    made = VolumeManager(Database(":memory:"), str(root)).create("data")
    Path(made.mountpoint, "kept").write_text("x")
    (root / "nothing").mkdir()
    fresh = VolumeManager(Database(":memory:"), str(root))
    fresh.recover()
    assert [volume.name for volume in fresh.list()] == ["data"]
    assert Path(fresh.get("data").mountpoint, "kept").exists()


def test_a_directory_that_cannot_be_made_is_an_error_with_its_name(db: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InternalError, match="create data: Not a directory"):
        VolumeManager(db, str(tmp_path / "file" / "volumes")).create("data")


def test_recovery_keeps_a_disk_that_the_database_does_not_know(root: Path) -> None:
    made = VolumeManager(Database(":memory:"), str(root)).create("data", options={"size": "5m"})
    (root / "data" / "disk.ext4").write_bytes(bytes(8 << 20))
    fresh = VolumeManager(Database(":memory:"), str(root))
    fresh.recover()
    assert fresh.get("data").options == {"size": str(8 << 20)}
    assert Path(made.mountpoint).is_dir()
