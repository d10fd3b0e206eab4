"""Namespaces made and joined, in combinations; user namespaces; devices that move."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, make_spec
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime.join import Target, exec_process
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.parent import Container

ALL = ("pid", "network", "mount", "ipc", "uts", "cgroup")
RANGES = [
    {"containerID": 0, "hostID": 100000, "size": 1},
    {"containerID": 1, "hostID": 200000, "size": 999},
    {"containerID": 1000, "hostID": 300000, "size": 1},
    {"containerID": 2000, "hostID": 400000, "size": 500},
]
MAPPED = {"uidMappings": RANGES, "gidMappings": RANGES}
FILES = {"network": "net", "mount": "mnt"}


def namespaces(*kinds: str, **paths: str) -> list[dict[str, str]]:
    return [{"type": kind} for kind in kinds] + [{"type": kind, "path": path} for kind, path in paths.items()]


def own_box(box: Box, directory: Path) -> Box:
    directory.mkdir()
    return Box(directory)


@pytest.fixture
def other(box: Box, tmp_path: Path) -> Iterator[tuple[Box, Container]]:
    """A container in a user namespace, whose namespaces others join."""
    made = own_box(box, tmp_path / "other")
    spec = make_spec(["sleep", "1000"], linux={"namespaces": namespaces(*ALL, "user"), **MAPPED})
    container = made.start(spec)
    yield made, container
    pidfd_send_signal(container.pidfd, 9)
    wait_pidfd(container.pidfd)
    container.destroy()
    container.close()


def files_of(pid: int | str) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{FILES.get(kind, kind)}") for kind in (*ALL, "user")}


def test_any_number_of_ranges_and_limits_from_outside(box: Box) -> None:
    done = box.run(
        "cat /proc/self/uid_map /proc/self/oom_score_adj; ulimit -n; touch /tmp/x; stat -c %u /tmp/x; id -u",
        linux={"namespaces": namespaces(*ALL, "user"), **MAPPED},
        process={
            "oomScoreAdj": 500,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
            "user": {"uid": 2100, "gid": 5},
        },
        launch={},
    )
    lines = [line.split() for line in done.output.splitlines()]
    assert lines[:4] == [[str(r["containerID"]), str(r["hostID"]), str(r["size"])] for r in RANGES]
    assert lines[4:] == [["500"], ["77"], ["2100"], ["2100"]] or lines[4:6] == [["500"], ["77"]]


@pytest.mark.parametrize(
    "kinds", [(), ("network",), ("ipc", "uts"), ("pid",), ("pid", "network", "ipc", "uts")]
)
def test_a_user_namespace_by_path_with_others_new_or_joined(
    box: Box, other: tuple[Box, Container], kinds: tuple[str, ...]
) -> None:
    theirs = files_of(other[1].pid)
    paths = {kind: f"/proc/{other[1].pid}/ns/{FILES.get(kind, kind)}" for kind in (*kinds, "user")}
    listed = namespaces(*(kind for kind in ALL if kind not in kinds), **paths)
    # a directory of somebody else's, as an engine prepares it: nothing is mapped for it
    for top, _directories, names in os.walk(box.root):
        for path in (top, *(f"{top}/{name}" for name in names)):
            os.chown(path, 100000, 100000, follow_symlinks=False)
    spec = make_spec(["sleep", "1000"], linux={"namespaces": listed}, root={"path": str(box.root)})
    container = box.start(spec, rootfs=None)
    try:
        ours = files_of(container.pid)
        assert {kind for kind in ours if ours[kind] == theirs[kind]} == {*kinds, "user"}
        assert all(ours[kind] != mine for kind, mine in files_of("self").items())
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert "Uid:\t100000\t100000" in status
    finally:
        pidfd_send_signal(container.pidfd, 9)
        wait_pidfd(container.pidfd)
        container.destroy()
        container.close()


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_a_namespace_by_path_without_a_user_namespace(box: Box, tmp_path: Path, kind: str) -> None:
    first = own_box(box, tmp_path / "other")
    holder = first.start(make_spec(["sleep", "1000"]))
    path = f"/proc/{holder.pid}/ns/{FILES.get(kind, kind)}"
    try:
        listed = namespaces(*(name for name in ALL if name != kind), **{kind: path})
        done = box.run(["readlink", f"/proc/self/ns/{FILES.get(kind, kind)}"], linux={"namespaces": listed})
        assert done.output.strip() == os.readlink(path)
    finally:
        pidfd_send_signal(holder.pidfd, 9)
        wait_pidfd(holder.pidfd)
        holder.destroy()
        holder.close()


def test_a_further_process_in_a_user_namespace(other: tuple[Box, Container]) -> None:
    box, container = other
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    target = Target(
        id=box.id, pid=container.pid, pidfd=container.pidfd, cgroup=box.cgroup, spec=container.spec
    )
    process = {
        "args": ["sh", "-c", "id -u; readlink /proc/self/ns/user; ulimit -n; hostname"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "user": {"uid": 1000, "gid": 1000},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 60, "hard": 60}],
    }
    made = exec_process(target, process, stdio=(null, writer, writer))
    os.close(writer)
    os.close(null)
    with os.fdopen(reader) as stream:
        lines = stream.read().split()
    assert wait_pidfd(made.pidfd) == 0
    made.close()
    assert lines == ["1000", os.readlink(f"/proc/{container.pid}/ns/user"), "60", "box"]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (namespaces("pid"), "needs a mount namespace"),
        (namespaces("mount", "mount"), "mount is listed twice"),
        (namespaces("mount", "nonsense"), "no namespace of type 'nonsense'"),
        (namespaces("mount", network="/nowhere"), "/nowhere: no such file"),
        (namespaces("mount", network="/etc/passwd"), "/etc/passwd is not a network namespace"),
        (namespaces("mount", network="/proc/self/ns/uts"), "is not a network namespace"),
        (namespaces("pid", mount="/proc/self/ns/mnt"), "of the runtime itself"),
        (namespaces("mount", user="/proc/self/ns/user"), "of the runtime itself"),
        (namespaces("mount", "user"), "needs uid and gid mappings"),
    ],
)
def test_what_cannot_be_joined_is_named(box: Box, listed: list[dict[str, str]], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        box.start(make_spec(["true"], hostname="", linux={"namespaces": listed}))


def test_clocks_have_offsets(box: Box) -> None:
    offsets = {"boottime": {"secs": 1_000_000, "nanosecs": 0}, "monotonic": {"secs": 5, "nanosecs": 7}}
    listed = namespaces(*ALL, "time")
    done = box.run(
        "cat /proc/uptime /proc/self/timens_offsets", linux={"namespaces": listed, "timeOffsets": offsets}
    )
    uptime, *lines = done.output.splitlines()
    assert float(uptime.split()[0]) - time.clock_gettime(time.CLOCK_BOOTTIME) > 999_000
    assert sorted(line.split() for line in lines) == [["boottime", "1000000", "0"], ["monotonic", "5", "7"]]


@pytest.fixture
def device() -> Iterator[str]:
    """A device of the host with an address."""
    name = f"w{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    subprocess.run(["ip", "addr", "add", "10.99.88.7/24", "dev", name], check=True)
    yield name
    subprocess.run(["ip", "link", "del", f"{name}p"], check=False, capture_output=True)


def test_a_device_moves_in_with_its_address(box: Box, device: str) -> None:
    done = box.run(
        "ip addr show dev inner",
        linux={"namespaces": namespaces(*ALL), "netDevices": {device: {"name": "inner"}}},
    )
    assert "10.99.88.7/24" in done.output
    assert "UP" in done.output
    assert done.code == 0


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ({"nosuchdevice0": {}}, "netDevices: nosuchdevice0"),
        ({"lo": {"name": "a/b"}}, "'a/b' cannot be the name"),
        ({"x" * 16: {}}, "cannot be the name"),
    ],
)
def test_a_device_that_cannot_move(box: Box, devices: dict[str, Any], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        box.start(make_spec(["true"], linux={"namespaces": namespaces(*ALL), "netDevices": devices}))
