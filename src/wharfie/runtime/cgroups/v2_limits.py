"""OCI ``linux.resources`` as writes to the control files of version 2.

The conversions from version 1's units are the runtime specification's and runc's, so that a container weighs
the same under every runtime. See the kernel's Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from wharfie.runtime.cgroups.errors import LimitRefused, LimitUnsupported
from wharfie.runtime.cgroups.writes import Write, rdma_writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.writes import Reader


def plan(resources: dict[str, Any], read: Reader) -> list[Write]:
    """Everything to write, but the device rules, which are a program here."""
    writes: list[Write] = []
    _cpu(resources.get("cpu") or {}, writes, read)
    _memory(resources.get("memory") or {}, writes, read)
    limit = (resources.get("pids") or {}).get("limit")
    if limit:
        writes.append(Write("pids", "pids.max", _or_max(limit), "--pids-limit"))
    _block(resources.get("blockIO") or {}, writes, read)
    for page in resources.get("hugepageLimits") or []:
        file = f"hugetlb.{page['pageSize']}.max"
        writes.append(Write("hugetlb", file, str(page["limit"]), "hugepageLimits"))
    writes += rdma_writes(resources)
    for file, value in (resources.get("unified") or {}).items():
        if "/" in file or file.startswith("cgroup."):
            raise LimitRefused(f'"{file}" is not a limit that can be set (unified).')
        writes.append(Write(file.partition(".")[0], file, str(value), file))
    return writes


def _or_max(limit: int) -> str:
    return "max" if limit < 0 else str(limit)


def weight_of_shares(shares: int) -> int:
    """cpu.weight (1 to 10,000) for version 1's cpu.shares (2 to 262,144)."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


def io_weight(weight: int) -> int:
    """io.weight (1 to 10,000) for blkio.weight (10 to 1,000)."""
    return 1 + (weight - 10) * 9999 // 990


def _cpu(cpu: dict[str, Any], writes: list[Write], read: Reader) -> None:
    if cpu.get("realtimePeriod") or cpu.get("realtimeRuntime"):
        raise LimitUnsupported("--cpu-rt-period and --cpu-rt-runtime need control groups of version 1.")
    if cpu.get("idle") is not None:
        writes.append(Write("cpu", "cpu.idle", str(cpu["idle"]), "cpu.idle"))
    if cpu.get("shares") and cpu.get("idle") != 1:
        writes.append(Write("cpu", "cpu.weight", str(weight_of_shares(cpu["shares"])), "--cpu-shares"))
    quota, period = cpu.get("quota"), cpu.get("period")
    if quota or period:
        old_quota, _, old_period = (read("cpu", "cpu.max") or "max 100000").partition(" ")
        value = f"{_or_max(quota) if quota else old_quota} {period or old_period}"
        writes.append(Write("cpu", "cpu.max", value, "--cpu-quota" if quota else "--cpu-period"))
    if cpu.get("burst") is not None:
        writes.append(Write("cpu", "cpu.max.burst", str(cpu["burst"]), "cpu.burst"))
    if cpu.get("cpus"):
        writes.append(Write("cpuset", "cpuset.cpus", cpu["cpus"], "--cpuset-cpus"))
    if cpu.get("mems"):
        writes.append(Write("cpuset", "cpuset.mems", cpu["mems"], "--cpuset-mems"))


def _memory(memory: dict[str, Any], writes: list[Write], read: Reader) -> None:
    if memory.get("disableOOMKiller"):
        raise LimitUnsupported("--oom-kill-disable needs control groups of version 1.")
    if memory.get("swappiness") not in (None, -1):
        raise LimitUnsupported("--memory-swappiness needs control groups of version 1.")
    limit, swap = memory.get("limit"), memory.get("swap")
    if swap is None and limit == -1:
        swap = -1
    if swap:
        value = _swap(swap, limit or _known_limit(read))
        # a kernel that does not count swap has no such file; unlimited or none is what it gives anyway
        if value not in ("max", "0") or read("memory", "memory.swap.max"):
            writes.append(Write("memory", "memory.swap.max", value, "--memory-swap"))
    if limit:
        writes.append(Write("memory", "memory.max", _or_max(limit), "--memory"))
    if memory.get("reservation"):
        writes.append(Write("memory", "memory.low", _or_max(memory["reservation"]), "--memory-reservation"))


def _known_limit(read: Reader) -> int:
    current = read("memory", "memory.max")
    return int(current) if current.isdigit() else 0


def _swap(swap: int, limit: int) -> str:
    """Swap alone, from version 1's sum of memory and swap."""
    if swap < 0:
        return "max"
    if limit <= 0:
        raise LimitRefused("--memory-swap needs --memory.")
    if swap < limit:
        raise LimitRefused(f"--memory-swap {swap} was refused: it must not be less than --memory.")
    return str(swap - limit)


_THROTTLES = (
    ("throttleReadBpsDevice", "rbps", "--device-read-bps"),
    ("throttleWriteBpsDevice", "wbps", "--device-write-bps"),
    ("throttleReadIOPSDevice", "riops", "--device-read-iops"),
    ("throttleWriteIOPSDevice", "wiops", "--device-write-iops"),
)


def _block(block: dict[str, Any], writes: list[Write], read: Reader) -> None:
    # the BFQ scheduler counts in version 1's units; io.weight belongs to the io.cost controller
    bfq = bool(read("io", "io.bfq.weight"))
    file = "io.bfq.weight" if bfq else "io.weight"
    if block.get("weight"):
        value = block["weight"] if bfq else io_weight(block["weight"])
        writes.append(Write("io", file, str(value), "--blkio-weight"))
    for device in block.get("weightDevice") or []:
        value = device.get("weight", 0) if bfq else io_weight(device.get("weight", 10))
        text = f"{device['major']}:{device['minor']} {value}"
        writes.append(Write("io", file, text, "--blkio-weight-device"))
    for key, name, option in _THROTTLES:
        for device in block.get(key) or []:
            # 0 took a limit away in version 1
            text = f"{device['major']}:{device['minor']} {name}={device['rate'] or 'max'}"
            writes.append(Write("io", "io.max", text, option))
