"""What takes longer than a second is counted on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator

import pytest

from wharfie.cli import tally
from wharfie.cli.tally import Tally


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    opened = pty.openpty()
    yield opened
    for fd in opened:
        os.close(fd)


def test_a_line_is_drawn_over_itself_and_gone_at_the_end(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.9, 1.1, 1.2, 1.5])
    monkeypatch.setattr(tally, "monotonic", lambda: next(clock))
    with Tally("Copying", fd=ends[1]) as counted:
        for _ in range(4):
            counted.add(500_000)
    assert counted.size == 2_000_000
    shown = b""
    while not shown.endswith(b"\r\x1b[K"):
        # the kernel hands a terminal's output on when it likes
        shown += os.read(ends[0], 1000)
    assert shown == b"\rCopying: 1MB\x1b[K\rCopying: 2MB\x1b[K\r\x1b[K"


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_said_where_nobody_looks_or_it_is_quick(ends: tuple[int, int], quiet: bool) -> None:
    reading, writing = os.pipe()
    with Tally("Copying", fd=ends[1] if quiet else writing, quiet=quiet) as counted:
        counted.add(1)
    with Tally("Copying", fd=ends[1]) as counted:
        counted.add(1)
    os.write(ends[1], b"x")
    assert os.read(ends[0], 1000) == b"x"
    os.close(writing)
    assert os.read(reading, 1000) == b""
    os.close(reading)
