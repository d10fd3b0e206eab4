"""Scheduler, disk priority, affinity, personality and memory policy, as the kernel reports them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, make_spec
from wharfie.linux.process import fork_into, pidfd_send_signal, wait_pidfd
from wharfie.runtime.join import Target, exec_process
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.traits import read_traits


def test_the_scheduler_and_the_disk_priority_are_the_configured_ones(box: Box) -> None:
    container = box.start(
        make_spec(
            ["sleep", "100"],
            process={
                "scheduler": {"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
            },
        )
    )
    try:
        assert os.sched_getscheduler(container.pid) == os.SCHED_BATCH | os.SCHED_RESET_ON_FORK
        assert os.getpriority(os.PRIO_PROCESS, container.pid) == 5
    finally:
        end(container)


def end(container: Any) -> None:
    pidfd_send_signal(container.pidfd, 9)
    wait_pidfd(container.pidfd)
    container.destroy()
    container.close()


def test_a_real_time_policy_reaches_the_kernel() -> None:
    # not in a container: a control group of version 1 has no real time of its own until it is given some
    (trait,) = read_traits({"scheduler": {"policy": "SCHED_FIFO", "priority": 7}}, {})

    def child() -> None:
        trait.apply()
        same = os.sched_getscheduler(0) == os.SCHED_FIFO and os.sched_getparam(0).sched_priority == 7
        os._exit(0 if same else 1)

    _pid, pidfd = fork_into(child)
    assert wait_pidfd(pidfd) == 0
    os.close(pidfd)


def test_a_deadline_that_cannot_be_is_refused_by_the_field(box: Box) -> None:
    broken = {"policy": "SCHED_DEADLINE", "runtime": 9_000_000, "deadline": 1_000_000, "period": 1_000_000}
    with pytest.raises(LaunchError, match=r"process\.scheduler cannot be applied: invalid argument"):
        box.start(make_spec(["true"], process={"scheduler": broken}))


@pytest.mark.parametrize(("domain", "machine"), [("LINUX", "x86_64"), ("LINUX32", "i686")])
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the answers are x86_64's")
def test_the_personality_decides_what_uname_says(box: Box, domain: str, machine: str) -> None:
    done = box.run(["uname", "-m"], linux={"personality": {"domain": domain}})
    assert done.output.strip() == machine


def test_memory_comes_from_the_nodes_of_the_policy(box: Box) -> None:
    policy = {"mode": "MPOL_BIND", "nodes": "0"}
    if not os.path.exists("/proc/self/numa_maps"):
        with pytest.raises(LaunchError, match=r"linux\.memoryPolicy cannot be applied"):
            box.start(make_spec(["true"], linux={"memoryPolicy": policy}))
        return
    done = box.run(["cat", "/proc/self/numa_maps"], linux={"memoryPolicy": policy})
    assert "bind:0" in done.output
    with pytest.raises(LaunchError, match=r"linux\.memoryPolicy cannot be applied"):
        box.start(make_spec(["true"], linux={"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "4000"}}))


def test_a_further_process_runs_on_the_processors_that_it_names(box: Box) -> None:
    container = box.start(make_spec(["sleep", "100"]))
    target = Target(
        id=box.id, pid=container.pid, pidfd=container.pidfd, cgroup=box.cgroup, spec=container.spec
    )
    try:
        for affinity, expected in (
            ({"initial": "0", "final": "1"}, {1}),
            ({"initial": "0"}, {0}),
            ({"final": "0-1"}, {0, 1}),
        ):
            process = {**container.spec["process"], "execCPUAffinity": affinity}
            made = exec_process(target, process)
            assert os.sched_getaffinity(made.pid) == expected
            pidfd_send_signal(made.pidfd, 9)
            wait_pidfd(made.pidfd)
            made.close()
        with pytest.raises(LaunchError, match=r"process\.execCPUAffinity\.final"):
            exec_process(target, {**process, "execCPUAffinity": {"final": "4000"}})
    finally:
        end(container)
