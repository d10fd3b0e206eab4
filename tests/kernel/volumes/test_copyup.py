"""The first content of a volume: all that a file has is kept, and nothing leads outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wharfie.support.files import remove_tree
from wharfie.support.trees import walk
from wharfie.volumes import copyup


def _populate(target: Path, source: Path, *, beside: bool = True) -> bool:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (target, source)]
    try:
        return copyup.populate(*fds, str(target.parent) if beside else "")
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume" / "_data"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.mkdir()
    return path


def test_everything_is_kept(image: Path, volume: Path) -> None:
    (image / "dir" / "deep").mkdir(parents=True)
    file = image / "dir" / "file"
    file.write_bytes(b"content" * 1000)
    os.setxattr(file, "user.note", b"hello")
    os.setxattr(file, "trusted.secret", b"root's")
    os.link(file, image / "dir" / "deep" / "same")
    (image / "tool").write_text("#!")
    os.chown(image / "tool", 12, 34)
    os.chmod(image / "tool", 0o4755)
    (image / "link").symlink_to("/etc/passwd")
    os.lchown(image / "link", 56, 78)
    os.mkfifo(image / "pipe")
    os.chmod(image / "pipe", 0o620)
    os.utime(file, ns=(10**18, 10**18 + 7))
    os.chown(image / "dir", 1000, 1001)
    os.chmod(image / "dir", 0o2750)
    os.utime(image / "dir", ns=(10**18, 10**18 + 8))
    os.chown(image, 5, 6)
    os.chmod(image, 0o1777)
    assert _populate(volume, image)
    copied = volume / "dir" / "file"
    assert copied.read_bytes() == b"content" * 1000
    assert os.getxattr(copied, "user.note") == b"hello"
    assert os.getxattr(copied, "trusted.secret") == b"root's"
    assert os.stat(copied).st_mtime_ns == 10**18 + 7
    assert os.stat(copied).st_ino == os.stat(volume / "dir" / "deep" / "same").st_ino
    tool = os.stat(volume / "tool")
    assert (tool.st_uid, tool.st_gid, tool.st_mode & 0o7777) == (12, 34, 0o4755)
    assert os.readlink(volume / "link") == "/etc/passwd"
    assert (os.lstat(volume / "link").st_uid, os.lstat(volume / "link").st_gid) == (56, 78)
    assert stat.S_ISFIFO(os.lstat(volume / "pipe").st_mode)
    assert os.lstat(volume / "pipe").st_mode & 0o7777 == 0o620
    inner = os.stat(volume / "dir")
    assert (inner.st_uid, inner.st_gid, inner.st_mode & 0o7777) == (1000, 1001, 0o2750)
    assert inner.st_mtime_ns == 10**18 + 8
    top = os.stat(volume)
    assert (top.st_uid, top.st_gid, top.st_mode & 0o7777) == (5, 6, 0o1777)
    assert os.listdir(volume.parent) == ["_data"]


def test_a_volume_that_holds_something_is_left_alone(image: Path, volume: Path) -> None:
    (image / "new").write_text("new")
    (volume / "mine").write_text("mine")
    assert not _populate(volume, image)
    assert os.listdir(volume) == ["mine"]


def test_an_empty_directory_still_gives_its_owner_and_mode(image: Path, volume: Path) -> None:
    os.chown(image, 999, 998)
    os.chmod(image, 0o700)
    assert _populate(volume, image)
    top = os.stat(volume)
    assert (top.st_uid, top.st_gid, top.st_mode & 0o7777) == (999, 998, 0o700)


def test_devices_and_sockets_do_not_get_in(image: Path, volume: Path) -> None:
    os.mknod(image / "disk", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    os.mknod(image / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mknod(image / "socket", 0o666 | stat.S_IFSOCK)
    (image / "file").write_text("x")
    assert _populate(volume, image)
    assert os.listdir(volume) == ["file"]


def test_links_of_an_image_lead_nowhere(image: Path, volume: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    before = os.stat(outside / "secret")
    (image / "dir").symlink_to(outside)
    (image / "file").symlink_to(outside / "secret")
    assert _populate(volume, image)
    assert (volume / "dir").is_symlink()
    assert (volume / "file").is_symlink()
    assert os.stat(outside / "secret") == before
    assert os.listdir(outside) == ["secret"]


def test_a_directory_swapped_for_a_link_meanwhile_is_not_followed(
    image: Path, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (image / "dir").mkdir()
    real = os.mkdir

    def swap(path: str, *arguments: object, **options: object) -> None:
        real(path, *arguments, **options)  # type: ignore[arg-type]
        if path == "dir":
            (image / "dir").rmdir()
            (image / "dir").symlink_to(outside)

    monkeypatch.setattr(copyup.os, "mkdir", swap)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        _populate(volume, image)
    assert os.listdir(volume) == []


def test_a_failed_copy_leaves_an_empty_volume(
    image: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (image / name).write_text(name)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copyup, "_content", full)
    with pytest.raises(OSError, match="No space left"):
        _populate(volume, image)
    assert os.listdir(volume) == []
    assert os.listdir(volume.parent) == ["_data"]


def test_a_copy_within_the_volume_clears_what_a_crash_left(image: Path, volume: Path) -> None:
    (image / "file").write_text("whole")
    (volume / ".wharfie-populating-abc").mkdir()
    (volume / ".wharfie-populating-abc" / "file").write_text("ha")
    assert _populate(volume, image, beside=False)
    assert {path.name: path.read_text() for path in volume.iterdir()} == {"file": "whole"}


def test_a_tree_deeper_than_any_recursion_is_copied_and_links_that_cannot_be_named_become_files(
    image: Path, volume: Path
) -> None:
    fd = os.open(image, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(1500):
            os.mkdir("deep", dir_fd=fd)
            below = os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        for name, link in (("one", ""), ("other", "one")):
            if link:
                os.link(link, name, src_dir_fd=fd, dst_dir_fd=fd)
            else:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=fd))
    finally:
        os.close(fd)
    assert _populate(volume, image)
    found = dict(walk(str(volume)))
    assert len(found) == 1502
    bottom = b"/deep" * 1500
    assert {stat.S_IMODE(found[bottom + name].st_mode) for name in (b"/one", b"/other")} == {0o640}
    for path in (image, volume):
        remove_tree(str(path))
