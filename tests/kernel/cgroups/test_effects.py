"""Limits act: each test does what the limit is there to stop, on whichever version this machine has."""

from __future__ import annotations

import errno
import mmap
import os
import select
import signal
import time
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.cgroups.inside import Inside, run_inside
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.runtime.cgroups.base import Cgroup
from wharfie.runtime.cgroups.errors import CgroupError

MIB = 1 << 20
SEALED = [{"allow": False, "access": "rwm"}]


def spin() -> None:
    while True:
        pass


def test_a_fork_bomb_meets_the_pids_limit(cgroup: Cgroup) -> None:
    cgroup.create({"pids": {"limit": 12}})

    def bomb() -> int:
        children = 0
        while True:
            try:
                pid = os.fork()
            except BlockingIOError:
                return children
            if pid == 0:
                signal.pause()
            children += 1
            if children > 50:
                return 77

    assert run_inside(cgroup, bomb) == 11
    assert cgroup.stats()["pids"]["limit"] == 12
    cgroup.kill_all(signal.SIGKILL)


def test_a_memory_hog_is_killed_and_counted(cgroup: Cgroup) -> None:
    cgroup.create({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}})
    notifier = cgroup.oom_notifier()
    assert notifier is not None

    def hog() -> None:
        memory = mmap.mmap(-1, 256 * MIB)
        for page in range(0, len(memory), 4096):
            memory[page] = 1

    try:
        assert cgroup.oom_kills() == 0
        assert run_inside(cgroup, hog) == -signal.SIGKILL
        assert cgroup.oom_kills() == 1
        poll = select.poll()
        poll.register(notifier, select.POLLIN | select.POLLPRI)
        assert poll.poll(5000), "the notifier says nothing"
        cgroup.oom_acknowledge(notifier)
    finally:
        os.close(notifier)
    assert cgroup.stats()["memory"]["limit"] == 32 * MIB
    assert cgroup.stats()["memory"]["max_usage"] <= 32 * MIB


def test_a_quota_of_a_fifth_gives_a_fifth_of_a_cpu(cgroup: Cgroup) -> None:
    cgroup.create({"cpu": {"quota": 20_000, "period": 100_000}})
    busy = Inside(cgroup, spin)
    begin = time.monotonic_ns()
    before = cgroup.stats()["cpu"]["usage"]
    select.select([busy.pidfd], [], [], 1.5)
    # a machine that is busy may give less than is allowed: what stops it shows that all was used
    ours.until(lambda: cgroup.stats()["cpu"]["throttled_periods"] > 3, "it is never stopped")
    used = cgroup.stats()["cpu"]["usage"] - before
    share = used / (time.monotonic_ns() - begin)
    cgroup.kill_all(signal.SIGKILL)
    assert busy.wait() == -signal.SIGKILL
    assert 0 < share < 0.26


def test_a_cpuset_holds_processes_to_its_cpus(cgroup: Cgroup) -> None:
    last = max(os.sched_getaffinity(0))
    cgroup.create({"cpu": {"cpus": str(last)}})
    assert run_inside(cgroup, lambda: int(os.sched_getaffinity(0) != {last})) == 0


def test_without_a_cpuset_all_cpus_are_inherited(cgroup: Cgroup) -> None:
    cgroup.create({})
    count = os.cpu_count()
    assert run_inside(cgroup, lambda: int(len(os.sched_getaffinity(0)) != count)) == 0


def attempt(path: str, flags: int) -> int:
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return error.errno or -1
    return 0


