"""OCI ``linux.resources`` as writes to the control files of version 1, in the order the kernel wants them.

See the kernel's Documentation/admin-guide/cgroup-v1 (cpusets, memory, blkio-controller, devices, pids) and
Documentation/scheduler/sched-bwc.
"""

from __future__ import annotations

from wharfie.runtime.cgroups.devices import Policy
from wharfie.runtime.cgroups.errors import LimitUnsupported
from wharfie.runtime.cgroups.writes import Write, rdma_writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.writes import Reader


def plan(resources: dict[str, Any], read: Reader, *, new: bool) -> list[Write]:
    """Everything to write; ``new`` says that the group was just made (its devices are all allowed yet)."""
    writes: list[Write] = []
    _cpu(resources.get("cpu") or {}, writes)
    _memory(resources.get("memory") or {}, writes, read)
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None and limit != 0:
        writes.append(Write("pids", "pids.max", "max" if limit < 0 else str(limit), "--pids-limit"))
    _block(resources.get("blockIO") or {}, writes, read)
    _rest(resources, writes)
    if resources.get("devices"):
        _devices(resources["devices"], writes, new)
    if resources.get("unified"):
        raise LimitUnsupported(
            "Settings of control groups version 2 (unified) are not possible on version 1."
        )
    return writes


def _cpu(cpu: dict[str, Any], writes: list[Write]) -> None:
    if cpu.get("shares"):
        writes.append(Write("cpu", "cpu.shares", str(cpu["shares"]), "--cpu-shares"))
    # a period is checked against the quota that is set already, so a growing one goes first
    if cpu.get("period"):
        writes.append(Write("cpu", "cpu.cfs_period_us", str(cpu["period"]), "--cpu-period"))
    if cpu.get("quota"):
        writes.append(Write("cpu", "cpu.cfs_quota_us", str(cpu["quota"]), "--cpu-quota"))
    if cpu.get("burst") is not None:
        writes.append(Write("cpu", "cpu.cfs_burst_us", str(cpu["burst"]), "cpu.burst"))
    if cpu.get("realtimePeriod"):
        writes.append(Write("cpu", "cpu.rt_period_us", str(cpu["realtimePeriod"]), "--cpu-rt-period"))
    if cpu.get("realtimeRuntime"):
        writes.append(Write("cpu", "cpu.rt_runtime_us", str(cpu["realtimeRuntime"]), "--cpu-rt-runtime"))
    if cpu.get("idle") is not None:
        writes.append(Write("cpu", "cpu.idle", str(cpu["idle"]), "cpu.idle"))
    if cpu.get("cpus"):
        writes.append(Write("cpuset", "cpuset.cpus", cpu["cpus"], "--cpuset-cpus"))
    if cpu.get("mems"):
        writes.append(Write("cpuset", "cpuset.mems", cpu["mems"], "--cpuset-mems"))


def _memory(memory: dict[str, Any], writes: list[Write], read: Reader) -> None:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit == -1 and not swap:
        # without a limit of memory, one of memory and swap together would remain as a surprise
        swap = -1 if read("memory", "memory.memsw.limit_in_bytes") else None
    writes += _memory_and_swap(limit, swap, read)
    if memory.get("reservation"):
        value = str(memory["reservation"])
        writes.append(Write("memory", "memory.soft_limit_in_bytes", value, "--memory-reservation"))
    if memory.get("swappiness") is not None and memory["swappiness"] != -1:
        value = str(memory["swappiness"])
        writes.append(Write("memory", "memory.swappiness", value, "--memory-swappiness"))
    if memory.get("disableOOMKiller") is not None and (
        memory["disableOOMKiller"] or read("memory", "memory.oom_control").startswith("oom_kill_disable 1")
    ):
        value = str(int(memory["disableOOMKiller"]))
        writes.append(Write("memory", "memory.oom_control", value, "--oom-kill-disable"))
    if memory.get("kernelTCP"):
        value = str(memory["kernelTCP"])
        writes.append(Write("memory", "memory.kmem.tcp.limit_in_bytes", value, "--kernel-memory-tcp"))


def _memory_and_swap(limit: int | None, swap: int | None, read: Reader) -> list[Write]:
    """The two limits in the order in which memory never exceeds memory+swap on the way."""
    writes = []
    if limit:
        writes.append(Write("memory", "memory.limit_in_bytes", str(limit), "--memory"))
    if swap:
        writes.append(Write("memory", "memory.memsw.limit_in_bytes", str(swap), "--memory-swap"))
    if len(writes) == 2:
        # from unlimited the old value is a huge number, so that the limit of memory goes first
        old = int(read("memory", "memory.memsw.limit_in_bytes") or 0)
        if swap == -1 or (old and (limit == -1 or (limit or 0) > old)):
            writes.reverse()
    return writes


_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "--device-read-bps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "--device-write-bps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "--device-read-iops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "--device-write-iops"),
)


def _block(block: dict[str, Any], writes: list[Write], read: Reader) -> None:
    if block.get("weight"):
        # the BFQ scheduler's file where it is loaded, CFQ's on old kernels
        file = "blkio.bfq.weight" if read("blkio", "blkio.bfq.weight") else "blkio.weight"
        writes.append(Write("blkio", file, str(block["weight"]), "--blkio-weight"))
    if block.get("leafWeight"):
        writes.append(Write("blkio", "blkio.leaf_weight", str(block["leafWeight"]), "blockIO.leafWeight"))
    for device in block.get("weightDevice") or []:
        value = f"{device['major']}:{device['minor']} {device.get('weight', 0)}"
        file = "blkio.weight_device" if read("blkio", "blkio.weight_device") else "blkio.bfq.weight_device"
        writes.append(Write("blkio", file, value, "--blkio-weight-device"))
    for key, file, option in _THROTTLES:
        for device in block.get(key) or []:
            value = f"{device['major']}:{device['minor']} {device['rate']}"
            writes.append(Write("blkio", file, value, option))


def _rest(resources: dict[str, Any], writes: list[Write]) -> None:
    for page in resources.get("hugepageLimits") or []:
        file = f"hugetlb.{page['pageSize']}.limit_in_bytes"
        writes.append(Write("hugetlb", file, str(page["limit"]), "hugepageLimits"))
    network = resources.get("network") or {}
    if network.get("classID"):
        writes.append(Write("net_cls", "net_cls.classid", str(network["classID"]), "network.classID"))
    for entry in network.get("priorities") or []:
        value = f"{entry['name']} {entry['priority']}"
        writes.append(Write("net_prio", "net_prio.ifpriomap", value, "network.priorities"))
    writes += rdma_writes(resources)


def _devices(rules: list[dict[str, Any]], writes: list[Write], new: bool) -> None:
    policy = Policy(rules)
    exceptions = policy.exceptions()
    if policy.allow_all:
        if not new:
            writes.append(Write("devices", "devices.allow", "a", "--device"))
        file = "devices.deny"
    else:
        writes.append(Write("devices", "devices.deny", "a", "--device"))
        file = "devices.allow"
    writes += [Write("devices", file, rule.text(), "--device-cgroup-rule") for rule in exceptions]
