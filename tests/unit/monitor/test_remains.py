"""What a monitor removes at the end, without finding it out anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wharfie.monitor import remains
from wharfie.runtime.cgroups.files import oom_kills

V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
V2 = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 9\n"


class Group:
    """What is asked of a control group."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def oom_file(self) -> str:
        return f"{self._place}/count"

    def directories(self) -> list[str]:
        return [f"{self._place}/{name}" for name in ("memory", "pids")]


def noted(place: Path) -> tuple[str, list[str]]:
    directory = os.open(place, os.O_PATH)
    remains.note(directory, Group(place))  # type: ignore[arg-type]
    os.close(directory)
    return remains.read(str(place))


def test_what_was_noted_is_read_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "remains").write_text("of an earlier life, and longer than what is noted now" * 10)
    assert noted(tmp_path) == (f"{tmp_path}/count", [f"{tmp_path}/memory", f"{tmp_path}/pids"])


@pytest.mark.parametrize("text", [V1, V2])
def test_kills_are_counted_in_either_version(tmp_path: Path, text: str) -> None:
    counts, _ = noted(tmp_path)
    Path(counts).write_text(text)
    assert oom_kills(counts) == 3


def test_an_old_kernel_does_not_count(tmp_path: Path) -> None:
    counts, _ = noted(tmp_path)
    Path(counts).write_text("oom_kill_disable 0\nunder_oom 0\n")
    assert oom_kills(counts) == 0


def test_a_group_that_is_gone_is_an_error(tmp_path: Path) -> None:
    counts, _ = noted(tmp_path)
    with pytest.raises(FileNotFoundError):
        oom_kills(counts)


def test_empty_directories_are_removed_and_those_gone_already_are_fine(tmp_path: Path) -> None:
    _, directories = noted(tmp_path)
    Path(directories[1]).mkdir()
    assert remains.remove(directories)
    assert not Path(directories[1]).exists()


def test_a_directory_that_is_in_use_is_left_to_others(tmp_path: Path) -> None:
    _, directories = noted(tmp_path)
    Path(directories[0], "further").mkdir(parents=True)
    assert not remains.remove(directories)
    assert Path(directories[0], "further").exists()
