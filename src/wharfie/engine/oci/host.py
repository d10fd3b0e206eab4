"""What this machine can do, looked at once: the facts that validation and specs depend on."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from functools import cache

from wharfie.linux import credentials
from wharfie.runtime.cgroups.layout import layout
from wharfie.spec import capabilities


@dataclass(frozen=True, slots=True)
class Host:
    """The facts; tests make their own."""

    cpus: int = 2
    online_cpus: str = "0-1"
    memory_nodes: str = "0"
    unified: bool = False
    """Control groups of version 2."""
    swap_limit: bool = True
    swappiness: bool = True
    oom_kill_disable: bool = True
    blkio_weight: bool = False
    blkio_weight_device: bool = False
    realtime: bool = False
    apparmor: bool = False
    bounding: int = (1 << 41) - 1
    raise_limits: bool = True
    """Whether hard resource limits can be raised (CAP_SYS_RESOURCE)."""

    def rlimit(self, number: int) -> tuple[int, int]:
        """Our own soft and hard limit."""
        return resource.getrlimit(number)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


@cache
def this_host() -> Host:
    """The machine we run on."""
    found = layout()
    unified = found.mode == "v2"
    memory = found.controllers.get("memory", "")
    blkio = found.controllers.get("blkio", "")
    bounding = credentials.bounding_set()
    return Host(
        cpus=len(os.sched_getaffinity(0)),
        online_cpus=_read("/sys/devices/system/cpu/online") or f"0-{(os.cpu_count() or 1) - 1}",
        memory_nodes=_read("/sys/devices/system/node/online") or "0",
        unified=unified,
        swap_limit=unified or os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"),
        swappiness=not unified and bool(memory),
        oom_kill_disable=not unified and bool(memory),
        blkio_weight=_weight(unified, blkio),
        blkio_weight_device=not unified and os.path.exists(f"{blkio}/blkio.weight_device"),
        realtime=os.path.exists(f"{found.controllers.get('cpu', '')}/cpu.rt_runtime_us"),
        apparmor=_read("/sys/module/apparmor/parameters/enabled") == "Y",
        bounding=bounding,
        raise_limits=bool(bounding >> capabilities.NUMBERS["CAP_SYS_RESOURCE"] & 1),
    )


def _weight(unified: bool, blkio: str) -> bool:
    if unified:
        # io.weight (BFQ: io.bfq.weight) is in groups below the root only
        return any(
            os.path.exists(f"/sys/fs/cgroup/{name}/io{kind}.weight")
            for name in ("system.slice", "init.scope", "wharfie")
            for kind in ("", ".bfq")
        )
    return os.path.exists(f"{blkio}/blkio.weight")
