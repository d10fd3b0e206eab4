"""Neighbours: on the network (SECURITY 11), and when one of them takes all he can get (SECURITY 12)."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from tests import ours
from tests.security import attacks


def address(engine: ours.Engine, name: str) -> str:
    return attacks.inspect(engine, name, "{{.NetworkSettings.IPAddress}}")


LISTEN = "while true; do echo hello | nc -l -p 7000; done"


def test_containers_of_two_daemons_do_not_reach_each_other(engine: ours.Engine, tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whx") as other:
        try:
            for each in (engine, other):
                assert (
                    each.cli("run", "-d", "--name", "server", "busybox", "sh", "-c", LISTEN).returncode == 0
                )
            try_it = "for i in $(seq 100); do nc -w 5 {0} 7000 < /dev/null && break; usleep 100000; done"
            for mine, theirs in ((engine, other), (other, engine)):
                own = mine.cli("run", "--rm", "busybox", "sh", "-c", try_it.format(address(mine, "server")))
                assert own.stdout == "hello\n", "a neighbour on the same bridge answers"
                foreign = mine.cli(
                    "run",
                    "--rm",
                    "busybox",
                    "sh",
                    "-c",
                    f"nc -w 2 {address(theirs, 'server')} 7000 < /dev/null",
                )
                assert foreign.stdout == ""
                assert foreign.returncode != 0
        finally:
            engine.cli("rm", "-f", "server")


def test_without_a_network_there_is_none(engine: ours.Engine) -> None:
    done = engine.cli(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", "cat /proc/net/dev /proc/net/route"
    )
    devices = [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line]
    assert devices == ["lo"]


def test_a_container_cannot_change_how_it_is_wired(engine: ours.Engine) -> None:
    script = (
        "ip addr add 10.99.0.1/24 dev eth0 && echo added;"
        " ip link set eth0 address 02:00:00:00:00:01 && echo renamed;"
        " ip link set eth0 down && echo down; ip route add default via 10.0.0.1 && echo routed;"
        " (: >> /proc/sys/net/ipv4/ip_forward) && echo sysctl; iptables -L && echo tables; true"
    )
    done = engine.cli("run", "--rm", "busybox", "sh", "-c", script)
    assert done.stdout == "", done.stdout


# -- resources --------------------------------------------------------------------------------------


def latency(engine: ours.Engine) -> float:
    """How long a ping and a start of another container take."""
    began = time.monotonic()
    assert attacks.request(engine, "GET", "/_ping")[0] == 200
    pinged = time.monotonic() - began
    assert pinged < 10, f"the daemon took {pinged:.1f} s to answer"
    done = engine.cli("run", "--rm", "busybox", "echo", "alive", timeout=100)
    assert done.stdout == "alive\n", done
    return time.monotonic() - began


@pytest.mark.parametrize(
    "options",
    [
        ("--pids-limit", "60", "busybox", "sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 1000"),
        ("-m", "64m", "--memory-swap", "64m", "busybox", "sh", "-c",
         "while true; do dd if=/dev/zero of=/dev/null bs=200M count=1; done"),
        ("-m", "32m", "--memory-swap", "32m", "busybox", "sh", "-c",
         "dd if=/dev/zero of=/dev/shm/x bs=1M; sleep 1000"),
        ("--cpus", "0.5", "busybox", "sh", "-c", "while true; do :; done & while true; do :; done"),
        ("--log-opt", "max-size=1m", "--log-opt", "max-file=2", "busybox", "sh", "-c", "yes aaaaaaaaaaa"),
        ("--log-opt", "max-size=1m", "busybox", "sh", "-c", "cat /dev/zero"),
    ],
    ids=["forks", "memory", "shared memory", "cpu", "log of lines", "log without line ends"],
)  # fmt: skip
def test_one_that_takes_all_he_can_get_leaves_the_others_theirs(
    engine: ours.Engine, options: tuple[str, ...]
) -> None:
    before = resident(engine.pid)
    assert engine.cli("run", "-d", "--name", "quiet", "busybox", "sleep", "1000").returncode == 0
    started = engine.cli("run", "-d", "--name", "greedy", *options)
    assert started.returncode == 0, started.stderr
    try:
        slowest = max(latency(engine) for _ in range(8))
        assert slowest < 60
        assert attacks.inspect(engine, "quiet", "{{.State.Running}}") == "true"
        assert engine.cli("exec", "quiet", "true").returncode == 0
        assert resident(engine.pid) - before < 64 << 20
        identifier = attacks.inspect(engine, "greedy", "{{.Id}}")
        stopped = engine.cli("stop", "-t", "0", "greedy")
        assert stopped.returncode == 0, stopped.stderr
        directory = engine.state / "data/containers" / identifier
        logs = sum(path.stat().st_size for path in directory.glob("*-json.log*"))
        assert logs < (4 << 20 if "--log-opt" in options else 1 << 20)
    finally:
        removed = engine.cli("rm", "-f", "greedy", "quiet")
    assert removed.returncode == 0, removed.stderr


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_hundreds_of_execs_at_once_and_thousands_that_nobody_starts(engine: ours.Engine) -> None:
    before = resident(engine.pid)
    assert engine.cli("run", "-d", "--name", "many", "busybox", "sleep", "1000").returncode == 0
    try:
        for _ in range(3000):
            status, answer = attacks.request(engine, "POST", "/containers/many/exec", {"Cmd": ["true"]})
            assert status == 201, answer
        assert resident(engine.pid) - before < 32 << 20
        failures: list[object] = []

        def burst() -> None:
            for _ in range(25):
                status, answer = attacks.request(
                    engine, "POST", "/containers/many/exec", {"Cmd": ["sleep", "5"]}
                )
                found = json.loads(answer)["Id"] if status == 201 else ""
                status, answer = attacks.request(engine, "POST", f"/exec/{found}/start", {"Detach": True})
                if status != 200:
                    failures.append(answer)

        threads = [threading.Thread(target=burst) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert latency(engine) < 60
    finally:
        assert engine.cli("rm", "-f", "many").returncode == 0
    assert resident(engine.pid) - before < 64 << 20


def test_a_full_disk_of_a_container_is_its_own_affair(engine: ours.Engine) -> None:
    """A tmpfs as the container's disk: full, and nothing of the daemon's stops."""
    started = engine.cli("run", "-d", "--name", "full", "--tmpfs", "/data:size=4m", "busybox", "sh", "-c",
                         "dd if=/dev/zero of=/data/x bs=1M; echo full >&2; sleep 1000")  # fmt: skip
    assert started.returncode == 0, started.stderr
    try:
        ours.until(lambda: "full" in engine.cli("logs", "full").stderr, "it is never full")
        assert latency(engine) < 60
    finally:
        engine.cli("rm", "-f", "full")
