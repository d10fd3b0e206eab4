"""Full disks, many execs, slow clients: the daemon answers, other containers go on, nothing piles up."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests import ours

RESPONSIVE = 10.0
"""Seconds that a question may take while the daemon is under pressure."""


def answers(engine: ours.Engine) -> None:
    began = time.monotonic()
    assert engine.cli("ps", "-q").returncode == 0
    assert time.monotonic() - began < RESPONSIVE


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def monitor_of(engine: ours.Engine, name: str) -> int:
    identifier = engine.cli("inspect", "-f", "{{.Id}}", name).stdout.strip()
    status = json.loads((engine.state / "exec/containers" / identifier / "status.json").read_text())
    return int(status["monitor_pid"])


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "small", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def test_a_full_disk_stops_neither_monitor_nor_daemon(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "96m") as disk, ours.engine(disk, bridge="whf") as engine:
        script = (
            "while ! test -e /full; do usleep 10000; done; echo lost; sleep 0.1; echo also; exec sleep 1000"
        )
        done = engine.cli("run", "-d", "--name", "talks", "busybox", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        engine.cli("create", "--name", "later", "busybox", "true")
        ballast = disk / "ballast"
        fill(ballast)
        monitor = monitor_of(engine, "talks")
        pid = engine.cli("inspect", "-f", "{{.State.Pid}}", "talks").stdout.strip()
        os.mkdir(f"/proc/{pid}/root/dev/shm/x")
        # the upper directory is on the full disk too, but an empty file needs no block
        Path(f"/proc/{pid}/root/full").touch()
        for words in (
            ("start", "later"),
            ("run", "--name", "new", "busybox", "true"),
            ("commit", "talks", "x"),
        ):
            failed = engine.cli(*words)
            assert "Traceback" not in failed.stderr
            answers(engine)
        alive = engine.cli("exec", "talks", "echo", "alive")
        assert alive.stdout == "alive\n", alive.stderr
        assert Path(f"/proc/{monitor}").exists()
        ballast.unlink()
        assert engine.cli("exec", "talks", "echo", "again").stdout == "again\n"
        assert engine.cli("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
        for line in engine.cli("logs", "talks").stdout.splitlines():
            assert line in ("lost", "also")
        assert engine.cli("stop", "-t", "0", "talks").returncode == 0
        assert engine.cli("inspect", "-f", "{{.State.ExitCode}}", "talks").stdout == "137\n"
        assert engine.cli("rm", "-f", "talks", "later", "new").returncode in (0, 1)
        assert engine.cli("ps", "-aq").stdout == ""


def test_a_thousand_execs_leave_nothing_and_the_daemon_answers(engine: ours.Engine) -> None:
    engine.cli("run", "-d", "--name", "busy", "busybox", "sleep", "1000")
    try:
        for _ in range(5):
            engine.cli("exec", "busy", "true")
        monitor = monitor_of(engine, "busy")
        before = (descriptors(engine.pid), descriptors(monitor))
        codes = run_execs(engine, "busy", 1000)
        assert codes == {7: 1000}
        answers(engine)
        ours.until(lambda: descriptors(engine.pid) <= before[0], "the daemon keeps descriptors")
        ours.until(lambda: descriptors(monitor) <= before[1], "the monitor keeps descriptors")
        known = ("inspect", "-f", "{{len .ExecIDs}}", "busy")
        ours.until(lambda: int(engine.cli(*known).stdout or 0) == 0, "execs that ended are known")
        children = Path(f"/proc/{monitor}/task/{monitor}/children")
        ours.until(lambda: len(children.read_text().split()) <= 2, "zombies, or helpers that stay")
    finally:
        engine.cli("rm", "-f", "busy")


def run_execs(engine: ours.Engine, name: str, count: int) -> dict[int, int]:
    """So many execs, eight at a time and over the API alone; how many ended with which code."""

    def ask(method: str, path: str, body: object = None) -> bytes:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        with sock:
            sock.connect(engine.host.removeprefix("unix://"))
            data = json.dumps(body).encode() if body is not None else b""
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
            sock.sendall(head.encode() + data)
            found = b""
            while piece := sock.recv(65536):
                found += piece
        return found.partition(b"\r\n\r\n")[2]

    def one(_: int) -> int:
        body = {"Cmd": ["sh", "-c", "echo x; exit 7"], "AttachStdout": True}
        identifier = json.loads(ask("POST", f"/containers/{name}/exec", body))["Id"]
        assert b"x\n" in ask("POST", f"/exec/{identifier}/start", {"Detach": False})
        return int(json.loads(ask("GET", f"/exec/{identifier}/json"))["ExitCode"])

    found: dict[int, int] = {}
    with ThreadPoolExecutor(8) as pool:
        for code in pool.map(one, range(count)):
            found[code] = found.get(code, 0) + 1
    return found


def test_a_hundred_clients_that_do_not_read_hold_up_nobody_else(engine: ours.Engine) -> None:
    engine.cli("run", "-d", "--name", "loud", "busybox", "sh", "-c", "yes")
    engine.cli("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    clients = []
    try:
        monitor = monitor_of(engine, "loud")
        before = descriptors(engine.pid)
        for _ in range(100):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(engine.host.removeprefix("unix://"))
            sock.sendall(
                b"POST /containers/loud/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
                b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
            )
            assert b" 101 " in sock.recv(100)
            clients.append(sock)
        answers(engine)
        assert engine.cli("exec", "other", "echo", "alive").stdout == "alive\n"
        # the streams are the monitor's, not the daemon's
        ours.until(lambda: descriptors(engine.pid) <= before + 5, "the daemon has the streams")
        assert descriptors(monitor) <= 130
        held = resident(monitor)
        assert held < 100 * 2 << 20, held
        for sock in clients:
            sock.close()
        clients = []
        ours.until(lambda: descriptors(monitor) <= 30, "streams of clients that are gone stay open")
        answers(engine)
    finally:
        for sock in clients:
            sock.close()
        engine.cli("rm", "-f", "loud", "other")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
