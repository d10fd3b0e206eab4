"""A container's consumption as control groups version 2 count it, in the form drawn in ``stats_v1.py``.

``memory.failcnt`` is how often memory ran out (memory.events, ``oom``), as Docker has it. There are no
numbers per CPU, and of the block devices only bytes and operations.
"""

from __future__ import annotations

from wharfie.runtime.cgroups.files import flat_keyed, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.writes import Reader

UNLIMITED = (1 << 64) - 1


def read_stats(read: Reader) -> dict[str, Any]:
    """All numbers of the group whose files ``read`` reads."""
    return {
        "version": 2,
        "cpu": _cpu(read),
        "memory": _memory(read),
        "pids": _pids(read),
        "blkio": _io(read("io", "io.stat")),
    }


def _cpu(read: Reader) -> dict[str, Any]:
    # usage is counted without the controller too, throttling is not
    times = flat_keyed(read("cpu", "cpu.stat"))
    return {
        "usage": times.get("usage_usec", 0) * 1000,
        "user": times.get("user_usec", 0) * 1000,
        "system": times.get("system_usec", 0) * 1000,
        "percpu": [],
        "percpu_user": [],
        "percpu_system": [],
        "periods": times.get("nr_periods", 0),
        "throttled_periods": times.get("nr_throttled", 0),
        "throttled_time": times.get("throttled_usec", 0) * 1000,
    }


def _memory(read: Reader) -> dict[str, Any]:
    current = read("memory", "memory.current")
    if not current:
        return {}
    return {
        "usage": number(current),
        "max_usage": number(read("memory", "memory.peak")),
        "limit": number(read("memory", "memory.max"), UNLIMITED),
        "failcnt": flat_keyed(read("memory", "memory.events")).get("oom", 0),
        "stat": flat_keyed(read("memory", "memory.stat")),
    }


def _pids(read: Reader) -> dict[str, Any]:
    current = read("pids", "pids.current")
    limit = number(read("pids", "pids.max"), UNLIMITED)
    return {"current": number(current), "limit": limit} if current else {}


_IO = (
    ("rbytes", "io_service_bytes_recursive", "read"),
    ("wbytes", "io_service_bytes_recursive", "write"),
    ("rios", "io_serviced_recursive", "read"),
    ("wios", "io_serviced_recursive", "write"),
)


def _io(text: str) -> dict[str, list[dict[str, Any]]]:
    lists: dict[str, list[dict[str, Any]]] = {"io_service_bytes_recursive": [], "io_serviced_recursive": []}
    for line in text.split("\n"):
        # "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0"
        device, *pairs = line.split()[:7] or [""]
        major, colon, minor = device.partition(":")
        values = dict(pair.partition("=")[::2] for pair in pairs)
        for key, name, operation in _IO:
            if colon and values.get(key, "").isdigit():
                entry = {"major": int(major), "minor": int(minor), "op": operation, "value": int(values[key])}
                lists[name].append(entry)
    return lists
