"""What a new container shall be: keyword arguments, in the words of the command line, as the API's document.

Whatever has no keyword here goes into ``config`` and ``host_config`` under the API's own names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from wharfie.errors import InvalidArgument
from wharfie.support.units import parse_duration, parse_size
from wharfie.wire.config import Mount

Port = int | str | tuple[str, int] | None
"""Where a port of the container appears: a port of the host, ``"address:port"``, a pair, None for any."""


class Health(TypedDict, total=False):
    """A health check; times in seconds, or as text (``"1m30s"``)."""

    test: str | Sequence[str]
    interval: float | str
    timeout: float | str
    start_period: float | str
    start_interval: float | str
    retries: int


class Options(TypedDict, total=False):
    """The keywords of create, launch and run."""

    name: str
    platform: str
    environment: Mapping[str, str] | Iterable[str]
    labels: Mapping[str, str]
    entrypoint: str | Sequence[str]
    user: str
    workdir: str
    hostname: str
    tty: bool
    ports: Mapping[int | str, Port | list[Port]]
    publish_all: bool
    volumes: Sequence[str]
    mounts: Sequence[Mount]
    tmpfs: Mapping[str, str]
    read_only: bool
    network: str
    aliases: Sequence[str]
    ip: str
    dns: Sequence[str]
    extra_hosts: Mapping[str, str]
    memory: int | str
    cpus: float
    pids_limit: int
    shm_size: int | str
    ulimits: Mapping[str, int | tuple[int, int]]
    sysctls: Mapping[str, str]
    devices: Sequence[str]
    privileged: bool
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    security_opt: Sequence[str]
    init: bool
    restart: str
    auto_remove: bool
    stop_signal: str
    stop_timeout: int
    health: Health
    log_driver: str
    log_options: Mapping[str, str]
    config: Mapping[str, Any]
    host_config: Mapping[str, Any]


_CONFIG = {
    "user": "User", "workdir": "WorkingDir", "hostname": "Hostname", "tty": "Tty",
    "stop_signal": "StopSignal", "stop_timeout": "StopTimeout", "labels": "Labels",
}  # fmt: skip
_HOST = {
    "publish_all": "PublishAllPorts", "volumes": "Binds", "tmpfs": "Tmpfs", "read_only": "ReadonlyRootfs",
    "network": "NetworkMode", "dns": "Dns", "pids_limit": "PidsLimit", "sysctls": "Sysctls",
    "privileged": "Privileged", "cap_add": "CapAdd", "cap_drop": "CapDrop", "security_opt": "SecurityOpt",
    "init": "Init", "auto_remove": "AutoRemove",
}  # fmt: skip
_APART = {
    "name", "platform", "environment", "entrypoint", "ports", "mounts", "aliases", "ip", "extra_hosts",
    "memory", "cpus", "shm_size", "ulimits", "devices", "restart", "health", "log_driver", "log_options",
    "config", "host_config",
}  # fmt: skip
_SECOND = 10**9


def words(command: str | Sequence[str] | None) -> list[str] | None:
    """A command; a text is split as a shell would."""
    if isinstance(command, str):
        import shlex

        return shlex.split(command)
    return None if command is None else list(command)


def document(image: str, command: str | Sequence[str] | None, options: Options) -> dict[str, Any]:
    """The body of create; raises InvalidArgument."""
    unknown = options.keys() - _CONFIG.keys() - _HOST.keys() - _APART
    if unknown:
        raise InvalidArgument(f"a container has no option {sorted(unknown)[0]!r}")
    body: dict[str, Any] = {"Image": image}
    if command is not None:
        body["Cmd"] = words(command)
    host: dict[str, Any] = {}
    given: Mapping[str, Any] = options
    for names, target in ((_CONFIG, body), (_HOST, host)):
        target.update({names[name]: _plain(value) for name, value in given.items() if name in names})
    try:
        _content(options, body)
        _limits(options, host)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None
    _connections(options, body, host)
    body.update(options.get("config", {}))
    host.update(options.get("host_config", {}))
    body["HostConfig"] = host
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


def environment(given: Mapping[str, str] | Iterable[str]) -> list[str]:
    """``NAME=value`` of every variable."""
    if isinstance(given, Mapping):
        return [f"{name}={value}" for name, value in given.items()]
    return list(given)


def _content(options: Options, body: dict[str, Any]) -> None:
    if "environment" in options:
        body["Env"] = environment(options["environment"])
    if "entrypoint" in options:
        body["Entrypoint"] = words(options["entrypoint"])
    health = options.get("health")
    if health is not None:
        test = health.get("test")
        checks: dict[str, Any] = {"Test": ["CMD-SHELL", test] if isinstance(test, str) else list(test or [])}
        for name, spelt in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod"),
                            ("start_interval", "StartInterval")):  # fmt: skip
            if name in health:
                checks[spelt] = _nanoseconds(health[name])  # type: ignore[literal-required]
        checks["Retries"] = health.get("retries", 0)
        body["Healthcheck"] = checks


def _nanoseconds(value: float | str) -> int:
    return parse_duration(value) if isinstance(value, str) else int(value * _SECOND)


def _limits(options: Options, host: dict[str, Any]) -> None:
    for name, spelt in (("memory", "Memory"), ("shm_size", "ShmSize")):
        if name in options:
            size: int | str = options[name]  # type: ignore[literal-required]
            host[spelt] = parse_size(size) if isinstance(size, str) else size
    if "cpus" in options:
        host["NanoCpus"] = round(options["cpus"] * _SECOND)
    limits = [
        (name, limit if isinstance(limit, tuple) else (limit, limit))
        for name, limit in options.get("ulimits", {}).items()
    ]
    if limits:
        host["Ulimits"] = [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in limits]
    if "devices" in options:
        host["Devices"] = [_device(text) for text in options["devices"]]
    if "mounts" in options:
        import msgspec

        host["Mounts"] = msgspec.to_builtins(list(options["mounts"]))
    if "restart" in options:
        policy, _, count = options["restart"].partition(":")
        host["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": int(count or 0)}
    if "log_driver" in options or "log_options" in options:
        host["LogConfig"] = {
            "Type": options.get("log_driver", ""),
            "Config": dict(options.get("log_options", {})),
        }


def _device(text: str) -> dict[str, str]:
    outside, _, rest = text.partition(":")
    inside, _, access = rest.partition(":")
    return {
        "PathOnHost": outside,
        "PathInContainer": inside or outside,
        "CgroupPermissions": access or "rwm",
    }


def _connections(options: Options, body: dict[str, Any], host: dict[str, Any]) -> None:
    bindings: dict[str, Any] = {}
    for inside, where in options.get("ports", {}).items():
        name = str(inside)
        wanted = where if isinstance(where, list) else [where]
        bindings[name if "/" in name else f"{name}/tcp"] = [_binding(one) for one in wanted]
    if bindings:
        body["ExposedPorts"] = {name: {} for name in bindings}
        host["PortBindings"] = bindings
    if "extra_hosts" in options:
        host["ExtraHosts"] = [f"{name}:{address}" for name, address in options["extra_hosts"].items()]
    if "aliases" in options or "ip" in options:
        network = options.get("network", "")
        if not network:
            raise InvalidArgument("aliases and ip are a container's on a network: name that, too")
        endpoint: dict[str, Any] = {"Aliases": list(options.get("aliases", []))}
        if "ip" in options:
            kind = "IPv6Address" if ":" in options["ip"] else "IPv4Address"
            endpoint["IPAMConfig"] = {kind: options["ip"]}
        body["NetworkingConfig"] = {"EndpointsConfig": {network: endpoint}}


def _binding(where: Port) -> dict[str, str]:
    if isinstance(where, tuple):
        return {"HostIp": where[0], "HostPort": str(where[1])}
    text = "" if where is None else str(where)
    address, _, port = text.rpartition(":")
    return {"HostIp": address.strip("[]"), "HostPort": port}
