"""What the store says it takes is what is on the disk."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.conformance.archives import nasty
from tests.conformance.registry.registries import digest, layer
from tests.unit.images.test_archives import ONE, docker, stream
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.state.db import Database


def on_disk(root: Path) -> int:
    """Bytes of the files and links below ``layers`` and ``blobs``, each inode once."""
    found: dict[int, int] = {}
    for top in ("layers", "blobs"):
        for directory, names, files in os.walk(root / top):
            for name in [*names, *files]:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                if os.path.islink(path) or os.path.isfile(path):
                    found[status.st_ino] = status.st_size
    return sum(found.values())


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path), Database(":memory:"))


def nobody(_: str) -> list[ContainerUse]:
    return []


async def test_it_agrees_with_the_disk_to_the_byte(store: ImageStore, tmp_path: Path) -> None:
    await store.load(
        stream(layer(docker(**{"1/layer.tar": gzip.compress(ONE, mtime=0)}))), progress=lambda _: None
    )
    assert store.disk_usage().layers == on_disk(tmp_path) > 2000
    users = [ContainerUse("c" * 64, running=False)]
    store.remove("x:1", force=True, in_use=lambda _: users)
    # the container still needs the layers
    assert store.disk_usage().layers == on_disk(tmp_path) > 2000
    store.collect(nobody)
    assert store.disk_usage().layers == on_disk(tmp_path) == 0


async def test_every_kind_of_file_is_counted(store: ImageStore, tmp_path: Path) -> None:
    twice = nasty.Layer()
    twice.add("twice", content=b"first")
    twice.add("twice", content=b"second, longer")
    twice.add("link", nasty.tarfile.SYMTYPE, linkname="/a/link/of/22/bytes/xx")
    twice.add("same", nasty.tarfile.LNKTYPE, linkname="twice")
    data = twice.end()
    await store.import_image(stream(data), ref="x:1")
    image = store.get("x:1")
    assert image.diff_ids == [digest(data)]
    assert image.size == len("second, longer") + len("/a/link/of/22/bytes/xx")
    assert store.disk_usage().layers == on_disk(tmp_path)
    assert not (await store.check(repair=False, in_use=nobody)).problems
