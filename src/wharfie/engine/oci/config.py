"""One container's OCI configuration, put together from Docker's (runtime-spec 1.2, config.md).

Pure but for what the parts look at on the host (devices by path): everything that belongs to one start
(files, joined namespaces, sources of volumes) comes in as :class:`Circumstances`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wharfie.engine.container import Container
from wharfie.engine.oci import capabilities, limits, namespaces
from wharfie.engine.oci.devices import devices
from wharfie.engine.oci.host import Host
from wharfie.engine.oci.mounts import mounts
from wharfie.engine.oci.namespaces import Joins
from wharfie.engine.oci.resources import resources
from wharfie.engine.oci.security import Security
from wharfie.volumes.model import MountPoint
from wharfie.wire.config import Config, HostConfig, Ulimit

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known at the start only."""

    hostname: str
    points: list[MountPoint]
    files: Mapping[str, str] = field(default_factory=dict)
    joins: Joins = field(default_factory=Joins)
    shm_source: str = ""
    mqueue_source: str = ""
    cgroup: str = ""
    ulimits: Mapping[str, Ulimit] = field(default_factory=dict)
    no_new_privileges: bool = False
    link_variables: Sequence[str] = ()


def environment(config: Config, hostname: str, links: Sequence[str] = ()) -> list[str]:
    """PATH, HOSTNAME and TERM as Docker gives them, under its own; a name without ``=`` removes one."""
    found = {"PATH": f"PATH={DEFAULT_PATH}", "HOSTNAME": f"HOSTNAME={hostname}"}
    if config.tty:
        found["TERM"] = "TERM=xterm"
    found.update((entry.partition("=")[0], entry) for entry in links)
    for entry in config.env or ():
        name, equals, _ = entry.partition("=")
        if equals:
            found[name] = entry
        else:
            found.pop(name, None)
    return list(found.values())


def capability_names(asked: HostConfig, host: Host) -> list[str]:
    """The container's capabilities."""
    return capabilities.effective(
        asked.cap_add, asked.cap_drop, privileged=asked.privileged, bounding=host.bounding
    )


def specification(container: Container, security: Security, host: Host, now: Circumstances) -> dict[str, Any]:
    """``config.json``; raises InvalidArgument, NotSupported for what only shows at the start."""
    asked = container.host_config
    spec: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "process": _process(container, security, host, now),
        "root": {"path": "rootfs", "readonly": asked.readonly_rootfs},
        "mounts": mounts(
            asked,
            now.points,
            files=now.files,
            shm_source=now.shm_source,
            mqueue_source=now.mqueue_source,
            private_cgroup=asked.cgroupns_mode == "private",
            ids=(container.config.user, container.record.userns_base),
        ),
        "linux": _linux(container, now),
    }
    # a host name is the UTS namespace's: not ours to set where it is the host's
    if asked.uts_mode != "host":
        spec["hostname"] = now.hostname
        if container.config.domainname:
            spec["domainname"] = container.config.domainname
    if asked.annotations:
        spec["annotations"] = asked.annotations
    return spec


def _process(container: Container, security: Security, host: Host, now: Circumstances) -> dict[str, Any]:
    config, asked = container.config, container.host_config
    names = capability_names(asked, host)
    no_new = security.no_new_privileges
    user: dict[str, Any] = {"username": config.user or "0"}
    if asked.group_add:
        user["additionalNames"] = list(asked.group_add)
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": user,
        "args": [container.record.path, *container.record.args],
        "env": environment(config, now.hostname, now.link_variables),
        "cwd": config.working_dir or "/",
        "capabilities": capabilities.process_sets(names),
        "noNewPrivileges": now.no_new_privileges if no_new is None else no_new,
        "oomScoreAdj": _oom_score(asked.oom_score_adj, host),
    }
    found = limits.rlimits(asked.ulimits, now.ulimits, host)
    if found:
        process["rlimits"] = found
    height, width = asked.console_size
    if config.tty and height and width:
        process["consoleSize"] = {"height": height, "width": width}
    return process


def _oom_score(asked: int, host: Host) -> int:
    """A default is raised to our own where the kernel lets nobody lower it (proc(5), oom_score_adj)."""
    if asked != 0 or host.raise_limits:
        return asked
    try:
        with open("/proc/self/oom_score_adj") as file:
            return max(0, int(file.read()))
    except OSError:
        return 0


def _linux(container: Container, now: Circumstances) -> dict[str, Any]:
    asked = container.host_config
    nodes, rules = devices(asked)
    limited = resources(asked)
    limited["devices"] = rules
    linux: dict[str, Any] = {
        "namespaces": namespaces.namespaces(asked, now.joins),
        "resources": limited,
        "cgroupsPath": now.cgroup,
        "maskedPaths": _existing(asked.masked_paths or []),
        "readonlyPaths": list(asked.readonly_paths or []),
    }
    if nodes:
        linux["devices"] = nodes
    if asked.sysctls:
        linux["sysctl"] = dict(asked.sysctls)
    if container.record.userns_base:
        mapping = namespaces.id_mappings(container.record.userns_base)
        linux["uidMappings"] = mapping
        linux["gidMappings"] = mapping
    propagated = {point.propagation for point in now.points}
    if propagated & {"shared", "rshared"}:
        linux["rootfsPropagation"] = "shared"
    elif propagated & {"slave", "rslave"}:
        linux["rootfsPropagation"] = "slave"
    return linux


def _existing(paths: list[str]) -> list[str]:
    # per-CPU directories are many; those this kernel lacks would each cost the start a system call
    return [path for path in paths if "/cpu" not in path or os.path.exists(path)]
