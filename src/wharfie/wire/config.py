"""What a container shall be: the portable ``Config``, the host-bound ``HostConfig``, and the network part.

They are the bodies of create, the stored configuration of a container, and parts of its inspection. ``None``
for a list or map is Docker's ``null``: not given. Spellings follow the Engine API 1.51; a Python name is the
snake_case of Docker's (``UTSMode`` is ``uts_mode``, ``IPAddress`` is ``ip_address``).
"""

from __future__ import annotations

from typing import Any

from wharfie.wire.base import Wire, always, optional

# a Go set: map[string]struct{}
NameSet = dict[str, dict[str, Any] | None]


class HealthConfig(Wire, frozen=True, kw_only=True):
    """How to find out whether the container is healthy; durations in nanoseconds."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
    on_failure: str = ""
    """Our own: kill, restart or stop a container that became unhealthy."""


class Config(Wire, frozen=True, kw_only=True):
    """The part of a container's configuration that does not depend on the host."""

    hostname: str = always("")
    domainname: str = always("")
    user: str = always("")
    attach_stdin: bool = always(False)
    attach_stdout: bool = always(False)
    attach_stderr: bool = always(False)
    exposed_ports: NameSet | None = None
    tty: bool = always(False)
    open_stdin: bool = always(False)
    stdin_once: bool = always(False)
    env: list[str] | None = always(None)
    cmd: list[str] | None = always(None)
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = always("")
    volumes: NameSet | None = always(None)
    working_dir: str = always("")
    entrypoint: list[str] | None = always(None)
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = always(None)
    labels: dict[str, str] | None = always(None)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: list[str] | None = None


class LogConfig(Wire, frozen=True, kw_only=True):
    """Log driver and its options."""

    type: str = always("")
    config: dict[str, str] | None = always(None)


class RestartPolicy(Wire, frozen=True, kw_only=True):
    """When to start a container again."""

    name: str = always("")
    maximum_retry_count: int = always(0)


class PortBinding(Wire, frozen=True, kw_only=True):
    """Where a container's port appears on the host."""

    host_ip: str = always("")
    host_port: str = always("")
    firewall: str = ""
    """``host``: the host's own rules for local ports apply (Docker has no such thing)."""


class WeightDevice(Wire, frozen=True, kw_only=True):
    """A block device and its relative weight."""

    path: str = always("")
    weight: int = always(0)


class ThrottleDevice(Wire, frozen=True, kw_only=True):
    """A block device and its rate, per second."""

    path: str = always("")
    rate: int = always(0)


class DeviceMapping(Wire, frozen=True, kw_only=True):
    """A device of the host that the container gets."""

    path_on_host: str = always("")
    path_in_container: str = always("")
    cgroup_permissions: str = always("")


class DeviceRequest(Wire, frozen=True, kw_only=True):
    """Devices asked of a driver (``--gpus``)."""

    driver: str = always("")
    count: int = always(0)
    device_ids: list[str] | None = always(None, "DeviceIDs")
    capabilities: list[list[str]] | None = always(None)
    options: dict[str, str] | None = always(None)


class Ulimit(Wire, frozen=True, kw_only=True):
    """A resource limit of the container's processes."""

    name: str = always("")
    hard: int = always(0)
    soft: int = always(0)


