"""Rare properties of a process: scheduler, disk priority, CPU affinity, personality, memory policy.

Loaded in the parent, before the fork, when a configuration has one of them; each becomes a step that the
child does while it is still privileged.
"""

from __future__ import annotations

import posix as os

from wharfie.linux import scheduling
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import describe
from wharfie.spec import scheduling as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROCESS_FIELDS = ("scheduler", "ioPriority")
LINUX_FIELDS = ("personality", "memoryPolicy")
_HIGHEST = 4095
"""The highest CPU or memory node that is read out of a list."""


class Trait:
    """One step: ``field`` names it in the configuration."""

    __slots__ = ("_arguments", "_call", "_field")

    def __init__(self, field: str, call: Callable[..., None], *arguments: Any) -> None:
        self._field = field
        self._call = call
        self._arguments = arguments

    def apply(self) -> None:
        """Do it for this process; raises LaunchError naming the field."""
        try:
            self._call(*self._arguments)
        except OSError as error:
            raise LaunchError(f"{self._field} cannot be applied: {describe(error)}") from None


def read_traits(process: dict[str, Any], linux: dict[str, Any]) -> list[Trait]:
    """The steps for what these two objects ask; raises LaunchError for what makes no sense."""
    found = []
    if linux.get("personality"):
        found.append(_personality(linux["personality"]))
    if linux.get("memoryPolicy"):
        found.append(_memory_policy(linux["memoryPolicy"]))
    if process.get("scheduler"):
        found.append(_scheduler(process["scheduler"]))
    if process.get("ioPriority"):
        found.append(_io_priority(process["ioPriority"]))
    return found


def read_affinity(affinity: dict[str, Any]) -> tuple[Trait | None, Trait | None]:
    """``process.execCPUAffinity``: what holds before and after the process enters its control group."""
    initial, final = (
        _affinity(f"process.execCPUAffinity.{key}", affinity[key]) if affinity.get(key) else None
        for key in ("initial", "final")
    )
    return initial, final


def _affinity(field: str, text: str) -> Trait:
    return Trait(field, os.sched_setaffinity, 0, read_list(field, text))


def read_list(field: str, text: str) -> list[int]:
    """The numbers of a list like "0-3,7" (cpuset(7)); raises LaunchError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() and len(end) < 6 for end in ends):
            raise LaunchError(f'{field} is not a list of numbers and ranges: "{text}"')
        low, high = int(ends[0]), int(ends[1])
        if low > high or high > _HIGHEST:
            raise LaunchError(f'{field} has a range that cannot be: "{part.strip()}"')
        found += range(low, high + 1)
    return found


def _named(field: str, table: dict[str, int], name: object) -> int:
    if not isinstance(name, str) or name not in table:
        raise LaunchError(f"{field} has an unknown value {name!r}: expected one of {', '.join(table)}")
    return table[name]


def _flags(field: str, table: dict[str, int], chosen: list[str] | None) -> int:
    found = 0
    for name in chosen or ():
        found |= _named(field, table, name)
    return found


def _personality(personality: dict[str, Any]) -> Trait:
    domain = _named("linux.personality.domain", names.PERSONALITIES, personality.get("domain"))
    if personality.get("flags"):
        raise LaunchError("linux.personality.flags are not supported: the specification defines none")
    return Trait("linux.personality", scheduling.personality, domain)


def _memory_policy(policy: dict[str, Any]) -> Trait:
    mode = _named("linux.memoryPolicy.mode", names.MEMORY_MODES, policy.get("mode"))
    flags = _flags("linux.memoryPolicy.flags", names.MEMORY_FLAGS, policy.get("flags"))
    nodes = 0
    for node in read_list("linux.memoryPolicy.nodes", policy["nodes"]) if policy.get("nodes") else ():
        nodes |= 1 << node
    return Trait("linux.memoryPolicy", scheduling.set_mempolicy, mode | flags, nodes)


def _scheduler(scheduler: dict[str, Any]) -> Trait:
    policy_name = scheduler.get("policy")
    policy = _named("process.scheduler.policy", names.POLICIES, policy_name)
    flags = _flags("process.scheduler.flags", names.FLAGS, scheduler.get("flags"))
    nice, priority = scheduler.get("nice") or 0, scheduler.get("priority") or 0
    times = [scheduler.get(key) or 0 for key in ("runtime", "deadline", "period")]
    if not -20 <= nice <= 19:
        raise LaunchError(f"process.scheduler.nice must be between -20 and 19: {nice}")
    if priority and policy_name not in ("SCHED_FIFO", "SCHED_RR"):
        raise LaunchError("process.scheduler.priority can only be given for SCHED_FIFO or SCHED_RR")
    if not 0 <= priority <= 99:
        raise LaunchError(f"process.scheduler.priority must be between 0 and 99: {priority}")
    if any(times) and policy_name != "SCHED_DEADLINE":
        raise LaunchError(
            "process.scheduler.runtime, deadline and period can only be given for SCHED_DEADLINE"
        )
    if not all(0 <= time < 1 << 63 for time in times):
        raise LaunchError("process.scheduler.runtime, deadline and period must be below 2 to the 63rd ns")
    return Trait("process.scheduler", scheduling.sched_setattr, policy, flags, nice, priority, *times)


def _io_priority(priority: dict[str, Any]) -> Trait:
    kind = _named("process.ioPriority.class", names.IO_CLASSES, priority.get("class"))
    level = priority.get("priority") or 0
    if not 0 <= level <= 7:
        raise LaunchError(f"process.ioPriority.priority must be between 0 and 7: {level}")
    return Trait("process.ioPriority", scheduling.ioprio_set, kind, level)
