"""``stats`` on a terminal: who it will be of at once, then one screen over the other without flicker."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import command
from wharfie.cli import events

SAMPLE = {"id": stub.ID, "name": "/web", "pids_stats": {"current": 3}, "memory_stats": {"usage": 1 << 20}}


def test_screens_are_drawn_over_each_other(tmp_path: Path) -> None:
    routes: dict[str, stub.Route] = {
        "GET /containers/json": lambda *_: stub.answer([{"Id": stub.ID}]),
        f"GET /containers/{stub.ID[:12]}/stats": lambda *_: stub.answer(SAMPLE),
    }
    ours, theirs = pty.openpty()
    with stub.serving(tmp_path, routes) as daemon:
        process = subprocess.Popen(command(daemon.host, "stats"), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        while b"web" not in shown.rpartition(b"\x1b[J")[0]:
            shown += os.read(ours, 4096)
        # not SIGINT, which a shell's background jobs ignore
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
    os.close(ours)
    first, second, *_ = shown.split(b"\x1b[J")
    assert first.startswith(b"\x1b[2J\x1b[HCONTAINER ID")
    assert first.count(b"\x1b[K\r\n") == 2
    assert b"\r\n" + stub.ID[:12].encode() + b"   --        --        -- / --" in first
    assert second.startswith(b"\x1b[HCONTAINER ID")
    assert b"   web       0.00%     1MiB / 0B" in second


def test_what_is_not_a_terminal_gets_lines(tmp_path: Path) -> None:
    routes: dict[str, stub.Route] = {"GET /containers/c/stats": lambda *_: stub.answer(SAMPLE)}
    with stub.serving(tmp_path, routes) as daemon:
        words = ("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.Container}}", "c")
        done = subprocess.run(command(daemon.host, *words), capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"web 3 c\n")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("UTC-5:30", "2023-11-15T03:43:20.000000007+05:30"), ("UTC0", "2023-11-14T22:13:20.000000007Z")],
)
def test_times_of_events_are_go_s(monkeypatch: pytest.MonkeyPatch, zone: str, expected: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        event = {"Type": "container", "Action": "start", "Actor": {"ID": "x"}, "timeNano": 17 * 10**17 + 7}
        assert events.line(event) == f"{expected} container start x"
    finally:
        monkeypatch.undo()
        time.tzset()
