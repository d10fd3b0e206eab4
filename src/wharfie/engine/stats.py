"""What a container consumes, in Docker's words: ``GET /containers/{id}/stats``.

Numbers come from the container's control group, from its network namespace's ``/proc/<pid>/net/dev`` and from
the host's ``/proc/stat``; the conversion is pure. The percentage of CPU time is the client's to compute, from
two samples: each carries the one before it (``precpu_stats``). A container that does not run has zeros.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from wharfie.engine.container import Container
from wharfie.engine.registry import NoSuchContainer, Registry
from wharfie.errors import InvalidArgument, WharfieError
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support.tasks import spawn
from wharfie.support.units import format_time

NEVER = "0001-01-01T00:00:00Z"
_INTERVAL = 1.0
_SHARED = 0.1
"""The share of an interval for which a sample is good enough for others."""

# Docker's lists of block device numbers; version 2 of control groups fills the first only
_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)
# /proc/net/dev: receive bytes, packets, errs, drop, four more; then the same of transmit
_NETWORK = (
    ("rx_bytes", 0),
    ("rx_packets", 1),
    ("rx_errors", 2),
    ("rx_dropped", 3),
    ("tx_bytes", 8),
    ("tx_packets", 9),
    ("tx_errors", 10),
    ("tx_dropped", 11),
)


class Host:
    """The host's side of a sample: CPU time of all CPUs in nanoseconds, CPUs that are on, bytes of memory."""

    __slots__ = ("cpus", "memory", "system")

    def __init__(self, system: int, cpus: int, memory: int) -> None:
        self.system = system
        self.cpus = cpus
        self.memory = memory

    @classmethod
    def read(cls) -> Host:
        """As it is now (proc(5), /proc/stat)."""
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        with open("/proc/stat", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        # user, nice, system, idle, iowait, irq, softirq; guests' time is in user already
        return cls(sum(map(int, lines[0][1:8])) * tick, len(lines) - 1, memory)


def cpu_stats(numbers: dict[str, Any] | None, host: Host | None) -> dict[str, Any]:
    """``cpu_stats`` and ``precpu_stats``; all zero without numbers."""
    numbers = numbers or {}
    usage: dict[str, Any] = {"total_usage": numbers.get("usage", 0)}
    if numbers.get("percpu"):
        usage["percpu_usage"] = numbers["percpu"]
    usage["usage_in_kernelmode"] = numbers.get("system", 0)
    usage["usage_in_usermode"] = numbers.get("user", 0)
    result: dict[str, Any] = {"cpu_usage": usage}
    if host is not None:
        result["system_cpu_usage"] = host.system
        result["online_cpus"] = host.cpus
    result["throttling_data"] = {
        name: numbers.get(name, 0) for name in ("periods", "throttled_periods", "throttled_time")
    }
    return result


def memory_stats(numbers: dict[str, Any], version: int, host: Host) -> dict[str, Any]:
    """``memory_stats``; without a limit of its own a container has the host's memory."""
    if not numbers:
        return {}
    limit = numbers["limit"]
    result = {"usage": numbers["usage"]}
    if version == 1:
        result["max_usage"] = numbers["max_usage"]
    result["stats"] = numbers["stat"]
    result["failcnt"] = numbers["failcnt"]
    result["limit"] = host.memory if not limit or limit > host.memory else limit
    # Docker leaves out what is zero
    return {name: value for name, value in result.items() if value}


def blkio_stats(numbers: dict[str, Any], version: int) -> dict[str, Any]:
    """``blkio_stats``: every list of version 1, the first only of version 2."""
    if version == 1:
        return {name: numbers.get(name, []) for name in _BLKIO}
    return {name: numbers.get(name) or None if name == _BLKIO[0] else None for name in _BLKIO}


def network_stats(text: str) -> dict[str, dict[str, int]]:
    """``networks`` from the text of /proc/net/dev, the loopback interface left out."""
    networks = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        fields = rest.split()
        if name.strip() != "lo" and len(fields) > 11:
            networks[name.strip()] = {key: int(fields[index]) for key, index in _NETWORK}
    return networks


def convert(numbers: dict[str, Any], net_dev: str, host: Host, read_ns: int) -> dict[str, Any]:
    """One sample without name, id and the sample before it."""
    version = numbers["version"]
    result = {
        "read": format_time(read_ns),
        "preread": NEVER,
        "pids_stats": {name: value for name, value in numbers["pids"].items() if value},
        "blkio_stats": blkio_stats(numbers["blkio"], version),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu_stats(numbers["cpu"], host),
        "precpu_stats": cpu_stats(None, None),
        "memory_stats": memory_stats(numbers["memory"], version, host),
    }
    networks = network_stats(net_dev)
    if networks:
        result["networks"] = networks
    return result


def empty() -> dict[str, Any]:
    """The sample of a container that does not run."""
    return {
        "read": NEVER,
        "preread": NEVER,
        "pids_stats": {},
        "blkio_stats": dict.fromkeys(_BLKIO),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu_stats(None, None),
        "precpu_stats": cpu_stats(None, None),
        "memory_stats": {},
    }


def _net_dev(pid: int) -> str:
    """The container's interfaces; nothing when it has the host's network or is gone."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return ""
        with open(f"/proc/{pid}/net/dev", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def sample(cgroup: str, pid: int) -> dict[str, Any]:
    """Read one sample of a running container; blocks for about a millisecond."""
    group = open_cgroup(cgroup)
    numbers = group.stats()
    return convert(numbers, _net_dev(pid), Host.read(), time.time_ns())


async def _read_sample(cgroup: str, pid: int) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(sample, cgroup, pid)
    except (OSError, WharfieError):
        # it ended while it was looked at
        return empty()


class Stats:
    """The backend of the stats route."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._fresh: dict[str, tuple[float, asyncio.Task[dict[str, Any]]]] = {}
        """The last sample of each container: clients that ask at about the same time share it."""

    async def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[dict[str, Any]]:
        """One sample every second until the container is removed, or just one.

        Without ``one_shot`` the one waits for a second sample, so that there is something to compare with.
        Raises NotFound and InvalidArgument before the first item only.
        """
        if stream and one_shot:
            raise InvalidArgument("cannot have stream=true and one-shot=true")
        container = self._registry.get(ref)
        if not stream and not container.status.running:
            yield self._finish(empty(), container)
            return
        previous: dict[str, Any] | None = None
        if not stream and not one_shot:
            previous = await self._sample(container)
            await asyncio.sleep(_INTERVAL)
        due = time.monotonic()
        while self._known(container):
            current = await self._sample(container)
            result = dict(current)
            if previous is not None:
                result |= {"precpu_stats": previous["cpu_stats"], "preread": previous["read"]}
            yield self._finish(result, container)
            if not stream:
                return
            previous = current
            due = max(due + _INTERVAL, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _sample(self, container: Container) -> dict[str, Any]:
        link = container.link
        if not container.status.running or link is None:
            return empty()
        now = time.monotonic()
        taken, task = self._fresh.get(container.id, (0.0, None))
        if task is None or now - taken >= _SHARED * _INTERVAL:
            self._fresh = {key: value for key, value in self._fresh.items() if now - value[0] < _INTERVAL}
            task = spawn(f"sample of {container.id[:12]}", _read_sample(link.cgroup, link.pid))
            self._fresh[container.id] = now, task
        return await asyncio.shield(task)

    def _known(self, container: Container) -> bool:
        try:
            return self._registry.get(container.id) is container
        except NoSuchContainer:
            return False

    def _finish(self, result: dict[str, Any], container: Container) -> dict[str, Any]:
        return {"name": f"/{container.name}", "id": container.id, **result}
