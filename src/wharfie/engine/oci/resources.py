"""Limits: ``HostConfig``'s words turned into ``linux.resources`` (OCI runtime-spec, config-linux)."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Any

from wharfie.errors import InvalidArgument
from wharfie.wire.config import Resources, ThrottleDevice, WeightDevice

_PERIOD = 100_000


class NoSuchDevice(InvalidArgument):
    """A device that a limit names does not exist, or is no block device."""


def resources(asked: Resources) -> dict[str, Any]:
    """All limits but devices; raises NoSuchDevice."""
    found: dict[str, Any] = {}
    for name, part in (
        ("memory", _memory(asked)),
        ("cpu", _cpu(asked)),
        ("pids", _pids(asked)),
        ("blockIO", _block_io(asked)),
    ):
        if part:
            found[name] = part
    return found


def _memory(asked: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.memory > 0:
        found["limit"] = asked.memory
    if asked.memory_reservation > 0:
        found["reservation"] = asked.memory_reservation
    if asked.memory_swap:
        found["swap"] = asked.memory_swap
    if asked.memory_swappiness is not None and asked.memory_swappiness != -1:
        found["swappiness"] = asked.memory_swappiness
    if asked.oom_kill_disable:
        found["disableOOMKiller"] = True
    return found


def _cpu(asked: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.cpu_shares:
        # what the kernel takes (sched-design-CFS): 2 … 262144
        found["shares"] = min(max(asked.cpu_shares, 2), 262_144)
    if asked.nano_cpus > 0:
        found["period"] = _PERIOD
        found["quota"] = asked.nano_cpus * _PERIOD // 1_000_000_000
    if asked.cpu_quota:
        found["quota"] = asked.cpu_quota
    if asked.cpu_period:
        found["period"] = asked.cpu_period
    if asked.cpu_realtime_period:
        found["realtimePeriod"] = asked.cpu_realtime_period
    if asked.cpu_realtime_runtime:
        found["realtimeRuntime"] = asked.cpu_realtime_runtime
    if asked.cpuset_cpus:
        found["cpus"] = asked.cpuset_cpus
    if asked.cpuset_mems:
        found["mems"] = asked.cpuset_mems
    return found


def _pids(asked: Resources) -> dict[str, Any]:
    if asked.pids_limit is None or asked.pids_limit == 0:
        return {}
    return {"limit": asked.pids_limit if asked.pids_limit > 0 else -1}


def _block_io(asked: Resources) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.blkio_weight:
        found["weight"] = asked.blkio_weight
    if asked.blkio_weight_device:
        found["weightDevice"] = [_numbered(item, "weight", item.weight) for item in asked.blkio_weight_device]
    for name, items in (
        ("throttleReadBpsDevice", asked.blkio_device_read_bps),
        ("throttleWriteBpsDevice", asked.blkio_device_write_bps),
        ("throttleReadIOPSDevice", asked.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", asked.blkio_device_write_iops),
    ):
        if items:
            found[name] = _throttled(items)
    return found


def _throttled(items: Sequence[ThrottleDevice]) -> list[dict[str, int]]:
    return [_numbered(item, "rate", item.rate) for item in items]


def _numbered(item: ThrottleDevice | WeightDevice, key: str, value: int) -> dict[str, int]:
    try:
        found = os.stat(item.path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise NoSuchDevice(f"stat {item.path}: {reason}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise NoSuchDevice(f"{item.path} is not a block device: limit the device it lies on")
    return {"major": os.major(found.st_rdev), "minor": os.minor(found.st_rdev), key: value}
