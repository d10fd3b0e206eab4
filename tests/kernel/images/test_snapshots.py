"""Overlays of many layers, commits, and images from packages, on the real kernel."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wharfie.images import snapshots, written
from wharfie.images.image import Image
from wharfie.images.store import ImageStore
from wharfie.state.db import Database


def layer(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    assert os.geteuid() == 0
    return ImageStore(str(tmp_path / "root"), Database(":memory:"))


def container(tmp_path: Path, name: str, image: Image) -> tuple[str, str]:
    directory = tmp_path / name
    directory.mkdir()
    return snapshots.prepare(str(directory), image.lower)


async def test_a_commit_carries_additions_deletions_and_replaced_directories(
    store: ImageStore, tmp_path: Path
) -> None:
    base = await store.import_image(
        stream(layer(**{"gone": b"1", "changed": b"2", "dir/old": b"3", "kept/x": b"4"})), ref="base"
    )
    upper, work = container(tmp_path, "c", base)
    root = snapshots.mount_detached(base.lower, upper, work)
    top = Path(f"/proc/self/fd/{root}")
    try:
        (top / "gone").unlink()
        (top / "changed").write_bytes(b"new")
        (top / "dir/old").unlink()
        (top / "dir").rmdir()
        (top / "dir").mkdir()
        (top / "dir/new").write_bytes(b"5")
    finally:
        os.close(root)

    found = written.changes(base.lower, upper)
    image = await store.commit(base, upper, ref="child:1", message="m", changes=['CMD ["x"]'])

    assert (2, "/gone") in found
    assert (0, "/changed") in found
    assert (1, "/dir/new") in found
    assert image.parent == base.id
    assert image.config.cmd == ["x"]
    root = snapshots.mount_read_only(image.lower, container(tmp_path, "d", image)[0])
    try:
        merged = Path(f"/proc/self/fd/{root}")
        assert sorted(os.listdir(merged)) == ["changed", "dir", "kept"]
        assert os.listdir(merged / "dir") == ["new"]
        assert (merged / "changed").read_bytes() == b"new"
    finally:
        os.close(root)
    assert store.history("child:1")[0].comment == "m"


def test_what_is_written_through_a_volatile_overlay_stays_and_the_kernel_knows_that_it_is_not_synced(
    tmp_path: Path,
) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "c").mkdir()
    upper, work = snapshots.prepare(str(tmp_path / "c"), [str(tmp_path / "below")])
    root = snapshots.mount_detached([str(tmp_path / "below")], upper, work, volatile=True)
    try:
        Path(f"/proc/self/fd/{root}/written").write_bytes(b"x")
    finally:
        os.close(root)
    assert Path(upper, "written").read_bytes() == b"x"
    assert Path(work, "work/incompat/volatile").is_dir()


async def test_a_hundred_and_fifty_layers_are_mounted(store: ImageStore, tmp_path: Path) -> None:
    directories = []
    for number in range(150):
        directory = tmp_path / "stack" / f"{number:064x}" / "diff"
        directory.mkdir(parents=True)
        (directory / f"f{number}").write_bytes(b"x")
        directories.append(str(directory))
    (tmp_path / "c").mkdir()
    upper, work = snapshots.prepare(str(tmp_path / "c"), directories)
    root = snapshots.mount_detached(directories, upper, work)
    try:
        assert len(os.listdir(f"/proc/self/fd/{root}")) == 150
    finally:
        os.close(root)


async def test_busybox_is_made_from_the_package(store: ImageStore, tmp_path: Path) -> None:
    lines: list[dict[str, object]] = []
    image = await store.bootstrap("busybox", progress=lines.append)
    assert image.repo_tags == ["busybox:latest"]
    assert image.config.cmd == ["sh"]
    assert os.access(os.path.join(image.lower[0], "bin/sh"), os.X_OK)
    assert lines
    assert not list((tmp_path / "root" / "tmp").iterdir())


async def test_what_cannot_be_made_from_packages_is_refused(store: ImageStore) -> None:
    for name in ("ubuntu", "ghcr.io/x/debian", "debian:../../etc"):
        with pytest.raises(Exception, match=r"cannot be made from packages|invalid reference format"):
            await store.bootstrap(name, progress=lambda _: None)


def test_nothing_is_mounted_in_the_hosts_namespace(tmp_path: Path) -> None:
    for name in ("l", "c"):
        (tmp_path / name).mkdir()
    upper, work = snapshots.prepare(str(tmp_path / "c"))
    before = Path("/proc/self/mountinfo").read_text()
    root = snapshots.mount_detached([str(tmp_path / "l")], upper, work)
    during = Path("/proc/self/mountinfo").read_text()
    os.close(root)
    assert str(tmp_path) not in during.replace(before, "")
