"""The daemon as a whole: what it is, what it has, what it takes, and what happens in it.

Docker's ``info`` in full, except that a field which names a part of Docker that is not here (runc,
containerd, a Go version) says so instead of naming something else.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import wharfie
from wharfie.engine import filters as filtering
from wharfie.engine import logoptions
from wharfie.engine.container import State
from wharfie.engine.containers import Containers
from wharfie.engine.events import EventBus
from wharfie.engine.oci.host import Host, this_host
from wharfie.engine.removal import uses_volume
from wharfie.images.image import ContainerUse
from wharfie.images.store import ImageStore
from wharfie.runtime.cgroups.layout import Layout, layout
from wharfie.runtime.features import features
from wharfie.support.files import atomic_write
from wharfie.support.units import format_time
from wharfie.volumes.manager import VolumeManager
from wharfie.wire.base import encode
from wharfie.wire.containers import ContainerSummary
from wharfie.wire.events import Event
from wharfie.wire.images import ImageSummary
from wharfie.wire.system import (
    AddressPool,
    Commit,
    Component,
    DiskUsage,
    FirewallInfo,
    Info,
    Platform,
    Plugins,
    RegistryConfig,
    Version,
)
from wharfie.wire.volumes import UsageData, Volume

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"
RUNTIME = "wharfie-runtime"
FEATURES = "org.opencontainers.runtime-spec.features"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_NO_SWARM = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}
_KINDS = frozenset({"image", "container", "volume", "build-cache"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """What the wiring knows and the engine does not."""

    data_root: str
    debug: bool = False
    experimental: bool = False
    labels: tuple[str, ...] = ()
    log_driver: str = "json-file"
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    proxies: tuple[str, str, str] = ("", "", "")
    """For HTTP, for HTTPS, and what goes without."""
    firewall: str = "nftables"
    pools: tuple[tuple[str, int], ...] = ()
    """Base and size of what networks' subnets are taken from, where that was configured."""
    buildkit: bool = True
    """Whether clients are to build by BuildKit's protocol."""
    request_shutdown: Callable[[], None] = lambda: None


