"""OCI resources as writes, for both versions, without a kernel."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.runtime.cgroups import v1_limits, v2_limits
from wharfie.runtime.cgroups.devices import Policy
from wharfie.runtime.cgroups.writes import Write

MIB = 1 << 20
UNLIMITED = str((1 << 63) - 4096)
SEALED = {"allow": False, "access": "rwm"}


def shown(writes: list[Write]) -> list[str]:
    return [f"{item.file}={item.value}" for item in writes]


def one(resources: dict[str, Any], **files: str) -> list[str]:
    def read(_controller: str, name: str) -> str:
        return files.get(name.replace(".", "_"), "")

    return shown(v1_limits.plan(resources, read, new=False))


def two(resources: dict[str, Any], **files: str) -> list[str]:
    return shown(v2_limits.plan(resources, lambda _controller, name: files.get(name.replace(".", "_"), "")))


def test_nothing_asked_is_nothing_written() -> None:
    assert one({}) == []
    assert two({}) == []


def test_cpu_time() -> None:
    resources = {"cpu": {"quota": 20000, "period": 100000, "shares": 512, "cpus": "0-1", "mems": "0"}}
    assert one(resources) == [
        "cpu.shares=512",
        "cpu.cfs_period_us=100000",
        "cpu.cfs_quota_us=20000",
        "cpuset.cpus=0-1",
        "cpuset.mems=0",
    ]
    assert two(resources) == ["cpu.weight=20", "cpu.max=20000 100000", "cpuset.cpus=0-1", "cpuset.mems=0"]


def test_a_period_alone_keeps_the_quota() -> None:
    assert two({"cpu": {"period": 50000}}, cpu_max="20000 100000") == ["cpu.max=20000 50000"]
    assert two({"cpu": {"quota": -1}}, cpu_max="20000 100000") == ["cpu.max=max 100000"]


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (0x7FFFFFFF, 10000)])
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert v2_limits.weight_of_shares(shares) == weight


def test_memory_grows_from_the_top_and_shrinks_from_the_bottom() -> None:
    resources = {"memory": {"limit": 256 * MIB, "swap": 512 * MIB}}
    limit, both = f"memory.limit_in_bytes={256 * MIB}", f"memory.memsw.limit_in_bytes={512 * MIB}"
    assert one(resources, memory_memsw_limit_in_bytes=UNLIMITED) == [limit, both]
    assert one(resources, memory_memsw_limit_in_bytes=str(64 * MIB)) == [both, limit]
    assert two(resources) == [f"memory.swap.max={256 * MIB}", f"memory.max={256 * MIB}"]


def test_no_limit_of_memory_lifts_that_of_swap() -> None:
    writes = one({"memory": {"limit": -1}}, memory_memsw_limit_in_bytes=str(64 * MIB))
    assert writes == ["memory.memsw.limit_in_bytes=-1", "memory.limit_in_bytes=-1"]
    assert two({"memory": {"limit": -1}}, memory_swap_max="0") == ["memory.swap.max=max", "memory.max=max"]


def test_swap_that_is_not_counted_is_no_obstacle_to_unlimited() -> None:
    assert two({"memory": {"limit": MIB, "swap": -1}}) == [f"memory.max={MIB}"]


def test_version_two_refuses_what_it_cannot() -> None:
    for memory, option in (
        ({"swappiness": 10}, "--memory-swappiness"),
        ({"disableOOMKiller": True}, "--oom"),
    ):
        with pytest.raises(NotSupported, match=option):
            two({"memory": memory})
    with pytest.raises(InvalidArgument, match="--memory-swap needs --memory"):
        two({"memory": {"swap": MIB}})
    with pytest.raises(NotSupported, match="unified"):
        one({"unified": {"memory.high": "1"}})


def test_block_devices() -> None:
    device = {"major": 8, "minor": 16, "rate": 1048576}
    resources = {
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [device], "throttleWriteIOPSDevice": [device]}
    }
    assert one(resources) == [
        "blkio.weight=500",
        "blkio.throttle.read_bps_device=8:16 1048576",
        "blkio.throttle.write_iops_device=8:16 1048576",
    ]
    assert one(resources, blkio_bfq_weight="100")[0] == "blkio.bfq.weight=500"
    assert two(resources) == ["io.weight=4950", "io.max=8:16 rbps=1048576", "io.max=8:16 wiops=1048576"]
    assert two(resources, io_bfq_weight="default 100")[0] == "io.bfq.weight=500"


def test_pids_and_what_names_a_file() -> None:
    assert one({"pids": {"limit": -1}}) == two({"pids": {"limit": -1}}) == ["pids.max=max"]
    assert two({"unified": {"memory.high": "1M"}}) == ["memory.high=1M"]
    for name in ("../memory.max", "cgroup.procs"):
        with pytest.raises(InvalidArgument):
            two({"unified": {name: "1"}})


def texts(*rules: dict[str, Any]) -> list[str]:
    return [rule.text() for rule in Policy(list(rules)).exceptions()]


def test_device_rules_end_with_what_every_container_has() -> None:
    assert "c 1:3 rwm" in texts(SEALED)
    assert "c 5:2 rwm" in texts(SEALED)
    policy = Policy([{"allow": True, "access": "rwm"}])
    assert policy.allow_all
    assert policy.rules == []


def test_a_later_device_rule_wins() -> None:
    fuse = {"type": "c", "major": 10, "minor": 229}
    allowed = {**fuse, "allow": True, "access": "rwm"}
    assert "c 10:229 rwm" in texts(SEALED, allowed)
    assert "c 10:229 rw" in texts(SEALED, allowed, {**fuse, "allow": False, "access": "m"})
    assert not [text for text in texts(SEALED, allowed, {**fuse, "allow": False}) if "10:229" in text]
    assert "c 10:229 rwm" in texts(SEALED, allowed, {**fuse, "allow": False}, allowed)


def test_part_of_a_device_rule_cannot_be_taken_back_on_version_one() -> None:
    every = {"allow": True, "type": "c", "major": 10, "access": "rwm"}
    with pytest.raises(InvalidArgument, match="contradict"):
        texts(SEALED, every, {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "r"})


@pytest.mark.parametrize("rule", [{"allow": True, "type": "x"}, {"allow": True, "type": "c", "access": "rx"}])
def test_device_rules_that_make_no_sense(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Policy([rule])
