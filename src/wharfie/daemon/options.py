"""The daemon's options: dockerd's flags and the keys of its ``daemon.json`` in one table.

A flag is written ``--name value``, ``--name=value`` or ``-x value``; a switch ``--name`` or
``--name=false``. What is set in the file must not be set by a flag as well, as in Docker: nobody should
have to guess which one wins.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wharfie.errors import InvalidArgument

_YES = frozenset({"1", "t", "true", "yes"})
_NO = frozenset({"0", "f", "false", "no"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its flag, its key in the file, the kind of its value, and what help says."""

    flag: str
    kind: str
    """``text``, ``switch``, ``number``, ``list`` (may be repeated) or ``map`` (``name=value``, repeated)."""
    help: str
    short: str = ""
    key: str = ""

    @property
    def name(self) -> str:
        """Its key in the file, and in the result."""
        return self.key or self.flag


OPTIONS = (
    Option("add-runtime", "list", "Register an additional OCI compatible runtime", key="runtimes"),
    Option("bip", "text", "Address of the default bridge, with its prefix length"),
    Option("bridge", "text", 'Name of the default bridge ("none": no bridge)', short="b"),
    Option("cgroup-parent", "text", "Parent of all containers' control groups"),
    Option("config-file", "text", "Configuration file (default /etc/wharfie/daemon.json)"),
    Option("data-root", "text", "Directory of images, containers and volumes"),
    Option("debug", "switch", "Log more", short="D"),
    Option(
        "default-address-pool", "list", "Pool of new networks (base=…,size=…)", key="default-address-pools"
    ),
    Option("default-gateway", "text", "IPv4 gateway of the default bridge's containers"),
    Option("default-gateway-v6", "text", "IPv6 gateway of the default bridge's containers"),
    Option("default-cgroupns-mode", "text", 'Control group namespace of containers ("host" or "private")'),
    Option("default-ipc-mode", "text", 'IPC namespace of containers ("shareable" or "private")'),
    Option("default-shm-size", "text", "Size of /dev/shm in containers"),
    Option("default-ulimit", "list", "Resource limit of containers (name=soft:hard)", key="default-ulimits"),
    Option("dns", "list", "DNS server of containers"),
    Option("dns-opt", "list", "DNS option of containers", key="dns-opts"),
    Option("dns-search", "list", "DNS search domain of containers"),
    Option("exec-opt", "list", "Runtime option (native.cgroupdriver=cgroupfs)", key="exec-opts"),
    Option("exec-root", "text", "Directory of what lives until the next boot"),
    Option("experimental", "switch", "Have experimental features: checkpoints"),
    Option("feature", "map", "Switch a feature on or off (buildkit=false)", key="features"),
    Option("fixed-cidr", "text", "Part of the default bridge's subnet that containers get addresses of"),
    Option("fixed-cidr-v6", "text", "IPv6 subnet of the default bridge"),
    Option("group", "text", "Group of the Unix socket", short="G"),
    Option("help", "switch", "Show this and end", short="h"),
    Option("host", "list", "Socket to listen on (unix://, tcp:// or fd://)", short="H", key="hosts"),
    Option("host-gateway-ip", "text", "Address that host-gateway stands for in --add-host"),
    Option("http-proxy", "text", "HTTP proxy URL to use for outgoing traffic"),
    Option("https-proxy", "text", "HTTPS proxy URL to use for outgoing traffic"),
    Option("icc", "switch", "Containers on the default bridge reach each other"),
    Option("init", "switch", "Run an init process in containers"),
    Option("init-path", "text", "Path of that init program"),
    Option("insecure-registry", "list", "Registry to talk to without TLS", key="insecure-registries"),
    Option("ip-forward", "switch", "Switch on IP forwarding"),
    Option("ip-masq", "switch", "Masquerade what leaves the bridge"),
    Option("ip", "text", "Address that ports are published on"),
    Option("iptables", "switch", "Make firewall rules"),
    Option("ipv6", "switch", "IPv6 on the default bridge"),
    Option("label", "list", "Label of this daemon", key="labels"),
    Option("live-restore", "switch", "Containers outlive the daemon (always so)"),
    Option("log-driver", "text", "Log driver of containers"),
    Option("log-level", "text", "debug, info, warn, error or fatal", short="l"),
    Option("log-opt", "map", "Option of the log driver (name=value)", key="log-opts"),
    Option("max-concurrent-downloads", "number", "Layers downloaded at a time (default 3)"),
    Option("max-concurrent-uploads", "number", "Layers uploaded at a time (default 5)"),
    Option("max-download-attempts", "number", "Attempts of each download (default 5)"),
    Option("metrics-addr", "text", "Address (host:port) that serves /metrics for Prometheus"),
    Option("mtu", "number", "MTU of the default bridge's containers"),
    Option("no-proxy", "text", "Comma-separated hosts to reach without a proxy"),
    Option("no-new-privileges", "switch", "Set no-new-privileges in containers"),
    Option("pidfile", "text", "Where the daemon's process id is written", short="p"),
    Option("registry-mirror", "list", "Preferred registry mirror of Docker Hub", key="registry-mirrors"),
    Option(
        "publish-firewall", "text", "Rules that apply to published ports: own, or the host's for its ports"
    ),
    Option("seccomp-profile", "text", 'Path of a seccomp profile ("unconfined": none)'),
    Option("shutdown-timeout", "number", "Accepted; containers are not stopped with the daemon"),
    Option("storage-driver", "text", "overlay is the one there is", short="s"),
    Option("tls", "switch", "TLS on tcp:// sockets; --tls=false goes without, explicitly"),
    Option("tlscacert", "text", "Certificates that clients' are signed with"),
    Option("tlscert", "text", "The daemon's certificate"),
    Option("tlskey", "text", "The daemon's key"),
    Option("tlsverify", "switch", "TLS with client certificates on tcp:// sockets"),
    Option("validate", "switch", "Check the configuration and end"),
    Option("version", "switch", "Print the version and end", short="v"),
)
_BY_FLAG = {option.flag: option for option in OPTIONS}
_BY_SHORT = {option.short: option for option in OPTIONS if option.short}
_BY_KEY = {
    option.name: option
    for option in OPTIONS
    if option.flag not in ("config-file", "help", "validate", "version")
}

