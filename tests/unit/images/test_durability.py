"""Layers whose rows were there before the disk had them: synced later, or looked at after a power failure."""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
from pathlib import Path

import pytest

from tests.conformance.registry.registries import digest, layer
from tests.unit.images.test_archives import ONE, TWO, docker, stream
from wharfie.images import durability
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.state.db import Database

FIRST, SECOND = digest(ONE)[7:], digest(TWO)[7:]
BLOB = digest(gzip.compress(ONE, mtime=0))


def nobody(_: str) -> list[ContainerUse]:
    return []


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it takes: nothing is synced while a test looks."""
    monkeypatch.setattr(durability, "PAUSE", 1000.0)


@pytest.fixture
async def store(tmp_path: Path, pause: None) -> ImageStore:
    """Two layers, of which the first came compressed."""
    made = ImageStore(str(tmp_path), Database(":memory:"))
    files = docker(**{"1/layer.tar": gzip.compress(ONE, mtime=0)})
    await made.load(stream(layer(files)), progress=lambda _: None)
    return made


def names(store: ImageStore) -> set[str]:
    return {str(row[0]) for row in store.catalog.db.rows("SELECT name FROM unsynced")}


async def settled(store: ImageStore) -> None:
    assert store.durability._task is not None
    await store.durability._task


def after_a_power_failure(store: ImageStore, tmp_path: Path) -> ImageStore:
    store.catalog.db.execute("UPDATE unsynced SET boot = 'another'")
    return ImageStore(str(tmp_path), store.catalog.db)


def content(store: ImageStore, name: str) -> Path:
    return next(path for path in Path(store.layers.diff(name)).rglob("*") if path.is_file())


async def test_what_was_placed_is_noted_with_its_rows(store: ImageStore) -> None:
    assert names(store) == {FIRST, SECOND, BLOB}


async def test_one_sync_covers_what_came_in_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "PAUSE", 0.0)
    store = ImageStore(str(tmp_path), Database(":memory:"))
    synced: list[set[str]] = []
    monkeypatch.setattr(store.layers, "sync", lambda: synced.append({*store.layers.fresh}))
    await store.load(stream(layer(docker())), progress=lambda _: None)
    await settled(store)
    assert synced == [{FIRST, SECOND}]
    assert not names(store)
    assert not store.layers.fresh
    # the layers are there already, and on the disk
    await store.load(stream(layer(docker())), progress=lambda _: None)
    assert not names(store)


async def test_after_the_daemon_s_death_it_is_synced_again(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ImageStore(str(tmp_path), store.catalog.db)
    content(again, FIRST).write_bytes(b"what nobody looks at")
    monkeypatch.setattr(durability, "PAUSE", 0.0)
    report = await again.recover(nobody)
    await settled(again)
    assert (report.layers, report.problems) == (0, [])
    assert not names(again)


async def test_what_a_power_failure_left_whole_stays(store: ImageStore, tmp_path: Path) -> None:
    again = after_a_power_failure(store, tmp_path)
    report = await again.recover(nobody)
    assert (report.layers, report.blobs, report.problems) == (2, 1, [])
    assert not names(again)
    assert len(again.images()) == 1


async def test_a_torn_layer_goes_with_its_image(
    store: ImageStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content(store, SECOND).write_bytes(b"")
    again = after_a_power_failure(store, tmp_path)
    with caplog.at_level(logging.WARNING):
        await again.recover(nobody)
    assert "after a power failure: damaged layer" in caplog.text
    assert not again.images()
    assert not names(again)


async def test_a_torn_layer_is_made_again_from_its_blob(store: ImageStore, tmp_path: Path) -> None:
    whole = content(store, FIRST).read_bytes()
    content(store, FIRST).write_bytes(b"")
    again = after_a_power_failure(store, tmp_path)
    report = await again.recover(nobody)
    assert [problem.repaired for problem in report.problems] == [True]
    assert content(again, FIRST).read_bytes() == whole
    assert not names(again) - {FIRST}


async def test_a_torn_blob_is_forgotten(store: ImageStore, tmp_path: Path) -> None:
    Path(store.layers.blob(BLOB)).write_bytes(b"")
    again = after_a_power_failure(store, tmp_path)
    await again.recover(nobody)
    assert again.catalog.blob_size(BLOB) is None
    assert len(again.images()) == 1


async def test_a_torn_layer_that_a_container_needs_is_told_at_every_start(
    store: ImageStore, tmp_path: Path
) -> None:
    content(store, SECOND).write_bytes(b"")
    for _ in range(2):
        again = after_a_power_failure(store, tmp_path)
        report = await again.recover(lambda _: [ContainerUse("a" * 64, False, "x")])
        assert [problem.repaired for problem in report.problems] == [False]
        assert names(again) == {SECOND}
        store = again


async def test_a_disk_that_fails_keeps_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(durability, "PAUSE", 0.0)
    store = ImageStore(str(tmp_path), Database(":memory:"))

    def failing() -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(store.layers, "sync", failing)
    await store.load(stream(layer(docker())), progress=lambda _: None)
    await settled(store)
    assert "layers cannot be brought to the disk" in caplog.text
    assert names(store) == {FIRST, SECOND}


def test_a_boot_has_an_id() -> None:
    assert durability.boot_id() == durability.boot_id()


async def test_where_the_store_is_closed_in_the_pause_nothing_is_lost(store: ImageStore) -> None:
    task = store.durability._task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    assert names(store) == {FIRST, SECOND, BLOB}
