"""The daemon's configuration, checked: what the wiring works from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from wharfie.daemon import options
from wharfie.errors import InvalidArgument
from wharfie.images.registry.settings import checked_mirror
from wharfie.support.units import parse_size
from wharfie.wire.config import Ulimit

CONFIG_FILE = "/etc/wharfie/daemon.json"
DATA_ROOT = "/var/lib/wharfie"
EXEC_ROOT = "/run/wharfie"
_LOCAL6 = "fd77:6861:7266::/64"
_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How TCP sockets are protected. ``None`` for a switch: nobody said anything."""

    enabled: bool | None = None
    verify: bool | None = None
    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be chosen."""

    data_root: str = DATA_ROOT
    exec_root: str = EXEC_ROOT
    hosts: tuple[str, ...] = ()
    pidfile: str = ""
    group: str = ""
    debug: bool = False
    experimental: bool = False
    log_level: int = 20
    tls: Tls = field(default_factory=Tls)
    bridge: str = "wharfie0"
    bip: str = ""
    mtu: int = 1500
    iptables: bool = True
    ip_forward: bool = True
    ip_masq: bool = True
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: str = ""
    host_binding: str = ""
    subnet6: str = ""
    fixed_cidr: str = ""
    default_gateway: str = ""
    default_gateway6: str = ""
    icc: bool = True
    publish_firewall: str = "own"
    """``host``: the host's own rules for local ports apply to published ones."""
    address_pools: tuple[tuple[IPv4Network | IPv6Network, int], ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    max_download_attempts: int = 5
    labels: tuple[str, ...] = ()
    cgroup_parent: str = "/wharfie"
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    shm_size: int = 64 << 20
    ipc_mode: str = "private"
    cgroupns_mode: str = ""
    init: bool = False
    init_path: str = ""
    ulimits: dict[str, Ulimit] = field(default_factory=dict)
    no_new_privileges: bool = False
    seccomp_profile: str = ""
    metrics_address: str = ""
    buildkit: bool = True
    """Clients are told that BuildKit's protocol is what to build with."""
    shutdown_timeout: int = 15
    ignored: tuple[str, ...] = ()
    """Keys of the configuration file that nothing is done for."""

    @property
    def sockets(self) -> tuple[str, ...]:
        """Where to listen."""
        return self.hosts or (f"unix://{self.exec_root}/wharfie.sock",)

    @property
    def pid_path(self) -> str:
        """Where the process id is written."""
        return self.pidfile or f"{self.exec_root}/wharfie.pid"


def load(words: Sequence[str]) -> Config:
    """The configuration that flags and file give.

    Raises:
        InvalidArgument: something in them cannot be.
    """
    flags = options.parse(words)
    path = flags.pop("config-file", CONFIG_FILE)
    for name in ("help", "validate", "version"):
        flags.pop(name, None)
    in_file, ignored = options.read_file(path, required=path != CONFIG_FILE)
    return build(options.merge(flags, in_file, path), tuple(ignored))


def build(given: dict[str, Any], ignored: tuple[str, ...] = ()) -> Config:
    """A configuration from values by key; raises InvalidArgument."""
    _refuse_what_is_missing(given)
    level = given.get("log-level", "info").lower()
    if level not in _LEVELS:
        raise InvalidArgument(f"invalid logging level: {level}")
    debug = given.get("debug", False)
    return Config(
        data_root=_directory(given.get("data-root", DATA_ROOT)),
        exec_root=_directory(given.get("exec-root", EXEC_ROOT)),
        hosts=tuple(_host(text) for text in given.get("hosts", ())),
        pidfile=os.path.abspath(given["pidfile"]) if given.get("pidfile") else "",
        group=given.get("group", ""),
        debug=debug,
        experimental=given.get("experimental", False),
        log_level=10 if debug else _LEVELS[level],
        tls=Tls(
            enabled=given.get("tls"),
            verify=given.get("tlsverify"),
            ca=given.get("tlscacert", ""),
            certificate=given.get("tlscert", ""),
            key=given.get("tlskey", ""),
        ),
        bridge=given.get("bridge") or "wharfie0",
        mtu=given.get("mtu") or 1500,
        iptables=given.get("iptables", True),
        ip_forward=given.get("ip-forward", True),
        ip_masq=given.get("ip-masq", True),
        dns=tuple(given.get("dns", ())),
        dns_search=tuple(given.get("dns-search", ())),
        dns_options=tuple(given.get("dns-opts", ())),
        host_gateway=given.get("host-gateway-ip", ""),
        host_binding=_address(given.get("ip", "")),
        **_default_bridge(given),
        icc=given.get("icc", True),
        publish_firewall=_publish_firewall(given.get("publish-firewall", "own")),
        address_pools=tuple(_pool(one) for one in given.get("default-address-pools", ())),
        insecure_registries=tuple(given.get("insecure-registries", ())),
        registry_mirrors=tuple(checked_mirror(text) for text in given.get("registry-mirrors", ())),
        **_proxies(given),
        max_concurrent_downloads=_at_least_one(given, "max-concurrent-downloads", 3),
        max_concurrent_uploads=_at_least_one(given, "max-concurrent-uploads", 5),
        max_download_attempts=_at_least_one(given, "max-download-attempts", 5),
        labels=tuple(given.get("labels", ())),
        cgroup_parent=given.get("cgroup-parent") or "/wharfie",
        log_driver=given.get("log-driver") or "json-file",
        log_opts={name: str(value) for name, value in given.get("log-opts", {}).items()},
        shm_size=_size(given.get("default-shm-size", "64m")),
        ipc_mode=given.get("default-ipc-mode") or "private",
        cgroupns_mode=given.get("default-cgroupns-mode", ""),
        init=given.get("init", False),
        init_path=given.get("init-path", ""),
        ulimits=_ulimits(given.get("default-ulimits", ())),
        no_new_privileges=given.get("no-new-privileges", False),
        seccomp_profile=given.get("seccomp-profile", ""),
        metrics_address=_metrics_address(given.get("metrics-addr", "")),
        buildkit=_feature(given, "buildkit"),
        shutdown_timeout=given.get("shutdown-timeout", 15),
        ignored=ignored,
    )


def _refuse_what_is_missing(given: dict[str, Any]) -> None:
    driver = given.get("storage-driver", "")
    if driver not in ("", "overlay", "overlay2"):
        raise InvalidArgument(f"the storage driver {driver} is not supported: overlay is the one there is")
    for text in given.get("exec-opts", ()):
        if text != "native.cgroupdriver=cgroupfs":
            raise InvalidArgument(
                f"the runtime option {text} is not supported: native.cgroupdriver=cgroupfs is the only one"
            )
    if given.get("runtimes"):
        raise InvalidArgument('additional runtimes are not supported: remove --add-runtime and "runtimes"')
    if given.get("default-ipc-mode", "private") not in ("private", "shareable"):
        raise InvalidArgument(f"IPC mode {given['default-ipc-mode']!r} is not supported as a default")
    if given.get("default-cgroupns-mode", "private") not in ("private", "host"):
        raise InvalidArgument(f"the cgroup namespace mode {given['default-cgroupns-mode']!r} is invalid")


def _feature(given: dict[str, Any], name: str) -> bool:
    """A switch of ``features``, which is on by itself; others, which Docker has or had, do nothing here."""
    value = given.get("features", {}).get(name, True)
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if not isinstance(value, bool):
        raise InvalidArgument(f"invalid feature {name}={value}: it is true or false")
    return value


def _address(text: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise InvalidArgument(f"invalid --ip {text}: it is no address") from None


def _metrics_address(text: str) -> str:
    _, colon, port = text.rpartition(":")
    if text and not (colon and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidArgument(f"invalid metrics-addr {text}: it must be address:port")
    return text


def _default_bridge(given: dict[str, Any]) -> dict[str, str]:
    return {
        "bip": given.get("bip", ""),
        "subnet6": _subnet6(given),
        "fixed_cidr": _fixed_cidr(given.get("fixed-cidr", "")),
        "default_gateway": _gateway(given, "default-gateway", IPv4Address),
        "default_gateway6": _gateway(given, "default-gateway-v6", IPv6Address),
    }


def _subnet6(given: dict[str, Any]) -> str:
    text = given.get("fixed-cidr-v6", "")
    try:
        found = str(IPv6Network(text or _LOCAL6))
    except ValueError:
        raise InvalidArgument(
            f"invalid --fixed-cidr-v6 {text}: it must be a subnet, as fd00:1::/64"
        ) from None
    return found if given.get("ipv6") else ""


def _fixed_cidr(text: str) -> str:
    try:
        found = IPv4Network(text) if text else None
    except ValueError:
        found = None
    if text and (found is None or found.prefixlen > 30):
        raise InvalidArgument(f"invalid --fixed-cidr {text}: it must be a subnet, as 192.168.5.128/25")
    return text


def _gateway(given: dict[str, Any], key: str, kind: type[IPv4Address | IPv6Address]) -> str:
    text = given.get(key, "")
    try:
        return str(kind(text)) if text else ""
    except ValueError:
        raise InvalidArgument(f"invalid --{key} {text}: it is no address of its family") from None


def _publish_firewall(text: str) -> str:
    if text not in ("own", "host"):
        raise InvalidArgument(f"invalid publish-firewall {text}: it is own or host")
    return text


def _pool(one: Any) -> tuple[IPv4Network | IPv6Network, int]:
    """``base=10.10.0.0/16,size=24`` in flags, ``{"base": …, "size": …}`` in the file."""
    if isinstance(one, str):
        one = dict(part.partition("=")[::2] for part in one.split(","))
    try:
        base, size = ip_network(one["base"]), int(one["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArgument(f"invalid default-address-pools: {error}") from None
    if not base.prefixlen <= size <= base.max_prefixlen - 2:
        raise InvalidArgument(
            f"invalid default-address-pools: the size {size} does not fit into the base {base}"
        )
    return base, size


def _directory(text: str) -> str:
    if not text:
        raise InvalidArgument("a root directory must not be empty")
    return os.path.abspath(text)


def _host(text: str) -> str:
    """A socket's address in full; raises InvalidArgument."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    if scheme == "unix":
        if not rest.startswith("/"):
            raise InvalidArgument(f"invalid socket {text}: the path of a Unix socket must be absolute")
        return f"unix://{rest}"
    if scheme == "fd":
        return f"fd://{rest}"
    if scheme == "tcp":
        name, colon, port = rest.rstrip("/").rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise InvalidArgument(f"invalid socket {text}: it must be tcp://address:port")
        return f"tcp://{name or '0.0.0.0'}:{port}"
    raise InvalidArgument(f"invalid socket {text}: it must begin with unix://, tcp:// or fd://")


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid default-shm-size: {error}") from None


def _at_least_one(given: dict[str, Any], key: str, default: int) -> int:
    value = given.get(key, default)
    if value < 0 or (value == 0 and key == "max-download-attempts"):
        raise InvalidArgument(f"invalid {key}: {value}")
    return int(value) or default


def _proxies(given: dict[str, Any]) -> dict[str, str]:
    """The configuration's, else the environment's, as Docker reads it: capitals first."""
    found = {}
    for key in options.PROXIES:
        name = key.replace("-", "_")
        found[name] = given.get(key) or os.environ.get(name.upper()) or os.environ.get(name, "")
    return found


def _ulimits(given: Any) -> dict[str, Ulimit]:
    """Default resource limits: ``name=soft[:hard]`` in flags, Docker's objects in the file."""
    found = {}
    if isinstance(given, dict):
        for name, limit in given.items():
            try:
                found[name] = Ulimit(name=name, soft=int(limit["Soft"]), hard=int(limit["Hard"]))
            except (KeyError, TypeError, ValueError):
                raise InvalidArgument(f"invalid default-ulimits: {name} needs Soft and Hard") from None
        return found
    for text in given:
        name, _, values = text.partition("=")
        soft, _, hard = values.partition(":")
        try:
            found[name] = Ulimit(name=name, soft=int(soft), hard=int(hard or soft))
        except ValueError:
            raise InvalidArgument(f"invalid default-ulimit {text}: it must be name=soft[:hard]") from None
    return found
