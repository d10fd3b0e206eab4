"""Which namespaces a container gets for itself, shares with another container, or with the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wharfie.wire.config import HostConfig

SUBORDINATE_FIRST = 100_000
SUBORDINATE_COUNT = 65_536


@dataclass(frozen=True, slots=True)
class Joins:
    """First processes of the containers whose namespaces are joined; 0: none."""

    network: int = 0
    ipc: int = 0
    pid: int = 0


def namespaces(asked: HostConfig, joins: Joins) -> list[dict[str, Any]]:
    """``linux.namespaces``."""
    found: list[dict[str, Any]] = [{"type": "mount"}]
    if asked.userns_mode == "private":
        found.append({"type": "user"})
    for kind, mode, pid in (
        ("network", asked.network_mode, joins.network),
        ("ipc", asked.ipc_mode, joins.ipc),
        ("pid", asked.pid_mode, joins.pid),
        ("uts", asked.uts_mode, 0),
        ("cgroup", asked.cgroupns_mode, 0),
    ):
        if pid:
            name = "net" if kind == "network" else kind
            found.append({"type": kind, "path": f"/proc/{pid}/ns/{name}"})
        elif mode != "host":
            found.append({"type": kind})
    return found


def id_mappings(base: int) -> list[dict[str, int]]:
    """The mapping of a private user namespace that begins at the host's id ``base``."""
    return [{"containerID": 0, "hostID": base, "size": SUBORDINATE_COUNT}]


def free_base(taken: set[int]) -> int:
    """The first range of subordinate ids that nobody has."""
    base = SUBORDINATE_FIRST
    while base in taken:
        base += SUBORDINATE_COUNT
    return base
