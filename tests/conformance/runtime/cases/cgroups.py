"""config-linux.md, "Control groups": where the group is, and every limit of every controller."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import CGROUPS, namespaces
from tests.conformance.runtime.case import DELETE, KILL, ONE, STOPPED, TWO, Case, Step, does, shell

_CLAUSE = "config-linux.md#control-groups"
_TOP = "/sys/fs/cgroup"
MIB = 1 << 20
_V2_SPACES = namespaces("pid", "mount", "network", "uts", "ipc", "cgroup")


def _limit(name: str, resources: dict[str, Any], *, one: tuple[str, str] | None = None,
           two: tuple[str, str] | None = None) -> list[Case]:  # fmt: skip
    """A limit read in its file: on version 1, on version 2, or on both."""
    change = {"+mounts": [CGROUPS], "linux": {"resources": resources}}
    found = []
    if one:
        file, value = one
        found.append(Case(name, _CLAUSE, change, f"cat {_TOP}/{file}", see=value, layouts=ONE))
    if two:
        file, value = two
        change = {"+mounts": [CGROUPS], "linux": {"resources": resources, "namespaces": _V2_SPACES}}
        found.append(Case(name, _CLAUSE, change, f"cat {_TOP}/{file}", see=value, layouts=TWO))
    return found


def _refused(name: str, resources: dict[str, Any], pattern: str, layouts: frozenset[str] = ONE | TWO) -> Case:
    return Case(name, _CLAUSE, {"linux": {"resources": resources}}, "true", refused=pattern, layouts=layouts)


def _memory(**values: Any) -> dict[str, Any]:
    return {"memory": values}


def _cpu(**values: Any) -> dict[str, Any]:
    return {"cpu": values}


_LIMITS = [
    *_limit("memory.limit", _memory(limit=64 * MIB), one=("memory/memory.limit_in_bytes", str(64 * MIB)),
            two=("memory.max", str(64 * MIB))),
    *_limit("memory.limit -1 is none", _memory(limit=-1), one=("memory/memory.limit_in_bytes",
                                                               "9223372036854771712"),
            two=("memory.max", "max")),
    *_limit("memory.reservation", _memory(reservation=32 * MIB),
            one=("memory/memory.soft_limit_in_bytes", str(32 * MIB)), two=("memory.low", str(32 * MIB))),
    *_limit("memory.swap counts both on version 1, swap alone on version 2",
            _memory(limit=64 * MIB, swap=96 * MIB), one=("memory/memory.memsw.limit_in_bytes", str(96 * MIB)),
            two=("memory.swap.max", str(32 * MIB))),
    *_limit("memory.swap -1 is none", _memory(limit=64 * MIB, swap=-1),
            one=("memory/memory.memsw.limit_in_bytes", "9223372036854771712"),
            two=("memory.swap.max", "max")),
    *_limit("memory.swap equal to the limit is no swap", _memory(limit=64 * MIB, swap=64 * MIB),
            one=("memory/memory.memsw.limit_in_bytes", str(64 * MIB)), two=("memory.swap.max", "0")),
    *_limit("memory.swappiness", _memory(swappiness=13), one=("memory/memory.swappiness", "13")),
    *_limit("memory.disableOOMKiller", _memory(disableOOMKiller=True),
            one=("memory/memory.oom_control | head -1", "oom_kill_disable 1")),
    *_limit("memory.useHierarchy", _memory(useHierarchy=True), one=("memory/memory.use_hierarchy", "1")),
    *_limit("cpu.shares", _cpu(shares=512), one=("cpu/cpu.shares", "512"), two=("cpu.weight", "20")),
    *_limit("cpu.shares, the lowest", _cpu(shares=2), one=("cpu/cpu.shares", "2"), two=("cpu.weight", "1")),
    *_limit("cpu.shares, the highest", _cpu(shares=262144), one=("cpu/cpu.shares", "262144"),
            two=("cpu.weight", "10000")),
    *_limit("cpu.quota and period", _cpu(quota=50000, period=200000), one=("cpu/cpu.cfs_quota_us", "50000"),
            two=("cpu.max", "50000 200000")),
    *_limit("cpu.period alone", _cpu(period=50000), one=("cpu/cpu.cfs_period_us", "50000"),
            two=("cpu.max", "max 50000")),
    *_limit("cpu.quota alone", _cpu(quota=40000), one=("cpu/cpu.cfs_quota_us", "40000"),
            two=("cpu.max", "40000 100000")),
    *_limit("cpu.quota -1 is none", _cpu(quota=-1), one=("cpu/cpu.cfs_quota_us", "-1"),
            two=("cpu.max", "max 100000")),
    *_limit("cpu.burst", _cpu(quota=50000, period=100000, burst=20000), one=("cpu/cpu.cfs_burst_us", "20000"),
            two=("cpu.max.burst", "20000")),
    *_limit("cpu.idle", _cpu(idle=1), one=("cpu/cpu.idle", "1"), two=("cpu.idle", "1")),
    *_limit("cpu.cpus", _cpu(cpus="0"), one=("cpuset/cpuset.cpus", "0"), two=("cpuset.cpus", "0")),
    *_limit("cpu.cpus, a range", _cpu(cpus="0-1"), one=("cpuset/cpuset.cpus", "0-1"),
            two=("cpuset.cpus", "0-1")),
    *_limit("cpu.mems", _cpu(mems="0"), one=("cpuset/cpuset.mems", "0"), two=("cpuset.mems", "0")),
    *_limit("cpus and mems are the parent's where none are given", {}, one=("cpuset/cpuset.mems", "0")),
    *_limit("pids.limit", {"pids": {"limit": 37}}, one=("pids/pids.max", "37"), two=("pids.max", "37")),
    *_limit("pids.limit -1 is none", {"pids": {"limit": -1}}, one=("pids/pids.max", "max"),
            two=("pids.max", "max")),
    *_limit("unified: a key as it is", {"unified": {"memory.high": str(40 * MIB)}},
            two=("memory.high", str(40 * MIB))),
    *_limit("unified: several keys", {"unified": {"pids.max": "33", "memory.min": "4096"}},
            two=("memory.min", "4096")),
    *_limit("a limit on huge pages", {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
            two=("hugetlb.2MB.max", str(4 * MIB))),
    *_limit("bytes read a second",
            {"blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": MIB}]}},
            one=("blkio/blkio.throttle.read_bps_device", f"254:0 {MIB}"),
            two=("io.max", f"254:0 rbps={MIB} wbps=max riops=max wiops=max")),
    *_limit("bytes written a second",
            {"blockIO": {"throttleWriteBpsDevice": [{"major": 254, "minor": 0, "rate": MIB}]}},
            one=("blkio/blkio.throttle.write_bps_device", f"254:0 {MIB}"),
            two=("io.max", f"254:0 rbps=max wbps={MIB} riops=max wiops=max")),
    *_limit("reads a second",
            {"blockIO": {"throttleReadIOPSDevice": [{"major": 254, "minor": 0, "rate": 77}]}},
            one=("blkio/blkio.throttle.read_iops_device", "254:0 77"),
            two=("io.max", "254:0 rbps=max wbps=max riops=77 wiops=max")),
    *_limit("writes a second",
            {"blockIO": {"throttleWriteIOPSDevice": [{"major": 254, "minor": 0, "rate": 78}]}},
            one=("blkio/blkio.throttle.write_iops_device", "254:0 78"),
            two=("io.max", "254:0 rbps=max wbps=max riops=max wiops=78")),
]  # fmt: skip

_EFFECTS = [
    Case("a process that takes too much memory is killed", _CLAUSE,
         {"linux": {"resources": _memory(limit=16 * MIB, swap=16 * MIB)}},
         "(head -c 100000000 /dev/zero | tail >/dev/null) 2>/dev/null; echo $?", see="137"),
    Case("a fork beyond pids.limit fails", _CLAUSE, {"linux": {"resources": {"pids": {"limit": 4}}}},
         "for n in 1 2 3 4 5 6; do sleep 9 & done; echo survived", code=2, see=""),
    Case("the processors are those of cpu.cpus", _CLAUSE, {"linux": {"resources": _cpu(cpus="1")}},
         "grep Cpus_allowed_list /proc/self/status", see="Cpus_allowed_list:\t1"),
    Case("nproc counts them", _CLAUSE, {"linux": {"resources": _cpu(cpus="0")}}, "nproc", see="1"),
]  # fmt: skip

_REFUSALS = [
    _refused("a memory limit that is lower than what a process needs is refused", _memory(limit=1),
             "memory|busy|small|OOM"),
    _refused("a memory limit beyond swap is refused", _memory(limit=64 * MIB, swap=32 * MIB), "memory|swap"),
    _refused("swappiness beyond 200 is refused", _memory(swappiness=300), "swappiness|invalid", ONE),
    _refused("a quota that is too short is refused", _cpu(quota=10), "cpu|quota|invalid"),
    _refused("a period that is too long is refused", _cpu(period=2000000), "cpu|period|invalid"),
    _refused("cpus that are not there are refused", _cpu(cpus="900-901"), "cpuset|cpus|invalid|range|space"),
    _refused("cpus that are no list are refused", _cpu(cpus="none"), "cpuset|cpus|invalid"),
    _refused("mems that are not there are refused", _cpu(mems="900"), "cpuset|mems|invalid|range|space"),
    _refused("a size of huge pages that is unknown is refused",
             {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]},
             "huge|3MB", TWO),
    _refused("a key of version 2 that is not there is refused", {"unified": {"memory.nonsense": "1"}},
             "memory.nonsense",
             TWO),
    _refused("a key of version 2 that leads elsewhere is refused", {"unified": {"../cgroup.procs": "1"}},
             "unified|invalid|cgroup.procs", TWO),
    _refused("unified on version 1 is refused", {"unified": {"memory.high": "1"}}, "unified", ONE),
]  # fmt: skip

_RUN = does("create", "--bundle", "@BUNDLE@", "@ID@")


def _places(
    name: str,
    path: str | None,
    *steps: Step,
    before: str = "",
    always: str = "",
    layouts: frozenset[str] = ONE | TWO,
) -> Case:
    return Case(name, "config-linux.md#cgroups-path", {"linux": {"cgroupsPath": path}}, "exec sleep 100",
                before=before,
                always=always, layouts=layouts, steps=steps)  # fmt: skip


_CREATED = does("create", "--bundle", "@BUNDLE@", "--pid-file", "@BUNDLE@/pid", "@ID@")
_GONE = (KILL, STOPPED, DELETE)
_LIST = "ls -d /sys/fs/cgroup/wharfie-conformance/@ID@ /sys/fs/cgroup/*/wharfie-conformance/@ID@ 2>/dev/null"

_PATHS = [
    _places("an absolute path is relative to where control groups are mounted", "@CGROUP@", _CREATED,
            shell("cat /proc/$(cat pid)/cgroup | grep -c wharfie-conformance/@ID@ | sed 's/^[1-9].*/some/'",
                  see="some"),
            *_GONE),
    _places("the path is made when it is not there", "@CGROUP@/deeper/still", _CREATED,
            shell("cat /proc/$(cat pid)/cgroup | grep -c @ID@/deeper/still$ | sed 's/^[1-9].*/some/'",
                  see="some"), *_GONE,
            always="rmdir /sys/fs/cgroup/*@CGROUP@/deeper /sys/fs/cgroup/*@CGROUP@"
                   " /sys/fs/cgroup@CGROUP@/deeper /sys/fs/cgroup@CGROUP@ 2>/dev/null"),
    _places("a container is in its group before it starts", "@CGROUP@", _CREATED,
            shell("cat /proc/$(cat pid)/cgroup | grep -c @ID@ | sed 's/^[1-9].*/some/'", see="some"), *_GONE),
    _places("a deleted container's group is gone", "@CGROUP@", _CREATED, *_GONE,
            shell(f"{_LIST} | wc -l", see="0")),
    _places("without a path the runtime chooses one", None, _CREATED,
            shell("cat /proc/$(cat pid)/cgroup | grep -c @ID@ | sed 's/^[1-9].*/some/'", see="some"), *_GONE),
    _places("a failed creation leaves no group", "@CGROUP@",
            shell("sed -i 's/\"cwd\": \"[^\"]*\"/\"cwd\": \"relative\"/' config.json"),
            does("create", "--bundle", "@BUNDLE@", "@ID@", fails="cwd|directory|absolute"),
            shell(f"{_LIST} | wc -l", see="0")),
]  # fmt: skip


def _update(name: str, words: tuple[str, ...], *, one: tuple[str, str], two: tuple[str, str]) -> list[Case]:
    found = []
    for layouts, (file, value) in ((ONE, one), (TWO, two)):
        group = (
            f"{_TOP}/{file.partition('/')[0]}@CGROUP@/{file.partition('/')[2]}"
            if layouts is ONE
            else (f"{_TOP}@CGROUP@/{file}")
        )
        found.append(Case(name, "runtime.md#operations", {}, "exec sleep 100", layouts=layouts,
                          steps=(_RUN, does("start", "@ID@"), does("update", *words, "@ID@"),
                                 shell(f"cat {group}", see=value), *_GONE)))  # fmt: skip
    return found


_UPDATES = [
    *_update("update changes the memory limit", ("--memory", str(70 * MIB)),
             one=("memory/memory.limit_in_bytes", str(70 * MIB)), two=("memory.max", str(70 * MIB))),
    *_update("update changes the reservation", ("--memory-reservation", str(50 * MIB)),
             one=("memory/memory.soft_limit_in_bytes", str(50 * MIB)), two=("memory.low", str(50 * MIB))),
    *_update("update changes the shares", ("--cpu-share", "300"), one=("cpu/cpu.shares", "300"),
             two=("cpu.weight", "12")),
    *_update("update changes quota and period", ("--cpu-quota", "30000", "--cpu-period", "60000"),
             one=("cpu/cpu.cfs_quota_us", "30000"), two=("cpu.max", "30000 60000")),
    *_update("update changes the number of processes", ("--pids-limit", "55"), one=("pids/pids.max", "55"),
             two=("pids.max", "55")),
    *_update("update changes the processors", ("--cpuset-cpus", "1"), one=("cpuset/cpuset.cpus", "1"),
             two=("cpuset.cpus", "1")),
]  # fmt: skip

_FILE = [
    Case("update takes a file of resources", "runtime.md#operations", {}, "exec sleep 100",
         before="echo '{\"pids\": {\"limit\": 66}, \"cpu\": {\"shares\": 256}}' >resources.json",
         steps=(_RUN, does("start", "@ID@"), does("update", "--resources", "@BUNDLE@/resources.json", "@ID@"),
                shell("cat /sys/fs/cgroup/pids@CGROUP@/pids.max /sys/fs/cgroup/cpu@CGROUP@/cpu.shares",
                      see="66\n256"),
                *_GONE), layouts=ONE),
    Case("update of a container that is not there is refused", "runtime.md#operations", {}, "true",
         steps=(does("update", "--pids-limit", "5", "nobody", fails="does not exist"),)),
    Case("update to what cannot be is refused and changes nothing", "runtime.md#operations",
         {"linux": {"resources": {"pids": {"limit": 44}}}}, "exec sleep 100", layouts=ONE,
         steps=(_RUN, does("start", "@ID@"), does("update", "--cpuset-cpus", "900", "@ID@",
                                                  fails="cpuset|cpus|invalid"),
                shell("cat /sys/fs/cgroup/pids@CGROUP@/pids.max", see="44"), *_GONE)),
]  # fmt: skip

CASES = [*_LIMITS, *_EFFECTS, *_REFUSALS, *_PATHS, *_UPDATES, *_FILE]
