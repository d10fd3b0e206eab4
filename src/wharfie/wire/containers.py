"""Requests and answers about containers (the configuration itself is in :mod:`wharfie.wire.config`)."""

from __future__ import annotations

import msgspec

from wharfie.wire.base import Wire, always, named, optional
from wharfie.wire.config import (
    Config,
    EndpointSettings,
    HostConfig,
    NetworkingConfig,
    PortBinding,
    Resources,
    RestartPolicy,
)

__all__ = [
    "Config",
    "ContainerInspect",
    "ContainerSummary",
    "CreateContainer",
    "CreateResponse",
    "EndpointSettings",
    "HostConfig",
    "NetworkingConfig",
    "PortBinding",
    "Resources",
    "RestartPolicy",
    "UpdateContainer",
]


class CreateContainer(Config, frozen=True, kw_only=True):
    """Body of ``POST /containers/create``."""

    host_config: HostConfig = always(HostConfig())
    networking_config: NetworkingConfig | None = None

    def config(self) -> Config:
        """The portable part alone."""
        return msgspec.convert(self, Config, from_attributes=True)


class CreateResponse(Wire, frozen=True, kw_only=True):
    """Answer to create."""

    id: str
    warnings: list[str] = always([])


class UpdateContainer(Resources, frozen=True, kw_only=True):
    """Body of ``POST /containers/{id}/update``."""

    restart_policy: RestartPolicy = always(RestartPolicy())
    publish_add: dict[str, list[PortBinding] | None] | None = None
    publish_remove: list[str] | None = None
    """``[address:]port[/protocol]`` of the host (Docker has none of these four)."""
    network_rate: str | None = None
    egress: str | None = None


class UpdateResponse(Wire, frozen=True, kw_only=True):
    """Answer to update."""

    warnings: list[str] | None = always(None)


class WaitError(Wire, frozen=True, kw_only=True):
    """What went wrong while a container was waited for."""

    message: str = always("")


class WaitResponse(Wire, frozen=True, kw_only=True):
    """Answer to wait."""

    status_code: int
    error: WaitError | None = None


class TopResponse(Wire, frozen=True, kw_only=True):
    """Processes of a container."""

    titles: list[str]
    processes: list[list[str]]


class Change(Wire, frozen=True, kw_only=True):
    """One changed path: kind 0 modified, 1 added, 2 deleted."""

    path: str
    kind: int


class HealthLog(Wire, frozen=True, kw_only=True):
    """One run of a health check."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(Wire, frozen=True, kw_only=True):
    """What the health checks say."""

    status: str
    failing_streak: int = always(0)
    log: list[HealthLog] | None = always(None)


class State(Wire, frozen=True, kw_only=True):
    """How a container is."""

    status: str
    running: bool = always(False)
    paused: bool = always(False)
    restarting: bool = always(False)
    oom_killed: bool = always(False, "OOMKilled")
    dead: bool = always(False)
    pid: int = always(0)
    exit_code: int = always(0)
    error: str = always("")
    started_at: str = always("0001-01-01T00:00:00Z")
    finished_at: str = always("0001-01-01T00:00:00Z")
    health: Health | None = None


class MountPoint(Wire, frozen=True, kw_only=True):
    """Something mounted in a container."""

    type: str = ""
    name: str = ""
    source: str = always("")
    destination: str = always("")
    driver: str = ""
    mode: str = always("")
    rw: bool = always(False, "RW")
    propagation: str = always("")


class NetworkSettings(Wire, frozen=True, kw_only=True):
    """A container's network as inspected; the fields beside ``networks`` repeat the default bridge's."""

    bridge: str = always("")
    sandbox_id: str = always("", "SandboxID")
    sandbox_key: str = always("")
    ports: dict[str, list[PortBinding] | None] = always({})
    hairpin_mode: bool = always(False)
    link_local_ipv6_address: str = always("", "LinkLocalIPv6Address")
    link_local_ipv6_prefix_len: int = always(0, "LinkLocalIPv6PrefixLen")
    secondary_ip_addresses: list[str] | None = always(None, "SecondaryIPAddresses")
    secondary_ipv6_addresses: list[str] | None = always(None, "SecondaryIPv6Addresses")
    endpoint_id: str = always("", "EndpointID")
    gateway: str = always("")
    global_ipv6_address: str = always("", "GlobalIPv6Address")
    global_ipv6_prefix_len: int = always(0, "GlobalIPv6PrefixLen")
    ip_address: str = always("", "IPAddress")
    ip_prefix_len: int = always(0, "IPPrefixLen")
    ipv6_gateway: str = always("", "IPv6Gateway")
    mac_address: str = always("")
    networks: dict[str, EndpointSettings] = always({})


class GraphDriver(Wire, frozen=True, kw_only=True):
    """Where the storage driver keeps a container or image."""

    data: dict[str, str] | None = always(None)
    name: str = always("")


class ContainerInspect(Wire, frozen=True, kw_only=True):
    """Everything about one container."""

    id: str
    created: str
    path: str
    args: list[str]
    state: State
    image: str
    resolv_conf_path: str = always("")
    hostname_path: str = always("")
    hosts_path: str = always("")
    log_path: str = always("")
    name: str
    restart_count: int = always(0)
    driver: str = always("")
    platform: str = always("linux")
    mount_label: str = always("")
    process_label: str = always("")
    app_armor_profile: str = always("")
    exec_ids: list[str] | None = always(None, "ExecIDs")
    host_config: HostConfig
    graph_driver: GraphDriver = always(GraphDriver())
    size_rw: int | None = None
    size_root_fs: int | None = None
    mounts: list[MountPoint] = always([])
    config: Config
    network_settings: NetworkSettings = always(NetworkSettings())


class Port(Wire, frozen=True, kw_only=True):
    """A port as ``ps`` lists it."""

    ip: str = optional("", "IP")
    private_port: int
    public_port: int = 0
    type: str


class HostConfigSummary(Wire, frozen=True, kw_only=True):
    """The little that ``ps`` tells about the host configuration."""

    network_mode: str = ""
    annotations: dict[str, str] | None = None


class NetworkSettingsSummary(Wire, frozen=True, kw_only=True):
    """The networks of a container in a list."""

    networks: dict[str, EndpointSettings] = always({})


class ContainerSummary(Wire, frozen=True, kw_only=True):
    """One container in a list."""

    id: str
    names: list[str]
    image: str
    image_id: str = named("ImageID")
    command: str
    created: int
    ports: list[Port] = always([])
    size_rw: int = 0
    size_root_fs: int = 0
    labels: dict[str, str] = always({})
    state: str
    status: str
    host_config: HostConfigSummary = always(HostConfigSummary())
    network_settings: NetworkSettingsSummary = always(NetworkSettingsSummary())
    mounts: list[MountPoint] = always([])


class ContainerPrune(Wire, frozen=True, kw_only=True):
    """Answer to prune."""

    containers_deleted: list[str] | None = always(None)
    space_reclaimed: int = always(0)