IGNORED = frozenset(
    {
        "allow-direct-routing", "allow-nondistributable-artifacts", "api-cors-header",
        "authorization-plugins", "builder", "cdi-spec-dirs", "containerd", "containerd-namespace",
        "containerd-plugins-namespace", "cpu-rt-period", "cpu-rt-runtime",
        "default-network-opts", "default-runtime", "ip6tables", "log-format",
        "network-control-plane-mtu", "node-generic-resources",
        "oom-score-adjust", "raw-logs", "selinux-enabled", "storage-opts",
        "swarm-default-advertise-addr", "userland-proxy", "userland-proxy-path", "userns-remap",
    }
)  # fmt: skip
"""Keys that Docker knows and this daemon does nothing for; they are named in a warning."""


PROXIES = ("http-proxy", "https-proxy", "no-proxy")


def parse(words: Sequence[str]) -> dict[str, Any]:
    """The flags, by key.

    Raises:
        InvalidArgument: a flag is unknown or lacks its value.
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            option = _BY_FLAG.get(flag)
        elif word.startswith("-") and len(word) > 1:
            flag, value = word[1], word[2:]
            equals = "=" if value else ""
            value = value.removeprefix("=")
            option = _BY_SHORT.get(flag)
        else:
            raise InvalidArgument(f'"wharfie daemon" accepts no arguments, and got "{word}"')
        if option is None:
            raise InvalidArgument(f"unknown flag: {word.partition('=')[0]}\nSee 'wharfie daemon --help'.")
        if not equals and option.kind != "switch":
            if not rest:
                raise InvalidArgument(f"flag needs an argument: {word}\nSee 'wharfie daemon --help'.")
            value = rest.pop(0)
        _put(found, option, value if equals or option.kind != "switch" else "true", word)
    return found


def _put(found: dict[str, Any], option: Option, value: str, word: str) -> None:
    if option.kind == "switch":
        if value.lower() not in _YES | _NO:
            raise InvalidArgument(f'invalid argument "{value}" for "{word}": it is yes or no')
        found[option.name] = value.lower() in _YES
    elif option.kind == "number":
        if not value.isdigit():
            raise InvalidArgument(f'invalid argument "{value}" for "{word}": it is no number')
        found[option.name] = int(value)
    elif option.kind == "list":
        found.setdefault(option.name, []).append(value)
    elif option.kind == "map":
        name, equals, text = value.partition("=")
        if not equals:
            raise InvalidArgument(f'invalid argument "{value}" for "{word}": it must be name=value')
        found.setdefault(option.name, {})[name] = text
    else:
        found[option.name] = value


def read_file(path: str, *, required: bool) -> tuple[dict[str, Any], list[str]]:
    """What a ``daemon.json`` sets, by key, and the keys in it that are known to Docker alone.

    Raises:
        InvalidArgument: it is missing though required, not JSON, or has keys that nobody knows.
    """
    where = f"unable to configure the daemon with file {path}"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if required:
            raise InvalidArgument(f"{where}: there is no such file") from None
        return {}, []
    except OSError as error:
        raise InvalidArgument(f"{where}: {error.strerror}") from error
    try:
        document = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InvalidArgument(f"{where}: {error}") from None
    if not isinstance(document, dict):
        raise InvalidArgument(f"{where}: it must hold one JSON object")
    _flatten_proxies(document, where)
    unknown = sorted(set(document) - set(_BY_KEY) - IGNORED)
    if unknown:
        raise InvalidArgument(
            f"{where}: the following directives don't match any configuration option: {', '.join(unknown)}"
        )
    for key, value in document.items():
        if key in _BY_KEY and not _fits(_BY_KEY[key], value):
            raise InvalidArgument(f"{where}: the value of {key} has the wrong type")
    return {key: value for key, value in document.items() if key in _BY_KEY}, sorted(set(document) & IGNORED)


def _flatten_proxies(document: dict[str, Any], where: str) -> None:
    """Docker's file has the three in an object, and knows them as single keys for its flags only."""
    for key in PROXIES:
        if key in document:
            raise InvalidArgument(f'{where}: {key} belongs into "proxies"')
    proxies = document.pop("proxies", {})
    if not isinstance(proxies, dict) or set(proxies) - set(PROXIES):
        raise InvalidArgument(f'{where}: "proxies" holds {", ".join(PROXIES)} only')
    document.update(proxies)


