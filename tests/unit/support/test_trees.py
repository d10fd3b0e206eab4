"""Trees of any depth are walked, packed and removed with few descriptors and no recursion."""

from __future__ import annotations

import gc
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfie.images import written
from wharfie.images.pack import pack_root
from wharfie.support import trees
from wharfie.support.files import remove_tree

DEPTH = 5000


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory with others nested in it, one file at the bottom and one beside the first."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "z").touch()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    yield top
    remove_tree(str(top))


def test_a_deep_tree_is_removed(deep: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(str(deep))
    assert not deep.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_deep_tree_is_walked_in_order_with_few_descriptors(deep: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    seen = []
    for path, _ in trees.walk(str(deep)):
        seen.append(path)
        if len(seen) % 500 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert len(seen) == DEPTH + 2
    assert seen[:2] == [b"/d", b"/d/d"]
    assert seen[-2:] == [b"/d" * DEPTH + b"/bottom", b"/z"]
    assert most <= trees.KEPT + 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_deep_tree_is_packed(deep: Path) -> None:
    pieces: list[bytes] = []
    fd = os.open(deep, os.O_RDONLY)
    try:
        pack_root(fd, pieces.append)
    finally:
        os.close(fd)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        names = archive.getnames()
    assert len(names) == DEPTH + 2
    assert names[-2:] == ["d/" * DEPTH + "bottom", "z"]


def test_a_deep_tree_is_listed_as_changes(deep: Path, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    lower.mkdir()
    found = written.changes([str(lower)], str(deep))
    assert len(found) == DEPTH + 2
    assert {kind for kind, _ in found} == {written.ADDED}


def test_a_directory_moved_away_meanwhile_ends_the_walk(tmp_path: Path) -> None:
    # deeper than the descriptors that are kept, so that the way back is ".."
    place = tmp_path / "top"
    place.mkdir()
    for _ in range(trees.KEPT + 3):
        place = place / "d"
        place.mkdir()
    descent = trees.Descent(os.open(tmp_path / "top", trees.OPEN))
    try:
        for _ in range(trees.KEPT + 3):
            descent.enter("d")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "top" / "d" / "d").rename(tmp_path / "elsewhere" / "d")
        for _ in range(trees.KEPT):
            descent.leave()
        descent.leave()  # from the fourth to the third, which was moved along
        with pytest.raises(OSError, match="moved while the tree was walked"):
            descent.leave()
    finally:
        descent.close()


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "top" / "sub").mkdir(parents=True)
    (tmp_path / "top" / "sub" / "link").symlink_to(tmp_path / "kept")
    remove_tree(str(tmp_path / "top"))
    assert (tmp_path / "kept" / "file").exists()
