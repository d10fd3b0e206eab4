"""Users of a container, from files that are the image's doing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wharfie.engine.users import NoSuchUser, owner_in

PASSWD = f"""\
long:x:{"1" * 5000}:7
arabic:x:\u0661:\u0661
short:x:5
name:x:12:34
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text("staff:x:50:\n")
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_names_and_numbers(root: int) -> None:
    assert owner_in(root, "name") == (12, 34)
    assert owner_in(root, "12:staff") == (12, 50)
    assert owner_in(root, "4000:9") == (4000, 9)


@pytest.mark.parametrize("user", ["arabic", "\u0661", "short", "nobody", "name:nogroup"])
def test_who_is_not_there_is_nobody(root: int, user: str) -> None:
    with pytest.raises(NoSuchUser, match="no matching entries"):
        owner_in(root, user)


@pytest.mark.parametrize("user", ["long", "2147483648", "0" * 5000 + "1"])
def test_an_id_of_any_length_is_too_high_and_never_roots(root: int, user: str) -> None:
    with pytest.raises(NoSuchUser, match="uids and gids must be in range"):
        owner_in(root, user)
