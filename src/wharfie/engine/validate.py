"""What Docker refuses and what it warns about, in its words.

Pure: the facts about the machine come in as :class:`~wharfie.engine.oci.host.Host`. :func:`resources` also
answers with the configuration without what the machine cannot do.
"""

from __future__ import annotations

import posixpath
import re
from ipaddress import ip_address
from typing import TypeVar

import msgspec

from wharfie.engine import health, restart, writable
from wharfie.engine.oci.capabilities import normalise
from wharfie.engine.oci.host import Host
from wharfie.engine.oci.limits import check_ulimits
from wharfie.engine.oci.security import parse_security
from wharfie.engine.oci.sysctls import check_sysctls
from wharfie.engine.publishing import bindings
from wharfie.engine.signals import parse_signal
from wharfie.errors import InvalidArgument
from wharfie.network import egress, ports, rates
from wharfie.network.files import parse_extra_hosts
from wharfie.network.model import Mode, ModeKind
from wharfie.wire.config import Config, HostConfig, Resources

MINIMUM_MEMORY = 6 << 20
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
R = TypeVar("R", bound=Resources)


def name(text: str) -> str:
    """A container's name without its slash; raises InvalidArgument."""
    bare = text.removeprefix("/")
    if not _NAME.fullmatch(bare):
        raise InvalidArgument(f"Invalid container name ({bare}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return bare


def config(asked: Config, host_config: HostConfig) -> None:
    """The portable part; raises InvalidArgument."""
    working_directory(asked.working_dir)
    if asked.stop_signal:
        parse_signal(asked.stop_signal)
    for variable in asked.env or ():
        if not variable or variable.startswith("="):
            raise InvalidArgument(f"invalid environment variable: {variable}")
        if "\0" in variable:
            raise InvalidArgument("invalid environment variable: it contains a NUL character")
    health.validate(asked.healthcheck)
    if host_config.auto_remove and host_config.restart_policy.name not in ("", "no"):
        raise InvalidArgument("can't create 'AutoRemove' container with restart policy")


def working_directory(path: str) -> None:
    """A working directory, the image's too; raises InvalidArgument."""
    if path and not posixpath.isabs(path):
        raise InvalidArgument(f"the working directory '{path}' is invalid, it needs to be an absolute path")


def host_config(asked: HostConfig, host: Host) -> list[str]:
    """The host-bound part without its resources; the warnings. Raises InvalidArgument."""
    restart.validate(asked.restart_policy)
    if asked.shm_size < 0:
        raise InvalidArgument("SHM size can not be less than 0")
    if not -1000 <= asked.oom_score_adj <= 1000:
        raise InvalidArgument(
            f"Invalid value {asked.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    normalise(asked.cap_add, "CapAdd")
    normalise(asked.cap_drop, "CapDrop")
    _modes(asked)
    parse_security(asked.security_opt or [], host)
    check_sysctls(asked)
    check_ulimits(asked.ulimits or [], host)
    if asked.runtime not in ("", "wharfie-runtime", "runc", "io.containerd.runc.v2"):
        raise InvalidArgument(f"unknown or invalid runtime name: {asked.runtime}")
    if asked.isolation not in ("", "default"):
        raise InvalidArgument(f"Invalid isolation: \"{asked.isolation}\" - linux only supports 'default'")
    for option in asked.storage_opt or ():
        if option.lower() != "size":
            raise InvalidArgument(f"Unknown option {option}")
    writable.asked_size(asked.storage_opt)
    _unsupported(asked)
    ports.parse(bindings(asked))
    rates.parse(asked.network_rate)
    egress.joined(asked.egress)
    warnings = []
    if asked.network_mode == "host" and asked.port_bindings:
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def _unsupported(asked: HostConfig) -> None:
    if asked.device_requests:
        words = [
            word
            for request in asked.device_requests
            for group in request.capabilities or []
            for word in group
        ]
        raise InvalidArgument(
            f'could not select device driver "{asked.device_requests[0].driver}" with capabilities: '
            f"[[{' '.join(words)}]]"
        )


def _modes(asked: HostConfig) -> None:
    if not _one_of(asked.ipc_mode, "", "none", "private", "shareable", "host", container=True):
        raise InvalidArgument(f"invalid IPC mode: {asked.ipc_mode}")
    if not _one_of(asked.pid_mode, "", "host", container=True):
        raise InvalidArgument(f"invalid PID mode: {asked.pid_mode}")
    if asked.uts_mode not in ("", "host"):
        raise InvalidArgument(f"invalid UTS mode: {asked.uts_mode}")
    if asked.userns_mode not in ("", "host", "private"):
        raise InvalidArgument(f"invalid user namespace mode: {asked.userns_mode}")
    if asked.cgroupns_mode not in ("", "host", "private"):
        raise InvalidArgument(f"invalid cgroup namespace mode: {asked.cgroupns_mode}")
    if asked.userns_mode == "private" and asked.privileged:
        raise InvalidArgument(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host "
            "namespace when running privileged mode"
        )


def _one_of(mode: str, *modes: str, container: bool = False) -> bool:
    return mode in modes or (container and mode.startswith("container:") and len(mode) > len("container:"))


def network(asked: Config, host: HostConfig) -> None:
    """What does not go together with a network mode; raises InvalidArgument."""
    mode = Mode.parse(host.network_mode)
    if host.uts_mode == "host" and asked.hostname:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    for server in host.dns or ():
        try:
            ip_address(server.partition("%")[0])
        except ValueError:
            raise InvalidArgument(
                f'bad nameserver address {server}: ParseAddr("{server}"): unable to parse IP'
            ) from None
    parse_extra_hosts(host.extra_hosts or (), "0.0.0.0")
    if mode.kind is not ModeKind.CONTAINER:
        return
    for problem, conflicts in (
        ("a network rate and the network mode", host.network_rate),
        ("an egress list and the network mode", host.egress),
        ("hostname and the network mode", asked.hostname),
        ("dns and the network mode", host.dns),
        ("custom host-to-IP mapping and the network mode", host.extra_hosts),
        ("mac-address and the network mode", asked.mac_address),
        ("port publishing and the container type network mode", host.port_bindings or host.publish_all_ports),
        ("port exposing and the container type network mode", asked.exposed_ports),
    ):
        if conflicts:
            raise InvalidArgument(f"conflicting options: {problem}")


# -- limits -----------------------------------------------------------------------------------------


def resources(asked: R, host: Host, *, update: bool = False) -> tuple[R, list[str]]:
    """Limits without those this machine cannot set, and the warnings about them; raises InvalidArgument."""
    warnings: list[str] = []
    changes: dict[str, object] = {}
    _memory(asked, host, warnings, changes, update)
    _cpu(asked, host, warnings, changes)
    _cpuset(asked.cpuset_cpus, host.online_cpus, "cpuset cpus", "CPUs")
    _cpuset(asked.cpuset_mems, host.memory_nodes, "cpuset mems", "memory nodes")
    _blkio(asked, host, warnings, changes)
    if asked.pids_limit is not None and asked.pids_limit < -1:
        changes["pids_limit"] = -1
    if asked.io_maximum_bandwidth:
        raise InvalidArgument("Invalid QoS settings: linux does not support Maximum IO Bandwidth")
    if asked.io_maximum_iops:
        raise InvalidArgument("Invalid QoS settings: linux does not support Maximum IO IOps")
    return (msgspec.structs.replace(asked, **changes) if changes else asked), warnings


def _memory(
    asked: Resources, host: Host, warnings: list[str], changes: dict[str, object], update: bool
) -> None:
    memory, swap, reservation = asked.memory, asked.memory_swap, asked.memory_reservation
    if memory != 0 and memory < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if memory > 0 and swap != -1 and not host.swap_limit:
        warnings.append(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
            "Memory limited without swap."
        )
        changes["memory_swap"] = swap = -1
    if memory > 0 and 0 < swap < memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0 and not update:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    swappiness = asked.memory_swappiness
    if swappiness is not None and swappiness != -1:
        if not 0 <= swappiness <= 100:
            raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
        if not host.swappiness:
            warnings.append(
                "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
                "Memory swappiness discarded."
            )
            changes["memory_swappiness"] = None
    if 0 < reservation < MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if memory > 0 and reservation > memory:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    if asked.kernel_memory:
        warnings.append("Specifying a kernel memory limit is deprecated and is ignored.")
    if asked.oom_kill_disable and not host.oom_kill_disable:
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        changes["oom_kill_disable"] = None
    elif asked.oom_kill_disable and memory == 0:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
            "system running out of resources."
        )


def _cpu(asked: Resources, host: Host, warnings: list[str], changes: dict[str, object]) -> None:
    if asked.nano_cpus > 0 and asked.cpu_period > 0:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if asked.nano_cpus > 0 and asked.cpu_quota > 0:
        raise InvalidArgument("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if asked.nano_cpus < 0 or asked.nano_cpus > host.cpus * 1_000_000_000:
        raise InvalidArgument(
            f"Range of CPUs is from 0.01 to {host.cpus}.00, as there are only {host.cpus} CPUs available"
        )
    if asked.cpu_shares < 0:
        raise InvalidArgument(f"shares cannot be negative: {asked.cpu_shares}")
    if asked.cpu_period and not 1000 <= asked.cpu_period <= 1_000_000:
        raise InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < asked.cpu_quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (asked.cpu_realtime_period or asked.cpu_realtime_runtime) and not host.realtime:
        raise InvalidArgument(
            "Your kernel does not support CPU real-time scheduler or the cgroup is not mounted"
        )
    if asked.cpu_realtime_runtime > asked.cpu_realtime_period > 0:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")
    if asked.cpu_percent > 0:
        warnings.append("linux does not support CPU percent. Percent discarded.")
        changes["cpu_percent"] = 0


def _cpuset(wanted: str, available: str, what: str, noun: str) -> None:
    if not wanted:
        return
    try:
        asked = _numbers(wanted)
    except ValueError as error:
        raise InvalidArgument(f"Invalid value {wanted} for {what}: {error}") from None
    if not asked <= _numbers(available):
        raise InvalidArgument(
            f"Requested {noun} are not available - requested {wanted}, available: {available}"
        )


def _numbers(text: str) -> set[int]:
    """The set that a list like ``0-2,4`` stands for (cpuset(7), "List format")."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"invalid format: {text}")
        low, high = int(first), int(last or first)
        if high < low:
            raise ValueError(f"invalid format: {text}")
        if high > 8192:
            raise ValueError(f"value of out range, maximum is 8192: {text}")
        found.update(range(low, high + 1))
    return found


def _blkio(asked: Resources, host: Host, warnings: list[str], changes: dict[str, object]) -> None:
    if asked.blkio_weight > 0 and not host.blkio_weight:
        warnings.append(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
        )
        changes["blkio_weight"] = 0
    elif asked.blkio_weight and not 10 <= asked.blkio_weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if asked.blkio_weight_device and not host.blkio_weight_device:
        warnings.append(
            "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
            "Weight-device discarded."
        )
        changes["blkio_weight_device"] = []