def _fits(option: Option, value: Any) -> bool:
    if option.kind == "switch":
        return isinstance(value, bool)
    if option.kind == "number":
        return isinstance(value, int) and not isinstance(value, bool)
    if option.kind == "text":
        return isinstance(value, str)
    if option.name == "default-address-pools":
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if option.kind == "map" or option.name in ("default-ulimits", "runtimes"):
        return isinstance(value, dict)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def merge(flags: dict[str, Any], file: dict[str, Any], path: str) -> dict[str, Any]:
    """Flags and file together.

    Raises:
        InvalidArgument: something is set in both.
    """
    both = sorted(set(flags) & set(file))
    if both:
        raise InvalidArgument(
            f"unable to configure the daemon with file {path}: the following directives are specified both "
            f"as a flag and in the configuration file: {', '.join(both)}"
        )
    return {**file, **flags}


def usage() -> str:
    """The text of ``wharfie daemon --help``."""
    lines = ["Usage:  wharfie daemon [OPTIONS]", "", "The container engine's daemon", "", "Options:"]
    for option in OPTIONS:
        flag = f"-{option.short}, --{option.flag}" if option.short else f"    --{option.flag}"
        kind = "" if option.kind == "switch" else f" {'string' if option.kind == 'text' else option.kind}"
        lines.append(f"  {flag + kind:<34} {option.help}")
    return "\n".join(lines) + "\n"
