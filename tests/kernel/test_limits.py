"""Limits act: CPU time, memory, processes and disk rates, measured from outside the container."""

from __future__ import annotations

import time
from pathlib import Path

from tests import ours


def cgroup_file(engine: ours.Engine, container: str, controller: str, name: str) -> Path:
    """The file of a running container's cgroup (v1 and hybrid: the controller's own hierarchy)."""
    pid = engine.cli("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{name}")
        if not controllers:
            unified = Path(f"/sys/fs/cgroup{path}/{name}")
    return unified


def cpu_seconds(engine: ours.Engine, container: str) -> float:
    return int(cgroup_file(engine, container, "cpuacct", "cpuacct.usage").read_text()) / 1e9


def test_a_quota_of_a_fifth_gets_a_fifth_of_a_cpu(engine: ours.Engine) -> None:
    options = ("-cpu-period", "100000", "-cpu-quota", "20000")
    done = engine.cli("run", "-d", "--name", "fifth", *options, "busybox", "sh", "-c", "while :; do :; done")
    assert done.returncode == 0, done.stderr
    try:
        shares: list[float] = []
        # a busy machine gives less than it may for a while, and never more
        while not shares or shares[-1] < 0.18:
            assert len(shares) < 10, shares
            began = time.monotonic()
            used = cpu_seconds(engine, "fifth")
            time.sleep(5)
            used = cpu_seconds(engine, "fifth") - used
            shares.append(used / (time.monotonic() - began))
            assert shares[-1] <= 0.22
    finally:
        engine.cli("rm", "-f", "fifth")


def test_a_container_over_its_memory_is_killed_and_says_so(engine: ours.Engine) -> None:
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo not reached"
    done = engine.cli(
        "run", "--name", "hungry", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", script
    )
    state = engine.cli("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", "hungry").stdout.strip()
    engine.cli("rm", "-f", "hungry")
    assert done.returncode == 137
    assert state == "137 true"
    assert "not reached" not in done.stdout


def test_a_fork_bomb_meets_its_limit(engine: ours.Engine) -> None:
    # a shell that cannot fork ends: that is the inner one
    script = "(for i in $(seq 60); do sleep 1000 & done; wait); exec sleep 1000"
    done = engine.cli("run", "-d", "--name", "bomb", "--pids-limit", "20", "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    try:
        events = cgroup_file(engine, "bomb", "pids", "pids.events")
        ours.until(lambda: int(events.read_text().split()[1]), "the limit was never met")
        assert int(cgroup_file(engine, "bomb", "pids", "pids.current").read_text()) <= 20
    finally:
        engine.cli("rm", "-f", "bomb")


def test_a_throttled_disk_writes_and_reads_at_its_rate(engine: ours.Engine) -> None:
    device = next(
        line.split()[0]
        for line in Path("/proc/mounts").read_text().splitlines()
        if line.split()[1] == "/" and line.startswith("/dev/")
    )
    rates = ("--device-write-bps", f"{device}:4mb", "--device-read-bps", f"{device}:4mb")
    script = (
        "t() { s=$(cut -d' ' -f1 /proc/uptime); \"$@\" 2>/dev/null; e=$(cut -d' ' -f1 /proc/uptime);"
        " echo \"$s $e\" | awk '{print $2-$1}'; };"
        "t dd if=/dev/zero of=/v/f bs=1M count=12 oflag=direct;"
        "t dd if=/v/f of=/dev/null bs=1M count=12 iflag=direct"
    )
    done = engine.cli("run", "--rm", *rates, "-v", "throttle:/v", "busybox", "sh", "-c", script)
    engine.cli("volume", "rm", "throttle")
    assert done.returncode == 0, done.stderr
    writing, reading = (float(word) for word in done.stdout.split())
    # a slow disk takes longer still
    assert 2.0 <= writing <= 30
    assert 2.0 <= reading <= 30
