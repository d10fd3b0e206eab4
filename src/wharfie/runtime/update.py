"""The command update: change a container's limits, from a file ("-": standard input) or from options."""

from __future__ import annotations

import sys

from wharfie.errors import Conflict, InvalidArgument, NotSupported
from wharfie.runtime.state import Store
from wharfie.runtime.sync import describe
from wharfie.spec.schema import RESOURCES, check
from wharfie.support import json
from wharfie.support.files import read_file
from wharfie.support.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MEMORY = {"memory": "limit", "memory-reservation": "reservation", "memory-swap": "swap"}
_CPU = {
    "cpu-period": "period",
    "cpu-quota": "quota",
    "cpu-burst": "burst",
    "cpu-share": "shares",
    "cpu-rt-period": "realtimePeriod",
    "cpu-rt-runtime": "realtimeRuntime",
    "cpu-idle": "idle",
}
_SETS = {"cpuset-cpus": "cpus", "cpuset-mems": "mems"}
_SIGNED = ("cpu-quota", "cpu-rt-runtime")


def do_update(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``update``."""
    record = store.take(words[0])
    if record.status() == "stopped":
        raise Conflict("container not running")
    if options.get("l3-cache-schema") or options.get("mem-bw-schema"):
        raise NotSupported("Intel RDT is not supported by wharfie-runtime")
    name = options.get("resources")
    resources = _read(name) if name else resources_of(options)
    record.open_cgroup().set(resources)
    unit = record.unit()
    if unit is not None:
        unit.set(resources)
    known = record.spec.setdefault("linux", {}).setdefault("resources", {})
    for part, value in resources.items():
        known[part] = {**(known.get(part) or {}), **value} if isinstance(value, dict) else value
    record.write()
    return 0


def _read(name: str) -> dict[str, Any]:
    try:
        content = sys.stdin.buffer.read(1 << 24) if name == "-" else read_file(name, 1 << 24)
        resources = json.loads(content)
    except OSError as error:
        raise InvalidArgument(f"open {describe(error)}") from None
    except ValueError as error:
        raise InvalidArgument(f"the resources cannot be read: {error}") from None
    check(resources, RESOURCES, "resources")
    found: dict[str, Any] = resources
    return found


def resources_of(options: dict[str, Any]) -> dict[str, Any]:
    """OCI resources from options; raises InvalidArgument."""
    found: dict[str, Any] = {}
    memory = {key: _size(name, options[name]) for name, key in _MEMORY.items() if options.get(name)}
    if options.get("kernel-memory-tcp"):
        memory["kernelTCP"] = _size("kernel-memory-tcp", options["kernel-memory-tcp"])
    cpu: dict[str, Any] = {
        key: _integer(name, options[name]) for name, key in _CPU.items() if options.get(name)
    }
    cpu |= {key: options[name] for name, key in _SETS.items() if options.get(name)}
    if memory:
        found["memory"] = memory
    if cpu:
        found["cpu"] = cpu
    if options.get("blkio-weight"):
        found["blockIO"] = {"weight": options["blkio-weight"]}
    if options.get("pids-limit"):
        found["pids"] = {"limit": options["pids-limit"]}
    return found


def _size(name: str, text: str) -> int:
    if text == "-1":
        return -1
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid value for {name}: {error}") from None


def _integer(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise InvalidArgument(f'invalid value for {name}: "{text}" is not a number') from None
    if number < 0 and name not in _SIGNED:
        raise InvalidArgument(f"invalid value for {name}: {number} is negative")
    return number
