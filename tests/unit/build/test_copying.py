"""Files that are copied from root to root, and what a copy that fails leaves."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from wharfie.build import content, contexts
from wharfie.build.content import Excluded, Found
from wharfie.build.copier import Copier, Manner
from wharfie.build.errors import BuildFailed, DockerfileError
from wharfie.linux import path as paths


def descriptors() -> int:
    gc.collect()  # those of earlier tests go now, not in the middle
    return len(os.listdir("/proc/self/fd"))


def opened(path: Path) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d").mkdir(parents=True)
    (source / "d" / "f").write_text("f")
    target.mkdir()
    return source, target


def test_a_directory_that_cannot_be_copied_keeps_no_descriptor(places: tuple[Path, Path]) -> None:
    source, target = places
    (target / "file").write_text("in the way")
    root, there = opened(source), opened(target)
    before = descriptors()
    with pytest.raises(BuildFailed, match="cannot copy to non-directory: /file"):
        Copier(there, Manner()).put(root, [Found("d", True)], "/file", Excluded([]), into=True)
    (target / "f").mkdir()
    with pytest.raises(BuildFailed, match="a file cannot replace it"):
        Copier(there, Manner()).put(root, [Found("d", True)], "/", Excluded([]), into=True)
    assert descriptors() == before
    os.close(root)
    os.close(there)


def test_a_dockerfile_that_is_a_directory_is_told_and_keeps_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").mkdir()
    before = descriptors()
    with pytest.raises(DockerfileError, match="failed to read Dockerfile Dockerfile: is a directory"):
        contexts.read_dockerfile(str(tmp_path), "Dockerfile")
    assert descriptors() == before


def test_what_is_no_regular_file_is_never_opened_to_read(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = places
    os.mkfifo(source / "pipe")
    root, there = opened(source), opened(target)
    flags: list[int] = []

    def noted(at: int, path: str | bytes, flag: int, resolve: int = 0, mode: int = 0) -> int:
        flags.append(flag)
        return real(at, path, flag, resolve, mode)

    real = paths.openat2
    monkeypatch.setattr(paths, "openat2", noted)
    found = [Found("pipe", False)]
    assert content.digest(root, found, Excluded([]))
    with pytest.raises(BuildFailed, match="cannot copy pipe: it is no regular file"):
        Copier(there, Manner()).put(root, found, "/pipe", Excluded([]), into=False)
    assert {flag & os.O_PATH for flag in flags} == {os.O_PATH}
    os.close(root)
    os.close(there)
