"""The daemon as a process: its end and restart, a second one beside it, its size, its socket."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests import ours


def asked(engine: ours.Engine, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.host.removeprefix("unix://"))
    connection.request(method, path)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "request"])
def test_containers_live_on_when_the_daemon_ends(tmp_path: Path, way: str) -> None:
    with ours.engine(tmp_path, bridge="whdaem0") as engine:
        assert engine.cli("run", "-d", "--name", "lives", "busybox", "sleep", "1000").returncode == 0
        pid = engine.cli("inspect", "-f", "{{.State.Pid}}", "lives").stdout.strip()
        daemon = engine.pid
        if way == "request":
            assert asked(engine, "POST", "/wharfie/shutdown") == 204
        else:
            os.kill(daemon, getattr(signal, way))
        pidfd = os.pidfd_open(daemon)
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        assert not Path(engine.host.removeprefix("unix://")).exists()
        assert not (tmp_path / "wharfie.pid").exists()
        assert Path(f"/proc/{pid}").exists()
        again = engine.start()
        try:
            assert engine.cli("inspect", "-f", "{{.State.Pid}}", "lives").stdout.strip() == pid
            assert engine.cli("exec", "lives", "echo", "here").stdout == "here\n"
            assert engine.cli("rm", "-f", "lives").returncode == 0
        finally:
            again.terminate()
            again.wait(60)


def test_a_second_daemon_on_the_same_roots_is_refused(engine: ours.Engine) -> None:
    done = subprocess.run(
        [ours.WHARFIE, "daemon", *engine.arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "another daemon" in done.stderr) == (1, True)
    assert engine.cli("version").returncode == 0


def test_nobody_else_may_open_the_socket(engine: ours.Engine) -> None:
    mode = os.stat(engine.host.removeprefix("unix://")).st_mode
    assert stat.S_IMODE(mode) == 0o660
    assert stat.S_IMODE(os.stat(engine.state / "data").st_mode) == 0o711
    assert stat.S_IMODE(os.stat(engine.state / "exec" / "containers").st_mode) & 0o077 in (0, 0o011)


def test_the_idle_daemon_and_its_spawner_are_small(tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whdaem1") as engine:
        pids = [engine.pid, *map(int, children(engine.pid))]
        assert len(pids) == 2
        assert sum(map(pss, pids)) <= 60 * 1024


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def pss(pid: int) -> int:
    """In KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss")
