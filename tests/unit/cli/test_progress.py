"""Progress of pulls and pushes: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
from typing import Any

from wharfie.cli.progress import Progress

MESSAGES: list[dict[str, Any]] = [
    {"status": "Pulling from a/b", "id": "1"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "aaa"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "bbb"},
    {"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}, "id": "aaa"},
    {"status": "Downloading", "progressDetail": {"current": 1000, "total": 1000}, "id": "aaa"},
    {"status": "Pull complete", "progressDetail": {}, "id": "aaa"},
    {"status": "Already exists", "progressDetail": {}, "id": "bbb"},
    {"status": "Digest: sha256:1"},
    {"progressDetail": {}, "aux": {"Tag": "1"}},
    {"status": "Status: Downloaded newer image for a/b:1"},
]


def shown(fd: int, *, quiet: bool = False) -> None:
    progress = Progress(fd, quiet=quiet)
    for message in MESSAGES:
        progress.show(message)
    progress.close()


def test_elsewhere_than_on_a_terminal_each_step_is_a_line() -> None:
    reader, writer = os.pipe()
    shown(writer)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read().splitlines() == [
            "1: Pulling from a/b",
            "aaa: Pulling fs layer",
            "bbb: Pulling fs layer",
            "aaa: Pull complete",
            "bbb: Already exists",
            "Digest: sha256:1",
            "Status: Downloaded newer image for a/b:1",
        ]


def test_on_a_terminal_each_layer_has_a_bar_and_its_last_state_stays() -> None:
    terminal, ours = pty.openpty()
    shown(ours)
    os.close(ours)
    text = b""
    while True:
        try:
            text += os.read(terminal, 1 << 16)
        except OSError:  # EIO: nobody has the other end any more
            break
    os.close(terminal)
    lines = text.decode().replace("\r", "").split("\n")
    last = [line for line in lines if "aaa: Pull complete" in line or "bbb: Already exists" in line]
    assert len(last) >= 2
    assert lines.index(next(line for line in lines if "Digest:" in line)) > lines.index(last[-1])
    assert "\x1b[" in text.decode()


def test_quiet_shows_nothing() -> None:
    reader, writer = os.pipe()
    shown(writer, quiet=True)
    os.close(writer)
    with os.fdopen(reader) as file:
        assert file.read() == ""
