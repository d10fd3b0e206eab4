"""The command events: statistics every few seconds and word of memory running out, in runc's JSON."""

from __future__ import annotations

import posix as os
import select
import time

from wharfie.errors import Conflict, InvalidArgument
from wharfie.runtime.cgroups.files import flat_keyed, number
from wharfie.runtime.state import Store
from wharfie.runtime.views import compact, say
from wharfie.support import paths
from wharfie.support.units import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup

_BLKIO = {
    "ioServiceBytesRecursive": "io_service_bytes_recursive",
    "ioServicedRecursive": "io_serviced_recursive",
    "ioQueueRecursive": "io_queue_recursive",
    "ioServiceTimeRecursive": "io_service_time_recursive",
    "ioWaitTimeRecursive": "io_wait_time_recursive",
    "ioMergedRecursive": "io_merged_recursive",
    "ioTimeRecursive": "io_time_recursive",
    "sectorsRecursive": "sectors_recursive",
}
_CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)
_HUGE = "/sys/kernel/mm/hugepages"


def do_events(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``events``."""
    record = store.load(words[0])
    try:
        interval = parse_duration(options.get("interval", "5s"))
    except ValueError as error:
        raise InvalidArgument(f"invalid value for interval: {error}") from None
    if interval <= 0:
        raise InvalidArgument("duration interval must be greater than 0")
    if record.status() == "stopped":
        raise Conflict(f"container with id {record.id} is not running")
    cgroup = record.open_cgroup()
    if options.get("stats"):
        _tell("stats", record.id, stats(cgroup))
        return 0
    pidfd = record.pidfd()
    oom = cgroup.oom_notifier()
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if oom is not None:
        poller.register(oom, select.POLLIN | select.POLLPRI)
    killed = cgroup.oom_kills()
    due = time.monotonic() + interval / 1e9
    while True:
        ready = {fd for fd, _event in poller.poll(max(0, due - time.monotonic()) * 1000)}
        if oom is not None and oom in ready:
            cgroup.oom_acknowledge(oom)
        if oom in ready or pidfd in ready:
            # the death may be seen before its cause; and the end of the group is an event of version 1 too
            now = cgroup.oom_kills()
            if now > killed:
                _tell("oom", record.id, None)
            killed = now
        if pidfd in ready:
            return 0
        if time.monotonic() >= due:
            _tell("stats", record.id, stats(cgroup))
            due += interval / 1e9


def _tell(kind: str, name: str, data: Any) -> None:
    event = {"type": kind, "id": name}
    say(compact(event if data is None else {**event, "data": data}))


def stats(cgroup: Cgroup) -> dict[str, Any]:
    """What a container uses, in runc's form."""
    raw = cgroup.stats()
    cpu = raw["cpu"]
    usage = {
        "total": cpu["usage"],
        "percpu": cpu["percpu"],
        "percpu_kernel": cpu["percpu_system"],
        "percpu_user": cpu["percpu_user"],
        "kernel": cpu["system"],
        "user": cpu["user"],
    }
    throttling = {
        "periods": cpu["periods"],
        "throttledPeriods": cpu["throttled_periods"],
        "throttledTime": cpu["throttled_time"],
    }
    found: dict[str, Any] = {
        "cpu": {"usage": _full(usage), "throttling": _full(throttling)},
        "cpuset": _cpuset(cgroup),
        "memory": _memory(raw["memory"], cgroup),
        "pids": _full(raw["pids"]),
        "blkio": _full({key: _device_entries(raw["blkio"].get(name) or []) for key, name in _BLKIO.items()}),
        "hugetlb": _huge_pages(cgroup),
        "intel_rdt": {},
        "network_interfaces": None,
    }
    return found


def _full(values: dict[str, Any]) -> dict[str, Any]:
    """Go's omitempty."""
    return {name: value for name, value in values.items() if value}


def _device_entries(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_full(entry) for entry in entries]


def _numbers(text: str) -> list[int]:
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _dash, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _cpuset(cgroup: Cgroup) -> dict[str, Any]:
    cpus = cgroup.read("cpuset", "cpuset.cpus") or cgroup.read("cpuset", "cpuset.cpus.effective")
    mems = cgroup.read("cpuset", "cpuset.mems") or cgroup.read("cpuset", "cpuset.mems.effective")
    found: dict[str, Any] = {"cpus": _numbers(cpus), "mems": _numbers(mems)}
    return found | {name: number(cgroup.read("cpuset", f"cpuset.{name}")) for name in _CPUSET}


def _memory(raw: dict[str, Any], cgroup: Cgroup) -> dict[str, Any]:
    if not raw:
        return {}
    own = _used(raw["limit"], raw["usage"], raw["max_usage"], raw["failcnt"])
    found: dict[str, Any] = {"usage": own, "raw": raw["stat"]}
    if cgroup.read("memory", "memory.usage_in_bytes"):
        found["cache"] = raw["stat"].get("cache", 0)
        for key, part in (("swap", "memsw"), ("kernel", "kmem"), ("kernelTCP", "kmem.tcp")):
            found[key] = _counter(cgroup, part)
    else:
        found["cache"] = raw["stat"].get("file", 0)
        found["swap"] = _used(
            number(cgroup.read("memory", "memory.swap.max"), (1 << 64) - 1),
            number(cgroup.read("memory", "memory.swap.current")),
            number(cgroup.read("memory", "memory.swap.peak")),
            flat_keyed(cgroup.read("memory", "memory.swap.events")).get("fail", 0),
        )
    return _full(found)


def _used(limit: int, usage: int, peak: int, failures: int) -> dict[str, int]:
    """A limit and how often it was met are said even where they are 0."""
    return {"limit": limit, **_full({"usage": usage, "max": peak}), "failcnt": failures}


def _counter(cgroup: Cgroup, part: str) -> dict[str, int]:
    names = ("limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt")
    limit, usage, peak, failures = (number(cgroup.read("memory", f"memory.{part}.{name}")) for name in names)
    return _used(limit, usage, peak, failures)


def _huge_pages(cgroup: Cgroup) -> dict[str, Any]:
    found = {}
    for name in sorted(os.listdir(_HUGE)) if paths.isdir(_HUGE) else ():
        size = name.removeprefix("hugepages-").removesuffix("kB")
        pages = _page_size(int(size)) if size.isdigit() else ""
        usage = cgroup.read("hugetlb", f"hugetlb.{pages}.usage_in_bytes")
        if usage:
            peak = number(cgroup.read("hugetlb", f"hugetlb.{pages}.max_usage_in_bytes"))
            failures = number(cgroup.read("hugetlb", f"hugetlb.{pages}.failcnt"))
        elif usage := cgroup.read("hugetlb", f"hugetlb.{pages}.current"):
            peak = 0
            failures = flat_keyed(cgroup.read("hugetlb", f"hugetlb.{pages}.events")).get("max", 0)
        else:
            continue
        found[pages] = {**_full({"usage": number(usage), "max": peak}), "failcnt": failures}
    return found


def _page_size(kilobytes: int) -> str:
    """As the control files are named: 2MB, 1GB."""
    for unit, size in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kilobytes >= size:
            return f"{kilobytes // size}{unit}"
    return f"{kilobytes}KB"
