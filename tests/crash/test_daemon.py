"""SIGKILL to the daemon, or to the spawner, loses nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests import ours

PRINTER = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); usleep 1000; done; sleep 1000"


def running(engine: ours.Engine) -> set[str]:
    return set(engine.cli("ps", "--format", "{{.Names}}").stdout.split())


def test_containers_outlive_the_daemon(tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whk") as engine:
        names = {f"c{number}" for number in range(10)}
        for number in range(10):
            script = PRINTER if number % 2 else "sleep 1000"
            assert (
                engine.cli("run", "-d", "--name", f"c{number}", "busybox", "sh", "-c", script).returncode == 0
            )
        ends = "while ! test -e /end; do usleep 20000; done; exit 33"
        engine.cli("run", "-d", "--name", "ends", "busybox", "sh", "-c", ends)
        pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "ends").stdout)
        pids = {name: engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout for name in names}

        engine.kill()
        # it ends while nobody looks
        Path(f"/proc/{pid}/root/end").touch()
        ours.until(lambda: not ours.alive(pid), "it does not end")
        daemon = engine.start()
        try:
            ours.until(lambda: running(engine) == names, f"{running(engine)} run")
            assert {
                name: engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout for name in names
            } == pids
            assert engine.cli("wait", "ends").stdout == "33\n"
            assert engine.cli("exec", "c0", "echo", "alive").stdout == "alive\n"
            wanted = "".join(f"line {number}\n" for number in range(2000))
            for number in range(1, 10, 2):
                deadline = time.monotonic() + 60
                while (
                    log := engine.cli("logs", f"c{number}").stdout
                ) != wanted and time.monotonic() < deadline:
                    time.sleep(0.2)
                assert log == wanted, f"lines of c{number} are lost"
            assert engine.cli("stop", "-t", "0", "c1").returncode == 0
            assert engine.cli("inspect", "-f", "{{.State.ExitCode}}", "c1").stdout == "137\n"
        finally:
            engine.cli("rm", "-f", *names, "ends")
            daemon.terminate()
            daemon.wait(60)


def test_a_killed_spawner_is_replaced(tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whs") as engine:
        assert engine.cli("run", "-d", "--name", "before", "busybox", "sleep", "1000").returncode == 0
        spawners = [pid for pid in ours.processes() if ours.parent(pid) == engine.pid]
        assert len(spawners) == 1
        os.kill(spawners[0], signal.SIGKILL)
        done = engine.cli("run", "--rm", "busybox", "echo", "hello")
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
        assert running(engine) == {"before"}
        assert engine.cli("exec", "before", "true").returncode == 0


def test_daemons_live_side_by_side(tmp_path: Path) -> None:
    with (
        ours.engine(tmp_path / "a", bridge="wha") as first,
        ours.engine(tmp_path / "b", bridge="whb") as second,
    ):
        assert first.cli("run", "-d", "--name", "same", "busybox", "sleep", "1000").returncode == 0
        assert second.cli("run", "-d", "--name", "same", "busybox", "sleep", "1000").returncode == 0
        addresses = [
            each.cli("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "same").stdout
            for each in (first, second)
        ]
        assert addresses[0] != addresses[1]
        assert first.cli("rm", "-f", "same").returncode == 0
        assert running(second) == {"same"}
