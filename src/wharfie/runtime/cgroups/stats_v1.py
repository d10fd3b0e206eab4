"""A container's consumption as control groups version 1 count it.

The raw numbers of both versions have one form::

    {"version": 1,
     "cpu":    {"usage", "user", "system": ns, "percpu", "percpu_user", "percpu_system": [ns, …],
                "periods", "throttled_periods": count, "throttled_time": ns},
     "memory": {"usage", "limit": bytes, "max_usage": bytes, "failcnt": count, "stat": {name: number}},
     "pids":   {"current": count, "limit": count; for none 0 in version 1, 2**64 - 1 in version 2},
     "blkio":  {Docker's list name: [{"major", "minor", "op", "value"}, …]}}

A controller that is not there leaves its part empty.
"""

from __future__ import annotations

import posix as os

from wharfie.runtime.cgroups.files import flat_keyed, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.writes import Reader

# Docker's name: files that hold it, the best first (the bfq ones are empty with another scheduler)
_BLKIO = {
    "io_service_bytes_recursive": (
        "blkio.bfq.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes_recursive",
    ),
    "io_serviced_recursive": ("blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"),
    "io_queue_recursive": ("blkio.io_queued_recursive",),
    "io_service_time_recursive": ("blkio.io_service_time_recursive",),
    "io_wait_time_recursive": ("blkio.io_wait_time_recursive",),
    "io_merged_recursive": ("blkio.io_merged_recursive",),
    "io_time_recursive": ("blkio.time_recursive",),
    "sectors_recursive": ("blkio.sectors_recursive",),
}


def read_stats(read: Reader) -> dict[str, Any]:
    """All numbers of the group whose files ``read`` reads."""
    return {
        "version": 1,
        "cpu": _cpu(read),
        "memory": _memory(read),
        "pids": _pids(read),
        "blkio": {name: _blkio(files, read) for name, files in _BLKIO.items()},
    }


def _cpu(read: Reader) -> dict[str, Any]:
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    times = flat_keyed(read("cpuacct", "cpuacct.stat"))
    throttling = flat_keyed(read("cpu", "cpu.stat"))
    # a head line, then "cpu user system" for each
    lines = [line.split() for line in read("cpuacct", "cpuacct.usage_all").split("\n")[1:]]
    return {
        "usage": number(read("cpuacct", "cpuacct.usage")),
        "user": times.get("user", 0) * tick,
        "system": times.get("system", 0) * tick,
        "percpu": [int(word) for word in read("cpuacct", "cpuacct.usage_percpu").split()],
        "percpu_user": [int(line[1]) for line in lines],
        "percpu_system": [int(line[2]) for line in lines],
        "periods": throttling.get("nr_periods", 0),
        "throttled_periods": throttling.get("nr_throttled", 0),
        "throttled_time": throttling.get("throttled_time", 0),
    }


def _memory(read: Reader) -> dict[str, Any]:
    usage = read("memory", "memory.usage_in_bytes")
    if not usage:
        return {}
    return {
        "usage": number(usage),
        "max_usage": number(read("memory", "memory.max_usage_in_bytes")),
        "limit": number(read("memory", "memory.limit_in_bytes")),
        "failcnt": number(read("memory", "memory.failcnt")),
        "stat": flat_keyed(read("memory", "memory.stat")),
    }


def _pids(read: Reader) -> dict[str, Any]:
    current = read("pids", "pids.current")
    return {"current": number(current), "limit": number(read("pids", "pids.max"))} if current else {}


def _blkio(files: tuple[str, ...], read: Reader) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for file in files:
        for line in read("blkio", file).split("\n"):
            # "253:0 Read 4096"; time and sectors have no operation; the last line is "Total n"
            device, _, rest = line.partition(" ")
            major, colon, minor = device.partition(":")
            if colon:
                operation, _, value = rest.rpartition(" ")
                entries.append(
                    {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
                )
        if entries:
            break
    return entries
