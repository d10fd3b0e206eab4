"""A disk that is too small for an image: a sentence, the room is given back, and other images stay whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.archives import nasty
from tests.conformance.registry import registries
from wharfie.errors import InvalidArgument
from wharfie.images import limits
from wharfie.images.distribution import Distribution
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.linux.fd import sync_filesystem
from wharfie.state.db import Database

SMALL = registries.layer({"small": b"small"})
SIZE = 48 << 20


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB in a file."""
    place = tmp_path / "small"
    place.mkdir()
    image = tmp_path / "small.img"
    with open(image, "wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        ours.until(lambda: not subprocess.run(["umount", str(place)], check=False).returncode, "it is in use")


@pytest.fixture
def store(root: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ImageStore:
    if request.param == "no reserve":
        # then the file system itself refuses, in the middle of a write
        monkeypatch.setattr(limits, "RESERVE", 0)
    else:
        monkeypatch.setattr(limits, "RESERVE", 8 << 20)
    return ImageStore(str(root), Database(":memory:"))


def nobody(_: str) -> list[ContainerUse]:
    return []


def free(root: Path) -> int:
    sync_filesystem(str(root))  # ext4 gives back what was freed with its journal
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


def big() -> bytes:
    """Two layers, the second of which does not fit."""
    first = registries.layer({"a": os.urandom(8 << 20)})
    second = registries.layer({f"f{number}": os.urandom(4 << 20) for number in range(16)})
    return nasty.docker_archive([first, second], "big:1")


async def stream(data: bytes):  # type: ignore[no-untyped-def]
    for at in range(0, len(data), 1 << 20):
        yield data[at : at + (1 << 20)]


async def unchanged(store: ImageStore, root: Path, before: int) -> None:
    # a thread may still be in the middle of a removal
    await asyncio.to_thread(ours.until, lambda: not list((root / "tmp").iterdir()), "something is left")
    assert [image.repo_tags for image in store.list(all=True)] == [["small:1"]]
    assert not (await store.check(repair=False, in_use=nobody)).problems
    # what ext4 gives directories and its journal it keeps
    assert before - free(root) < 1 << 20
    assert Path(store.get("small:1").lower[0], "small").read_bytes() == b"small"


@pytest.mark.parametrize("store", ["no reserve", "a reserve"], indirect=True)
async def test_a_load_gives_the_room_back(store: ImageStore, root: Path) -> None:
    await store.import_image(stream(SMALL), ref="small:1")
    before = free(root)
    with pytest.raises((InvalidArgument, OSError), match=r"(?i)no space left on device"):
        await store.load(stream(big()), progress=lambda _: None)
    await unchanged(store, root, before)


@pytest.mark.parametrize("store", ["no reserve", "a reserve"], indirect=True)
async def test_a_pull_gives_the_room_back(store: ImageStore, root: Path, tmp_path: Path) -> None:
    await store.import_image(stream(SMALL), ref="small:1")
    before = free(root)
    content = [registries.layer({f"f{n}-{m}": os.urandom(4 << 20) for m in range(5)}) for n in range(3)]
    with registries.registry(tmp_path) as address:
        await registries.push(registries.layout(tmp_path / "layout", content), f"{address}/big:1")
        with pytest.raises((InvalidArgument, OSError), match=r"(?i)no space left on device"):
            await Distribution(store).pull(f"{address}/big:1", progress=lambda _: None)
    await unchanged(store, root, before)
    assert not [thread.name for thread in threading.enumerate() if "unpack" in thread.name]