class System:
    """Answers for the daemon."""

    def __init__(
        self,
        *,
        facts: SystemFacts,
        containers: Containers,
        images: ImageStore,
        volumes: VolumeManager,
        events: EventBus,
    ) -> None:
        self._facts = facts
        self._containers = containers
        self._images = images
        self._volumes = volumes
        self._events = events
        self._id = _identity(facts.data_root)

    def reconfigure(self, **changed: Any) -> None:
        """Other facts of these names from now on."""
        self._facts = replace(self._facts, **changed)

    @property
    def id(self) -> str:
        """The installation's id."""
        return self._id

    @property
    def builder_version(self) -> str:
        """Which of the two builders' protocols a client should prefer, as Docker numbers them."""
        return "2" if self._facts.buildkit else "1"

    def version(self) -> Version:
        """``docker version``."""
        uname = os.uname()
        arch = _ARCHITECTURES.get(uname.machine, uname.machine)
        details = {
            "ApiVersion": API_VERSION,
            "Arch": arch,
            "BuildTime": "",
            "Experimental": "true" if self._facts.experimental else "false",
            "GitCommit": "",
            "GoVersion": _language(),
            "KernelVersion": uname.release,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
        }
        return Version(
            platform=Platform(name="wharfie"),
            components=[Component(name="Engine", version=wharfie.__version__, details=details)],
            version=wharfie.__version__,
            api_version=API_VERSION,
            min_api_version=MIN_API_VERSION,
            go_version=_language(),
            os="linux",
            arch=arch,
            kernel_version=uname.release,
            experimental=self._facts.experimental,
        )

    def info(self) -> Info:
        """``docker info``."""
        host, groups, uname = this_host(), layout(), os.uname()
        states = [container.status.state for container in self._containers.all()]
        running = states.count(State.RUNNING) + states.count(State.RESTARTING)
        paused = states.count(State.PAUSED)
        return Info(
            id=self._id,
            containers=len(states),
            containers_running=running,
            containers_paused=paused,
            containers_stopped=len(states) - running - paused,
            images=len(self._images.images()),
            driver="overlay2",
            driver_status=[("Backing Filesystem", _file_system(self._facts.data_root))],
            plugins=Plugins(
                volume=["local"], network=["bridge", "host", "macvlan", "null"], log=list(logoptions.DRIVERS)
            ),
            memory_limit=host.unified or "memory" in groups.controllers,
            swap_limit=host.swap_limit,
            cpu_cfs_period=_has(groups, "cpu", "cpu.cfs_period_us"),
            cpu_cfs_quota=_has(groups, "cpu", "cpu.cfs_quota_us"),
            cpu_shares=_has(groups, "cpu", "cpu.shares"),
            cpu_set=host.unified or "cpuset" in groups.controllers,
            pids_limit=host.unified or "pids" in groups.controllers,
            ipv4_forwarding=_switch("/proc/sys/net/ipv4/ip_forward"),
            debug=self._facts.debug, experimental_build=self._facts.experimental,
            n_fd=len(os.listdir("/proc/self/fd")),
            oom_kill_disable=host.oom_kill_disable,
            n_goroutines=len(asyncio.all_tasks()),
            system_time=format_time(time.time_ns()),
            logging_driver=self._facts.log_driver,
            cgroup_version="2" if host.unified else "1",
            kernel_version=uname.release,
            operating_system=_os_release("PRETTY_NAME") or "Linux",
            os_version=_os_release("VERSION_ID"),
            architecture=uname.machine,
            registry_config=self._registries(),
            ncpu=host.cpus,
            mem_total=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            docker_root_dir=self._facts.data_root,
            http_proxy=_without_password(self._facts.proxies[0]),
            https_proxy=_without_password(self._facts.proxies[1]),
            no_proxy=self._facts.proxies[2],
            name=socket.gethostname(),
            labels=list(self._facts.labels),
            server_version=wharfie.__version__,
            runtimes={RUNTIME: {"path": RUNTIME, "status": {FEATURES: _features()}}},
            default_runtime=RUNTIME,
            swarm=_NO_SWARM,
            init_binary="docker-init",
            containerd_commit=Commit(id="none"),
            runc_commit=Commit(id="none"),
            init_commit=Commit(id="none"),
            security_options=["name=seccomp,profile=builtin", *(["name=cgroupns"] if host.unified else [])],
            firewall_backend=FirewallInfo(driver=self._facts.firewall),
            default_address_pools=[AddressPool(base=base, size=size) for base, size in self._facts.pools]
            or None,
            warnings=_warnings(host, groups),
        )  # fmt: skip

    def _registries(self) -> RegistryConfig:
        mirrors = [f"{mirror.rstrip('/')}/" for mirror in self._facts.registry_mirrors]
        return RegistryConfig(
            insecure_registry_cidrs=["127.0.0.0/8", "::1/128"],
            index_configs={
                "docker.io": {
                    "Name": "docker.io",
                    "Mirrors": mirrors,
                    "Secure": True,
                    "Official": True,
                }
            }
            | {
                name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
                for name in self._facts.insecure_registries
            },
            mirrors=mirrors or None,
        )

    async def disk_usage(self, kinds: Sequence[str]) -> DiskUsage:
        """``docker system df``; all kinds when none is named."""
        wanted = set(kinds) & _KINDS or _KINDS
        usage = self._images.disk_usage(self.image_users)
        images = [
            ImageSummary(
                containers=one.containers,
                created=one.image.created_unix,
                id=one.image.id,
                labels=one.image.config.labels,
                parent_id=one.image.parent,
                repo_digests=one.image.repo_digests,
                repo_tags=one.image.repo_tags,
                shared_size=one.shared,
                size=one.image.size,
            )
            for one in usage.images
        ]
        listed: list[ContainerSummary] = []
        if "container" in wanted:
            listed = await self._containers.list(all=True, size=True)
        return DiskUsage(
            layers_size=usage.layers if "image" in wanted else 0,
            images=images if "image" in wanted else [],
            containers=listed,
            volumes=await self._volume_usage() if "volume" in wanted else [],
        )

    async def _volume_usage(self) -> list[Volume]:
        found = []
        for volume in self._volumes.list():
            size = await asyncio.to_thread(self._volumes.size, volume.name)
            found.append(
                Volume(
                    created_at=format_time(volume.created_ns),
                    driver=volume.driver,
                    labels=volume.labels or None,
                    mountpoint=volume.mountpoint,
                    name=volume.name,
                    options=volume.options or None,
                    usage_data=UsageData(ref_count=len(self.volume_users(volume.name)), size=size),
                )
            )
        return found

    def image_users(self, image_id: str) -> list[ContainerUse]:
        """The containers made from an image."""
        return self._containers.image_users(image_id)

    def volume_users(self, name: str) -> list[str]:
        """Ids of the containers that have a volume."""
        return [container.id for container in self._containers.all() if uses_volume(container, name)]

    def events(
        self, *, since_ns: int | None, until_ns: int | None, filters: Mapping[str, Sequence[str]]
    ) -> AsyncIterator[Event]:
        """Past events from ``since_ns``, then those that come, until ``until_ns``."""
        return self._events_from(filtering.events(filters), since_ns, until_ns)

    async def _events_from(
        self, accepts: Callable[[Event], bool], since_ns: int | None, until_ns: int | None
    ) -> AsyncIterator[Event]:
        with self._events.subscribe(accepts=accepts, since_ns=since_ns, until_ns=until_ns) as subscription:
            async for event in subscription:
                yield event

    def request_shutdown(self) -> None:
        """End the daemon; containers live on."""
        self._facts.request_shutdown()


