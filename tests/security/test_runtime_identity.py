"""User databases that lie (SECURITY 6)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wharfie.runtime.launch import LaunchError
from wharfie.runtime.processplan import ProcessPlan
from wharfie.runtime.users import resolve


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


def look_up(root: Path, text: str, additional: list[str] | None = None) -> tuple[int, int, list[int], str]:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        found = resolve(fd, text, additional or [])
    finally:
        os.close(fd)
    return found.uid, found.gid, found.groups, found.home


@pytest.mark.parametrize("number", ["4294967296", "4294967295", "2147483648", "18446744073709551616"])
def test_an_id_beyond_the_range_is_refused_and_never_wraps_to_root(root: Path, number: str) -> None:
    with pytest.raises(LaunchError, match="must be in range"):
        look_up(root, number)
    with pytest.raises(LaunchError, match="must be in range"):
        look_up(root, f"0:{number}")


@pytest.mark.parametrize("number", [-1, 1 << 31, 1 << 32])
def test_a_number_in_the_configuration_is_checked_as_well(number: int) -> None:
    for key in ("uid", "gid"):
        with pytest.raises(LaunchError, match="must be in range"):
            ProcessPlan({"args": ["x"], "user": {key: number}}, own_bounding=0)


def test_an_overflowing_entry_of_the_image_is_refused(root: Path) -> None:
    (root / "etc/passwd").write_text("evil:x:4294967296:0::/:/bin/sh\n")
    with pytest.raises(LaunchError):
        look_up(root, "evil")


def test_a_fifo_as_database_neither_hangs_nor_is_read(root: Path) -> None:
    os.mkfifo(root / "etc/passwd")
    with pytest.raises(LaunchError, match="not a regular file"):
        look_up(root, "bob")


def test_a_link_out_of_the_root_is_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "passwd"
    outside.write_text("bob:x:0:0::/:/bin/sh\n")
    (root / "etc/passwd").symlink_to(outside)
    with pytest.raises(LaunchError, match="unable to find user bob: no matching entries in passwd file"):
        look_up(root, "bob")


def test_an_endless_database_is_refused(root: Path) -> None:
    with open(root / "etc/passwd", "wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(LaunchError, match="larger than"):
        look_up(root, "bob")


def test_a_number_is_an_id_even_where_the_image_has_it_as_a_name(root: Path) -> None:
    (root / "etc/passwd").write_text("1000:x:0:0::/root:/bin/sh\n")
    assert look_up(root, "1000")[:2] == (1000, 0)


def test_names_groups_and_home_come_from_the_databases(root: Path) -> None:
    (root / "etc/passwd").write_text("# comment\nbob:x:7:8::/home/bob:/bin/sh\n")
    (root / "etc/group").write_text("eight:x:8:\nmore:x:9:alice,bob\nextra:x:11:\n")
    assert look_up(root, "bob", ["extra"]) == (7, 8, [8, 9, 11], "/home/bob")
    assert look_up(root, "bob:more") == (7, 9, [9], "/home/bob")
    assert look_up(root, "12:34") == (12, 34, [34], "/")
    with pytest.raises(LaunchError, match="unable to find group none: no matching entries in group file"):
        look_up(root, "bob:none")
