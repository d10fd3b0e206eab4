"""Answers about the daemon as a whole."""

from __future__ import annotations

from typing import Any

from wharfie.wire.base import Wire, always, named, optional
from wharfie.wire.build import CacheRecord
from wharfie.wire.containers import ContainerSummary
from wharfie.wire.images import ImageSummary
from wharfie.wire.volumes import Volume


class Component(Wire, frozen=True, kw_only=True):
    """One part of the engine and its version."""

    name: str
    version: str
    details: dict[str, str] | None = None


class Platform(Wire, frozen=True, kw_only=True):
    """The product's name."""

    name: str = always("")


class Version(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /version``."""

    platform: Platform
    components: list[Component] = always([])
    version: str
    api_version: str
    min_api_version: str = optional("", "MinAPIVersion")
    git_commit: str = always("")
    go_version: str = always("")
    os: str
    arch: str
    kernel_version: str = ""
    build_time: str = ""
    experimental: bool = False


class Plugins(Wire, frozen=True, kw_only=True):
    """The drivers there are."""

    volume: list[str] = always([])
    network: list[str] = always([])
    authorization: list[str] | None = always(None)
    log: list[str] = always([])


class Commit(Wire, frozen=True, kw_only=True):
    """Version of an external part."""

    id: str = always("", "ID")


class RegistryConfig(Wire, frozen=True, kw_only=True):
    """How registries are reached."""

    insecure_registry_cidrs: list[str] = always([], "InsecureRegistryCIDRs")
    index_configs: dict[str, dict[str, Any]] = always({})
    mirrors: list[str] | None = always(None)


class AddressPool(Wire, frozen=True, kw_only=True):
    """What the subnets of new networks are taken from."""

    base: str
    size: int


class FirewallInfo(Wire, frozen=True, kw_only=True):
    """What makes the firewall's rules."""

    driver: str = always("")
    info: list[tuple[str, str]] | None = None


class Info(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /info``."""

    id: str = named("ID")
    containers: int
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    driver: str
    driver_status: list[tuple[str, str]] = always([])
    plugins: Plugins
    memory_limit: bool = always(False)
    swap_limit: bool = always(False)
    cpu_cfs_period: bool = always(False)
    cpu_cfs_quota: bool = always(False)
    cpu_shares: bool = always(False, "CPUShares")
    cpu_set: bool = always(False, "CPUSet")
    pids_limit: bool = always(False)
    ipv4_forwarding: bool = always(False, "IPv4Forwarding")
    debug: bool = always(False)
    n_fd: int = always(0, "NFd")
    oom_kill_disable: bool = always(False)
    n_goroutines: int = always(0)
    system_time: str
    logging_driver: str = always("json-file")
    cgroup_driver: str = always("cgroupfs")
    cgroup_version: str = ""
    n_events_listener: int = always(0)
    kernel_version: str
    operating_system: str
    os_version: str = always("", "OSVersion")
    os_type: str = always("linux", "OSType")
    architecture: str
    index_server_address: str = always("https://index.docker.io/v1/")
    registry_config: RegistryConfig | None = always(None)
    ncpu: int = named("NCPU")
    mem_total: int
    generic_resources: list[Any] | None = always(None)
    docker_root_dir: str
    http_proxy: str = always("")
    https_proxy: str = always("")
    no_proxy: str = always("")
    name: str
    labels: list[str] = always([])
    experimental_build: bool = always(False)
    server_version: str
    runtimes: dict[str, dict[str, Any]] = always({})
    default_runtime: str
    swarm: dict[str, Any] = always({})
    live_restore_enabled: bool = always(True)
    isolation: str = always("")
    init_binary: str = always("")
    containerd_commit: Commit = always(Commit())
    runc_commit: Commit = always(Commit())
    init_commit: Commit = always(Commit())
    security_options: list[str] = always([])
    cdi_spec_dirs: list[str] = always([], "CDISpecDirs")
    default_address_pools: list[AddressPool] | None = None
    firewall_backend: FirewallInfo | None = None
    warnings: list[str] | None = always(None)


class DiskUsage(Wire, frozen=True, kw_only=True):
    """Answer to ``GET /system/df``."""

    layers_size: int = always(0)
    images: list[ImageSummary] = always([])
    containers: list[ContainerSummary] = always([])
    volumes: list[Volume] = always([])
    build_cache: list[CacheRecord] = always([])
