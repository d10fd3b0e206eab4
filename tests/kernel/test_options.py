"""Options that change what a container is: each once, as seen from inside and from the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.test_limits import cgroup_file


@pytest.fixture
def name(engine: ours.Engine) -> Iterator[str]:
    yield "option"
    engine.cli("rm", "-f", "option")


def inside(engine: ours.Engine, *words: str) -> str:
    """What ``run --rm`` with these options and command prints."""
    done = engine.cli("run", "--rm", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def namespace(engine: ours.Engine, container: str, kind: str) -> str:
    pid = engine.cli("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def test_out_of_memory_is_an_exit_code_a_state_and_an_event(engine: ours.Engine, name: str) -> None:
    began = f"{time.time():.6f}"
    script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo not reached"
    done = engine.cli(
        "run", "--name", name, "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", script
    )
    assert done.returncode == 137
    state = engine.cli("inspect", "-f", "{{.State.ExitCode}} {{.State.OOMKilled}}", name).stdout
    assert state == "137 true\n"
    events = (
        "events",
        "--since",
        began,
        "--until",
        f"{time.time() + 0.1:.6f}",
        "--filter",
        f"container={name}",
    )
    actions = engine.cli(*events, "--format", "{{.Action}}").stdout.split()
    assert "oom" in actions
    assert actions.index("oom") < actions.index("die")


def test_init_reaps_what_its_child_leaves(engine: ours.Engine, name: str) -> None:
    # a grandchild whose parent ends is adopted by pid 1
    script = "(sleep 0.05 & ) ; sleep 1000"
    assert engine.cli("run", "-d", "--init", "--name", name, "busybox", "sh", "-c", script).returncode == 0
    first = engine.cli("exec", name, "cat", "/proc/1/comm").stdout
    assert first.strip() in ("docker-init", "tini", "catatonit", "wharfie-init")
    # a header, init, sleep and ps itself: no further process, and no zombie
    ours.until(lambda: len(engine.cli("exec", name, "ps").stdout.splitlines()) == 4, "a process is left")
    # init passes SIGTERM on
    assert engine.cli("stop", "-t", "60", name, timeout=90).returncode == 0
    assert engine.cli("inspect", "-f", "{{.State.ExitCode}}", name).stdout == "143\n"


def test_privileged_has_every_capability_and_device_that_we_have(engine: ours.Engine) -> None:
    script = (
        "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; ls /dev | wc -l;"
        " mount -t tmpfs x /tmp && echo ok"
    )
    plain = engine.cli("run", "--rm", "busybox", "sh", "-c", script).stdout.split()
    full = inside(engine, "--privileged", "busybox", "sh", "-c", script).split()
    bounding = next(
        line.split()[1]
        for line in Path(f"/proc/{engine.pid}/status").read_text().splitlines()
        if "CapBnd" in line
    )
    assert plain[1] == "00000000a80425fb"
    assert full[1] == bounding
    assert (plain[plain.index("Seccomp:") + 1], full[full.index("Seccomp:") + 1]) == ("2", "0")
    assert full[-1] == "ok"
    assert plain[-1] != "ok"
    assert int(full[-2]) > int(plain[-1])


def test_a_private_user_namespace_makes_root_nobody_outside(engine: ours.Engine, name: str) -> None:
    script = "touch /made; id -u; cat /proc/self/uid_map; exec sleep 1000"
    done = engine.cli("run", "-d", "--name", name, "--userns", "private", "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    ours.until(lambda: len(engine.cli("logs", name).stdout.split()) >= 4, "it says nothing")
    words = engine.cli("logs", name).stdout.split()
    assert words[0] == "0"
    base = int(words[2])
    assert base >= 65536
    pid = engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    assert Path(f"/proc/{pid}").stat().st_uid == base
    assert engine.cli("exec", name, "stat", "-c", "%u", "/made", "/bin/busybox").stdout == "0\n0\n"
    # chown to an id that the namespace lacks is refused by the kernel
    assert engine.cli("exec", name, "mknod", "/dev/mine", "c", "1", "3").returncode != 0


def test_namespaces_of_the_host_and_of_others_are_joined(engine: ours.Engine, name: str) -> None:
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "net", "uts")}
    assert inside(engine, "--pid", "host", "busybox", "readlink", "/proc/self/ns/pid").strip() == own["pid"]
    assert inside(engine, "--uts", "host", "busybox", "readlink", "/proc/self/ns/uts").strip() == own["uts"]
    assert inside(engine, "--ipc", "host", "busybox", "readlink", "/proc/self/ns/ipc").strip() == own["ipc"]
    assert (
        inside(engine, "--network", "host", "busybox", "readlink", "/proc/self/ns/net").strip() == own["net"]
    )
    donor = engine.cli(
        "run", "-d", "--name", name, "--ipc", "shareable", "--hostname", "donor", "busybox", "sleep", "1000"
    )
    assert donor.returncode == 0, donor.stderr
    for kind in ("pid", "ipc", "net"):
        assert namespace(engine, name, kind) != own[kind]
    for option, kind in (("--pid", "pid"), ("--ipc", "ipc"), ("--network", "net")):
        seen = inside(engine, option, f"container:{name}", "busybox", "readlink", f"/proc/self/ns/{kind}")
        assert seen.strip() == namespace(engine, name, kind), option
    engine.cli("exec", name, "sh", "-c", "echo shared > /dev/shm/note")
    assert inside(engine, "--ipc", f"container:{name}", "busybox", "cat", "/dev/shm/note") == "shared\n"
    assert inside(engine, "--network", f"container:{name}", "busybox", "hostname") == "donor\n"
    processes = inside(engine, "--pid", f"container:{name}", "busybox", "ps")
    assert "sleep 1000" in processes


def test_a_read_only_root_takes_no_write_but_its_tmpfs_does(engine: ours.Engine) -> None:
    script = "touch /x; echo $?; touch /run/x; echo $?; touch /dev/shm/x; echo $?"
    done = engine.cli("run", "--rm", "--read-only", "--tmpfs", "/run", "busybox", "sh", "-c", script)
    assert done.stdout.split() == ["1", "0", "0"]
    assert "Read-only file system" in done.stderr


def test_a_cgroup_parent_is_where_the_container_is(engine: ours.Engine, name: str) -> None:
    parent = f"/wharfietest{os.getpid()}"
    try:
        options = ("--name", name, "--cgroup-parent", parent)
        assert engine.cli("run", "-d", *options, "busybox", "sleep", "1000").returncode == 0
        identifier = engine.cli("inspect", "-f", "{{.Id}}", name).stdout.strip()
        assert f"{parent}/{identifier}/" in str(cgroup_file(engine, name, "memory", "memory.stat"))
        engine.cli("rm", "-f", name)
    finally:
        parents = list(Path("/sys/fs/cgroup").glob(f"*{parent}"))
        left = [path for directory in parents for path in directory.iterdir() if path.is_dir()]
        for directory in parents:
            directory.rmdir()
    assert left == []


def test_an_update_changes_the_limits_of_what_runs(engine: ours.Engine, name: str) -> None:
    engine.cli("run", "-d", "--name", name, "-m", "64m", "busybox", "sleep", "1000")
    limits = (
        "-m",
        "32m",
        "--memory-swap",
        "48m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "33",
        "--cpu-shares",
        "512",
    )
    done = engine.cli("update", *limits, "--restart", "on-failure:3", name)
    assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
    wanted = {
        ("memory", "memory.limit_in_bytes"): str(32 << 20),
        ("memory", "memory.memsw.limit_in_bytes"): str(48 << 20),
        ("cpu", "cpu.cfs_quota_us"): "50000",
        ("cpu", "cpu.shares"): "512",
        ("pids", "pids.max"): "33",
    }
    for (controller, file), value in wanted.items():
        assert cgroup_file(engine, name, controller, file).read_text().strip() == value, file
    shown = engine.cli(
        "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", name
    ).stdout
    assert shown == f"{32 << 20} on-failure\n"


def test_a_container_that_is_to_be_removed_can_be_restarted(engine: ours.Engine, name: str) -> None:
    script = "echo x >> /count; cat /count; exec sleep 1000"
    engine.cli("run", "-d", "--rm", "--name", name, "busybox", "sh", "-c", script)
    ours.until(lambda: engine.cli("logs", name).stdout == "x\n", "the first life said nothing")
    assert engine.cli("restart", "-t", "0", name).returncode == 0
    ours.until(lambda: engine.cli("logs", name).stdout == "x\nx\nx\n", "the second life said nothing")
    assert engine.cli("stop", "-t", "0", name).returncode == 0
    ours.until(lambda: engine.cli("inspect", name).returncode, "it is not removed")


def test_the_api_s_socket_and_the_user_s_credentials_in_a_container(
    engine: ours.Engine, name: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"auths": {"r.example": {"auth": "bWU6c2VjcmV0"}}, "other": 1}')
    script = (
        "ls -l /var/run/docker.sock; stat -c %a:%u $DOCKER_CONFIG/config.json; cat $DOCKER_CONFIG/config.json"
    )
    words = ("run", "--rm", "--name", name, "--use-api-socket", "busybox", "sh", "-c", script)
    done = engine.cli("--config", str(tmp_path), *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("srw")
    assert lines[1:] == ["600:0", '{"auths":{"r.example":{"auth":"bWU6c2VjcmV0"}}}']
    alone = engine.cli(
        "--config", str(tmp_path / "none"), "run", "--rm", "--use-api-socket", "busybox", "env"
    )
    assert alone.returncode == 0, alone.stderr
    assert "DOCKER_CONFIG" not in alone.stdout
