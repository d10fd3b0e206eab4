"""The check of a store: every kind of damage is found, told, and mended."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.registry.registries import digest, layer
from tests.unit.images.test_archives import ONE, TWO, docker, stream
from wharfie.images.checking import Report
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.state.db import Database


def nobody(_: str) -> list[ContainerUse]:
    return []


@pytest.fixture
async def store(tmp_path: Path) -> ImageStore:
    """Two layers, of which the first came compressed."""
    made = ImageStore(str(tmp_path), Database(":memory:"))
    files = docker(**{"1/layer.tar": gzip.compress(ONE, mtime=0)})
    await made.load(stream(layer(files)), progress=lambda _: None)
    return made


async def check(store: ImageStore, *, repair: bool = False) -> Report:
    return await store.check(repair=repair, in_use=nobody)


def place(store: ImageStore, data: bytes) -> Path:
    return Path(store.layers.directory(digest(data)[7:]))


def blob(store: ImageStore) -> Path:
    return Path(store.layers.blob(digest(gzip.compress(ONE, mtime=0))))


def kinds(report: Report) -> list[str]:
    return [problem.kind for problem in report.problems]


async def test_a_whole_store_has_no_problems(store: ImageStore) -> None:
    report = await check(store)
    assert not report.problems
    assert (report.images, report.layers, report.blobs) == (1, 2, 1)
    assert report.bytes == len(ONE) + len(TWO) + len(gzip.compress(ONE, mtime=0))


def damage_content(store: ImageStore) -> None:
    (place(store, ONE) / "diff" / "a").write_bytes(b"eno")


def lose_layer(store: ImageStore) -> None:
    shutil.rmtree(place(store, ONE))


def damage_headers(store: ImageStore) -> None:
    (place(store, ONE) / "split").write_bytes(b"x")


def lose_file(store: ImageStore) -> None:
    (place(store, ONE) / "diff" / "a").unlink()


@pytest.mark.parametrize("damage", [damage_content, lose_layer, damage_headers, lose_file])
async def test_a_layer_is_made_again_from_its_blob(
    store: ImageStore, damage: Callable[[ImageStore], None]
) -> None:
    damage(store)
    first = await check(store)
    assert kinds(first) in (["damaged layer"], ["missing layer"])
    assert first.problems[0].action == "can be made again from its blob"
    done = await check(store, repair=True)
    assert [problem.repaired for problem in done.problems] == [True]
    assert not (await check(store)).problems
    assert (place(store, ONE) / "diff" / "a").read_bytes() == b"one"


async def test_a_layer_without_a_blob_takes_its_images_along(store: ImageStore, tmp_path: Path) -> None:
    (place(store, TWO) / "diff" / "b").write_bytes(b"")
    done = await check(store, repair=True)
    assert kinds(done) == ["damaged layer"]
    assert done.problems[0].action == "removed: docker.io/library/x:1; pull or load it again"
    assert not store.list(all=True)
    assert not any(list((tmp_path / name).iterdir()) for name in ("layers", "blobs/sha256"))
    assert not (await check(store)).problems


async def test_what_a_container_uses_is_left(store: ImageStore) -> None:
    (place(store, TWO) / "diff" / "b").write_bytes(b"")
    (place(store, ONE) / "diff" / "a").write_bytes(b"")
    users = [ContainerUse("c" * 64, running=True)]
    done = await store.check(repair=True, in_use=lambda _: users)
    assert {problem.action for problem in done.problems} == {"stop container cccccccccccc and check again"}
    users[0] = ContainerUse("c" * 64, running=False)
    done = await store.check(repair=True, in_use=lambda _: users)
    actions = {problem.what: (problem.action, problem.repaired) for problem in done.problems}
    assert actions[digest(ONE)] == ("made again from its blob", True)
    assert actions[digest(TWO)] == ("container cccccccccccc uses it: remove that and check again", False)
    assert store.get("x:1").id


@pytest.mark.parametrize("how", ["missing", "damaged"])
async def test_a_blob_that_is_no_good_is_forgotten(store: ImageStore, how: str) -> None:
    if how == "missing":
        blob(store).unlink()
    else:
        blob(store).write_bytes(b"else")
    done = await check(store, repair=True)
    assert kinds(done) == [f"{how} blob"]
    assert not blob(store).exists()
    assert [row.blob for row in store.catalog.layers(store.get("x:1").id)] == ["", ""]
    assert not (await check(store)).problems


async def test_files_without_a_row_go(store: ImageStore, tmp_path: Path) -> None:
    orphan = tmp_path / "layers" / ("0" * 64) / "diff"
    orphan.mkdir(parents=True)
    (tmp_path / "blobs" / "sha256" / ("1" * 64)).write_bytes(b"x")
    (tmp_path / "tmp" / "layer-left").mkdir()
    found = await check(store)
    assert kinds(found) == ["left-over", "orphan directory", "orphan blob"]
    assert orphan.exists()
    await check(store, repair=True)
    assert not (await check(store)).problems


async def test_files_of_work_that_goes_on_are_left(store: ImageStore, tmp_path: Path) -> None:
    async with store.drafted() as draft:
        report = await check(store, repair=True)
        assert report.busy
        assert not report.problems
        assert os.path.isdir(draft.path)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO image_refs VALUES ('docker.io/library/gone:1', 'sha256:0', 1)", "dangling rows"),
        ("INSERT INTO image_layers VALUES ('sha256:0', 0, 'sha256:1')", "dangling rows"),
        ("INSERT INTO layers VALUES ('sha256:9', '', 'sha256:9', 'nine', 1, '')", "dangling rows"),
        ("UPDATE layers SET size = size + 1", "wrong size"),
        ("UPDATE blobs SET size = 1", "wrong size"),
        ("UPDATE images SET config = '{}'", "damaged image"),
        ("DELETE FROM image_layers WHERE position = 1", "damaged image"),
    ],
)
async def test_rows_that_are_wrong_are_mended(store: ImageStore, statement: str, kind: str) -> None:
    store.catalog.db.execute("PRAGMA foreign_keys=OFF")
    store.catalog.db.execute(statement)
    store.catalog.db.execute("PRAGMA foreign_keys=ON")
    assert kind in kinds(await check(store))
    done = await check(store, repair=True)
    assert all(problem.repaired for problem in done.problems)
    assert not (await check(store)).problems