def _without_password(url: str) -> str:
    """A proxy's address as Docker shows it."""
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{separator}xxxxx:xxxxx@{host}" if user and at else url


@cache
def _features() -> str:
    return encode(features()).decode()


def _language() -> str:
    return f"none (Python {platform.python_version()})"


def _identity(data_root: str) -> str:
    """The installation's id: made once, kept in its data root."""
    path = os.path.join(data_root, "engine-id")
    try:
        with open(path, encoding="ascii") as file:
            known = file.read().strip()
    except FileNotFoundError:
        known = ""
    if not known:
        digits = os.urandom(16).hex()
        known = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        atomic_write(path, known.encode(), mode=0o600)
    return known


def _os_release(name: str) -> str:
    try:
        return platform.freedesktop_os_release().get(name, "")
    except OSError:
        return ""


def _switch(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(1) == "1"
    except OSError:
        return False


def _has(groups: Layout, controller: str, file: str) -> bool:
    if groups.mode == "v2":
        return True
    mount = groups.controllers.get(controller)
    return mount is not None and os.path.exists(f"{mount}/{file}")


def _file_system(path: str) -> str:
    """The type of the file system that holds ``path``; proc_pid_mountinfo(5)."""
    best, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            mount = before.split(" ")[4]
            if len(mount) >= len(best) and (path + "/").startswith(mount.rstrip("/") + "/"):
                best, kind = mount, after.split(" ")[0]
    return kind


def _warnings(host: Host, groups: Layout) -> list[str] | None:
    found = []
    if not (host.unified or "memory" in groups.controllers):
        found.append("WARNING: No memory limit support")
    if not host.swap_limit:
        found.append("WARNING: No swap limit support")
    if not _has(groups, "cpu", "cpu.cfs_quota_us"):
        found.append("WARNING: No cpu cfs quota support")
    if not (host.unified or "pids" in groups.controllers):
        found.append("WARNING: No pids limit support")
    if not _switch("/proc/sys/net/ipv4/ip_forward"):
        found.append("WARNING: IPv4 forwarding is disabled")
    return found or None