class BindOptions(Wire, frozen=True, kw_only=True):
    """What concerns bind mounts only."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False
    id_map: str = optional("", "IDMap")
    """Our own: whose files they are on the host (``volumes/idmapping.py``)."""


class DriverConfig(Wire, frozen=True, kw_only=True):
    """Volume driver of a mount, and its options."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(Wire, frozen=True, kw_only=True):
    """What concerns volumes only."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


class ImageOptions(Wire, frozen=True, kw_only=True):
    """What concerns image mounts only."""

    subpath: str = ""


class TmpfsOptions(Wire, frozen=True, kw_only=True):
    """What concerns tmpfs mounts only."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(Wire, frozen=True, kw_only=True):
    """One ``--mount``."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class Resources(Wire, frozen=True, kw_only=True):
    """Limits that can be changed on a live container; part of ``HostConfig`` and of an update."""

    cpu_shares: int = always(0)
    memory: int = always(0)
    nano_cpus: int = always(0)
    cgroup_parent: str = always("")
    blkio_weight: int = always(0)
    blkio_weight_device: list[WeightDevice] | None = always(None)
    blkio_device_read_bps: list[ThrottleDevice] | None = always(None)
    blkio_device_write_bps: list[ThrottleDevice] | None = always(None)
    blkio_device_read_iops: list[ThrottleDevice] | None = always(None, "BlkioDeviceReadIOps")
    blkio_device_write_iops: list[ThrottleDevice] | None = always(None, "BlkioDeviceWriteIOps")
    cpu_period: int = always(0)
    cpu_quota: int = always(0)
    cpu_realtime_period: int = always(0)
    cpu_realtime_runtime: int = always(0)
    cpuset_cpus: str = always("")
    cpuset_mems: str = always("")
    devices: list[DeviceMapping] | None = always(None)
    device_cgroup_rules: list[str] | None = always(None)
    device_requests: list[DeviceRequest] | None = always(None)
    kernel_memory: int = 0
    kernel_memory_tcp: int = optional(0, "KernelMemoryTCP")
    memory_reservation: int = always(0)
    memory_swap: int = always(0)
    memory_swappiness: int | None = always(None)
    oom_kill_disable: bool | None = always(None)
    pids_limit: int | None = always(None)
    ulimits: list[Ulimit] | None = always(None)
    cpu_count: int = always(0)
    cpu_percent: int = always(0)
    io_maximum_iops: int = always(0, "IOMaximumIOps")
    io_maximum_bandwidth: int = always(0, "IOMaximumBandwidth")


class HostConfig(Resources, frozen=True, kw_only=True):
    """The part of a container's configuration that depends on the host."""

    binds: list[str] | None = always(None)
    container_id_file: str = always("", "ContainerIDFile")
    log_config: LogConfig = always(LogConfig())
    network_mode: str = always("")
    port_bindings: dict[str, list[PortBinding] | None] | None = always(None)
    restart_policy: RestartPolicy = always(RestartPolicy())
    auto_remove: bool = always(False)
    volume_driver: str = always("")
    volumes_from: list[str] | None = always(None)
    console_size: tuple[int, int] = always((0, 0))
    annotations: dict[str, str] | None = None
    cap_add: list[str] | None = always(None)
    cap_drop: list[str] | None = always(None)
    cgroupns_mode: str = always("")
    dns: list[str] | None = always(None)
    dns_options: list[str] | None = always(None)
    dns_search: list[str] | None = always(None)
    extra_hosts: list[str] | None = always(None)
    group_add: list[str] | None = always(None)
    ipc_mode: str = always("")
    cgroup: str = always("")
    links: list[str] | None = always(None)
    oom_score_adj: int = always(0)
    pid_mode: str = always("")
    privileged: bool = always(False)
    publish_all_ports: bool = always(False)
    readonly_rootfs: bool = always(False)
    security_opt: list[str] | None = always(None)
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = always("", "UTSMode")
    userns_mode: str = always("")
    shm_size: int = always(0)
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = always("")
    mounts: list[Mount] | None = None
    network_rate: str = ""
    """``in=10mbit,out=5mbit`` (Docker has no such thing)."""
    egress: str = ""
    """``allow=example.com,10.0.0.0/8`` (Docker has no such thing)."""
    masked_paths: list[str] | None = always(None)
    readonly_paths: list[str] | None = always(None)
    init: bool | None = None


class EndpointIPAMConfig(Wire, frozen=True, kw_only=True):
    """Addresses asked for on a network."""

    ipv4_address: str = optional("", "IPv4Address")
    ipv6_address: str = optional("", "IPv6Address")
    link_local_ips: list[str] | None = optional(None, "LinkLocalIPs")


class EndpointSettings(Wire, frozen=True, kw_only=True):
    """A container's place on one network: asked for on create, filled in on inspection."""

    ipam_config: EndpointIPAMConfig | None = always(None, "IPAMConfig")
    links: list[str] | None = always(None)
    aliases: list[str] | None = always(None)
    mac_address: str = always("")
    driver_opts: dict[str, str] | None = always(None)
    gw_priority: int = always(0)
    network_id: str = always("", "NetworkID")
    endpoint_id: str = always("", "EndpointID")
    gateway: str = always("")
    ip_address: str = always("", "IPAddress")
    ip_prefix_len: int = always(0, "IPPrefixLen")
    ipv6_gateway: str = always("", "IPv6Gateway")
    global_ipv6_address: str = always("", "GlobalIPv6Address")
    global_ipv6_prefix_len: int = always(0, "GlobalIPv6PrefixLen")
    dns_names: list[str] | None = always(None, "DNSNames")


class NetworkingConfig(Wire, frozen=True, kw_only=True):
    """The networks a new container shall join."""

    endpoints_config: dict[str, EndpointSettings | None] | None = always(None)
