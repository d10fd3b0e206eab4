"""What the command events says of a container, from control files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from wharfie.runtime import events
from wharfie.runtime.cgroups import stats_v1, stats_v2
from wharfie.runtime.cgroups.base import Cgroup

VERSION_ONE = {
    "cpuacct.usage": "900",
    "cpuacct.usage_percpu": "600 300 ",
    "cpuacct.usage_all": "cpu user system\n0 500 100\n1 250 50",
    "cpuset.cpus": "0-1,3",
    "cpuset.mems": "0",
    "memory.usage_in_bytes": "4096",
    "memory.max_usage_in_bytes": "8192",
    "memory.limit_in_bytes": "65536",
    "memory.failcnt": "0",
    "memory.stat": "cache 0\nrss 7",
    "memory.kmem.tcp.limit_in_bytes": "65536",
    "memory.kmem.tcp.usage_in_bytes": "0",
    "blkio.throttle.io_serviced_recursive": "8:0 Read 3\nTotal 3",
    "hugetlb.2MB.usage_in_bytes": "0",
    "hugetlb.2MB.max_usage_in_bytes": "2097152",
    "hugetlb.2MB.failcnt": "4",
}
VERSION_TWO = {
    "cpu.stat": "usage_usec 9\nuser_usec 6\nsystem_usec 3",
    "memory.current": "4096",
    "memory.max": "max",
    "memory.stat": "file 5",
    "memory.swap.current": "0",
    "memory.swap.max": "max",
    "memory.swap.events": "high 0\nmax 0\nfail 2",
    "hugetlb.2MB.current": "2097152",
    "hugetlb.2MB.events": "max 4",
}


class Group:
    """A control group that is a table of files."""

    def __init__(self, files: dict[str, str], module: Any) -> None:
        self._files = files
        self._module = module

    def read(self, controller: str, name: str) -> str:
        return self._files.get(name, "")

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self._module.read_stats(self.read)
        return found


@pytest.fixture(autouse=True)
def _one_size_of_huge_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hugepages-2048kB").mkdir()
    monkeypatch.setattr(events, "_HUGE", str(tmp_path))


def said(files: dict[str, str], module: Any) -> dict[str, Any]:
    return events.stats(cast(Cgroup, Group(files, module)))


def test_version_one_counts_each_processor() -> None:
    assert said(VERSION_ONE, stats_v1)["cpu"]["usage"] == {
        "total": 900,
        "percpu": [600, 300],
        "percpu_kernel": [100, 50],
        "percpu_user": [500, 250],
    }


def test_memory_of_version_one_leaves_out_what_is_zero_save_limits_and_failures() -> None:
    memory = said(VERSION_ONE, stats_v1)["memory"]
    assert memory["usage"] == {"limit": 65536, "usage": 4096, "max": 8192, "failcnt": 0}
    assert memory["kernelTCP"] == {"limit": 65536, "failcnt": 0}
    assert memory["raw"] == {"cache": 0, "rss": 7}
    assert "cache" not in memory


def test_only_lists_of_disks_that_hold_something_are_said() -> None:
    entry = {"major": 8, "op": "Read", "value": 3}
    assert said(VERSION_ONE, stats_v1)["blkio"] == {"ioServicedRecursive": [entry]}


def test_huge_pages_of_both_versions() -> None:
    assert said(VERSION_ONE, stats_v1)["hugetlb"] == {"2MB": {"max": 2097152, "failcnt": 4}}
    assert said(VERSION_TWO, stats_v2)["hugetlb"] == {"2MB": {"usage": 2097152, "failcnt": 4}}


def test_version_two_does_not_count_each_processor() -> None:
    assert said(VERSION_TWO, stats_v2)["cpu"]["usage"] == {"total": 9000, "kernel": 3000, "user": 6000}


def test_memory_of_version_two() -> None:
    memory = said(VERSION_TWO, stats_v2)["memory"]
    assert memory["cache"] == 5
    assert memory["swap"] == {"limit": (1 << 64) - 1, "failcnt": 2}
    assert memory["usage"]["usage"] == 4096


def test_a_group_without_controllers_says_so_in_every_part() -> None:
    for module in (stats_v1, stats_v2):
        found = said({}, module)
        assert (found["cpu"], found["memory"], found["blkio"]) == ({"usage": {}, "throttling": {}}, {}, {})
