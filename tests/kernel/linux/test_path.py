"""Places inside a root that somebody else filled: links lead nowhere but inside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wharfie.linux.path import make_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "etc").mkdir(parents=True)
    return inside


def made(root: Path, path: str) -> str:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        file = make_file(fd, path)
        try:
            return os.readlink(f"/proc/self/fd/{file}").removeprefix(str(root))
        finally:
            os.close(file)
    finally:
        os.close(fd)


def test_a_missing_file_is_made_with_its_directories(root: Path) -> None:
    assert made(root, "/a/b/c") == "/a/b/c"
    assert (root / "a/b/c").read_bytes() == b""


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("../run/resolve/stub.conf", "/run/resolve/stub.conf"),
        ("/run/stub.conf", "/run/stub.conf"),
        ("../../../../outside", "/outside"),
        ("other.conf", "/etc/other.conf"),
    ],
)
def test_the_target_of_a_dangling_link_is_made_inside(root: Path, link: str, target: str) -> None:
    (root / "etc/resolv.conf").symlink_to(link)
    assert made(root, "/etc/resolv.conf") == target
    assert os.readlink(root / "etc/resolv.conf") == link
    assert not (root.parent / "outside").exists()


def test_links_in_a_circle_are_an_error(root: Path) -> None:
    (root / "etc/a").symlink_to("b")
    (root / "etc/b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        made(root, "/etc/a")