def test_only_the_devices_of_the_rules_open(cgroup: Cgroup, tmp_path: Path) -> None:
    kmsg, hidden = str(tmp_path / "kmsg"), str(tmp_path / "memory")
    os.mknod(kmsg, 0o600 | 0o020000, os.makedev(1, 11))
    os.mknod(hidden, 0o600 | 0o020000, os.makedev(1, 1))
    cgroup.create(
        {"devices": [*SEALED, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}]}
    )

    def work() -> int:
        assert attempt("/dev/null", os.O_RDWR) == 0
        assert attempt("/dev/zero", os.O_RDWR) == 0
        assert attempt(kmsg, os.O_RDONLY) == 0
        assert attempt(kmsg, os.O_WRONLY) == errno.EPERM
        assert attempt(hidden, os.O_RDONLY) == errno.EPERM
        # a node may be made, it opens nothing
        os.mknod(str(tmp_path / "made"), 0o600 | 0o020000, os.makedev(1, 1))
        assert attempt(str(tmp_path / "made"), os.O_RDONLY) == errno.EPERM
        return 0

    assert run_inside(cgroup, work) == 0


def test_devices_change_under_a_live_container(cgroup: Cgroup, tmp_path: Path) -> None:
    node = str(tmp_path / "kmsg")
    os.mknod(node, 0o600 | 0o020000, os.makedev(1, 11))
    cgroup.create({"devices": SEALED})
    assert run_inside(cgroup, lambda: attempt(node, os.O_RDONLY)) == errno.EPERM
    cgroup.set({"devices": [*SEALED, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"}]})
    assert run_inside(cgroup, lambda: attempt(node, os.O_RDONLY)) == 0
    cgroup.set({"devices": [{"allow": True, "access": "rwm"}]})
    assert run_inside(cgroup, lambda: attempt(node, os.O_RDWR)) == 0
    cgroup.set({"devices": SEALED})
    assert run_inside(cgroup, lambda: attempt(node, os.O_RDONLY)) == errno.EPERM


def test_a_frozen_group_stands_still(cgroup: Cgroup) -> None:
    cgroup.create({})
    busy = Inside(cgroup, spin)
    cgroup.freeze()
    assert cgroup.frozen()
    before = cgroup.stats()["cpu"]["usage"]
    select.select([busy.pidfd], [], [], 0.2)
    assert cgroup.stats()["cpu"]["usage"] - before < 20_000_000
    cgroup.thaw()
    assert not cgroup.frozen()
    os.kill(busy.pid, signal.SIGKILL)
    assert busy.wait() == -signal.SIGKILL


def test_killing_catches_what_forks_meanwhile(cgroup: Cgroup) -> None:
    cgroup.create({"pids": {"limit": 60}})

    def forker() -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                if os.fork() == 0 and os.fork() > 0:
                    os._exit(0)
            except BlockingIOError:
                continue

    first = Inside(cgroup, forker)
    while len(cgroup.procs()) < 20:
        time.sleep(0.001)
    cgroup.kill_all(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    cgroup.destroy()
    assert not cgroup.exists()


def test_a_frozen_container_is_destroyed_all_the_same(cgroup: Cgroup) -> None:
    cgroup.create({})
    busy = Inside(cgroup, spin)
    cgroup.freeze()
    cgroup.destroy()
    assert busy.wait() == -signal.SIGKILL
    assert not cgroup.exists()


def test_groups_a_container_made_go_with_it(cgroup: Cgroup) -> None:
    cgroup.create({})
    for directory in cgroup.directories():
        os.makedirs(f"{directory}/deeper/still")
    cgroup.destroy()
    assert not cgroup.exists()


def test_a_signal_reaches_every_process(cgroup: Cgroup) -> None:
    cgroup.create({})
    sleepers = [Inside(cgroup, lambda: signal.pause()) for _ in range(3)]
    while len(cgroup.procs()) < 3:
        time.sleep(0.001)
    cgroup.kill_all(signal.SIGTERM)
    assert [sleeper.wait() for sleeper in sleepers] == [-signal.SIGTERM] * 3


def test_memory_limits_grow_and_shrink(cgroup: Cgroup) -> None:
    cgroup.create({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
    for size in (256 * MIB, 32 * MIB, 128 * MIB):
        cgroup.set({"memory": {"limit": size, "swap": size}})
        assert cgroup.stats()["memory"]["limit"] == size
    cgroup.set({"memory": {"limit": -1}})
    assert cgroup.stats()["memory"]["limit"] > 1 << 60


def test_too_little_memory_for_what_is_used_is_refused(cgroup: Cgroup) -> None:
    cgroup.create({})

    def use() -> None:
        memory = mmap.mmap(-1, 24 * MIB)
        for page in range(0, len(memory), 4096):
            memory[page] = 1
        signal.pause()

    user = Inside(cgroup, use)
    while cgroup.stats()["memory"]["usage"] < 24 * MIB:
        time.sleep(0.001)
    with pytest.raises(InvalidArgument, match="too small"):
        cgroup.set({"memory": {"limit": 4 * MIB, "checkBeforeUpdate": True}})
    cgroup.kill_all(signal.SIGKILL)
    assert user.wait() == -signal.SIGKILL


def test_a_refused_limit_leaves_nothing(cgroup: Cgroup) -> None:
    with pytest.raises(InvalidArgument, match=r"--cpuset-cpus 4000 was refused") as caught:
        cgroup.create({"cpu": {"cpus": "4000"}})
    assert isinstance(caught.value, CgroupError)
    assert not cgroup.exists()


def test_less_swap_than_memory_is_refused(cgroup: Cgroup) -> None:
    with pytest.raises(InvalidArgument, match="must not be less than --memory"):
        cgroup.create({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}})
    assert not cgroup.exists()


def test_a_group_in_use_is_not_taken_over(cgroup: Cgroup) -> None:
    cgroup.create({})
    sleeper = Inside(cgroup, lambda: signal.pause())
    while not cgroup.procs():
        time.sleep(0.001)
    with pytest.raises(CgroupError, match="in use"):
        cgroup.create({})
    cgroup.kill_all(signal.SIGKILL)
    sleeper.wait()


def test_a_weight_the_kernel_lacks_is_said(cgroup: Cgroup) -> None:
    cgroup.create({})
    names = ("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")
    files = [Path(group, name) for group in cgroup.directories() for name in names]
    there = [file for file in files if file.exists()]
    if there:
        cgroup.set({"blockIO": {"weight": 500}})
        assert there[0].read_text().split()[-1] in ("500", "4950")
    else:
        with pytest.raises(NotSupported, match="--blkio-weight"):
            cgroup.set({"blockIO": {"weight": 500}})


def test_a_hierarchy_the_kernel_lacks_is_said(cgroup: Cgroup) -> None:
    with pytest.raises(NotSupported, match="hugepageLimits is not possible here"):
        cgroup.create({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]})
    assert not cgroup.exists()


def whole_disk(path: Path) -> tuple[int, int]:
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    real = os.path.realpath(f"/sys/dev/block/{number}")
    if os.path.exists(f"{real}/partition"):
        real = os.path.dirname(real)
    major, minor = Path(f"{real}/dev").read_text().strip().split(":")
    return int(major), int(minor)


def test_direct_writes_keep_to_the_throttle(cgroup: Cgroup, tmp_path: Path) -> None:
    """4 MiB at 4 MiB per second take about a second."""
    major, minor = whole_disk(tmp_path)
    throttle = {"major": major, "minor": minor, "rate": 4 * MIB}
    cgroup.create({"blockIO": {"throttleWriteBpsDevice": [throttle]}})

    def write() -> None:
        fd = os.open(tmp_path / "data", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
        block = mmap.mmap(-1, MIB // 4)
        for _ in range(16):
            os.write(fd, block)

    begin = time.monotonic()
    assert run_inside(cgroup, write) == 0
    assert 0.6 < time.monotonic() - begin < 5
    written = [
        entry["value"]
        for entry in cgroup.stats()["blkio"]["io_service_bytes_recursive"]
        if entry["op"].lower() == "write" and (entry["major"], entry["minor"]) == (major, minor)
    ]
    assert written == [4 * MIB]
