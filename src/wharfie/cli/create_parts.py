"""The rarer options of ``run`` and ``create``: those that need reading, checking or files."""

from __future__ import annotations

from wharfie.errors import InvalidArgument
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEALTH = (
    ("health-interval", "Interval"),
    ("health-timeout", "Timeout"),
    ("health-start-period", "StartPeriod"),
    ("health-start-interval", "StartInterval"),
    ("health-retries", "Retries"),
    ("health-on-failure", "OnFailure"),
)
_NAMESPACES = (
    ("pid", "PID", ("", "host"), True),
    ("uts", "UTS", ("", "host"), False),
    ("userns", "USER", ("", "host", "private"), False),
    ("cgroupns", "CGROUP", ("", "host", "private"), False),
)


def add(options: dict[str, Any], body: dict[str, Any], host: dict[str, Any]) -> None:
    """Add to the body and its host configuration; raises InvalidArgument."""
    try:
        _memory(options, host)
        _volumes(options, body, host)
        if "publish" in options or "expose" in options:
            from wharfie.cli.ports import exposed, published

            body["ExposedPorts"], host["PortBindings"] = published(options.get("publish", []))
            body["ExposedPorts"].update(exposed(options.get("expose", [])))
        _environment(options, body)
        _namespaces(options)
        _logging(options, host)
        _security(options, host)
        _maps(options, host)
        _health(options, body)
        _networks(options, body, host)
        if "platform" in options:
            _platform(options["platform"])
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _memory(options: dict[str, Any], host: dict[str, Any]) -> None:
    swappiness = options.get("memory-swappiness", -1)
    if swappiness != -1:
        if not 0 <= swappiness <= 100:
            raise InvalidArgument(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
        host["MemorySwappiness"] = swappiness


def _volumes(options: dict[str, Any], body: dict[str, Any], host: dict[str, Any]) -> None:
    if "volume" in options or "device" in options:
        from wharfie.cli import mounts

        for text in options.get("volume", []):
            source, place = mounts.volume(text)
            if source is None:
                body.setdefault("Volumes", {})[place] = {}
            elif place not in host.setdefault("Binds", []):
                host["Binds"].append(place)
        if "device" in options:
            host["Devices"] = [mounts.device(text) for text in options["device"]]
    if "tmpfs" in options:
        host["Tmpfs"] = {}
        for text in options["tmpfs"]:
            path, _, flags = text.partition(":")
            host["Tmpfs"][path] = flags


def read_lines(path: str, *, environment: bool) -> list[str]:
    """The ``NAME=value`` lines of an environment or label file; raises InvalidArgument.

    A name alone takes the value it has here, or is left out; in a label file it is left out.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    lines = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            line = raw.decode().lstrip()
        except UnicodeDecodeError:
            raise InvalidArgument(
                f"invalid env file ({path}): invalid utf8 bytes at line {number}: {raw!r}"
            ) from None
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if any(character.isspace() for character in name.strip() if equals) or (
            equals and name != name.strip()
        ):
            raise InvalidArgument(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if equals and not name:
            raise InvalidArgument(f"invalid env file ({path}): no variable name on line '{line}'")
        if equals:
            lines.append(f"{name}={value}")
        elif environment and (inherited := variable(name.strip())) is not None:
            lines.append(f"{name.strip()}={inherited}")
    return lines


def _environment(options: dict[str, Any], body: dict[str, Any]) -> None:
    if "env-file" in options:
        from_files = [line for path in options["env-file"] for line in read_lines(path, environment=True)]
        body["Env"] = from_files + options.get("env", [])
    if "label-file" in options or "label" in options:
        lines = [
            line for path in options.get("label-file", []) for line in read_lines(path, environment=False)
        ]
        body["Labels"] = pairs(lines + options.get("label", []))


def pairs(texts: list[str]) -> dict[str, str]:
    """``name=value`` texts as a map."""
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _namespaces(options: dict[str, Any]) -> None:
    for name, kind, allowed, joins in _NAMESPACES:
        value = options.get(name, "")
        if value in allowed or (joins and value.startswith("container:") and value != "container:"):
            continue
        raise InvalidArgument(f"--{name}: invalid {kind} mode")


def _logging(options: dict[str, Any], host: dict[str, Any]) -> None:
    driver, settings = options.get("log-driver", ""), options.get("log-opt", [])
    if driver == "none" and settings:
        raise InvalidArgument("invalid logging opts for driver none")
    if driver or settings:
        host["LogConfig"] = {"Type": driver, "Config": pairs(settings)}


def _security(options: dict[str, Any], host: dict[str, Any]) -> None:
    if "security-opt" not in options:
        return
    result = []
    for text in options["security-opt"]:
        name, equals, value = text.partition("=")
        if not equals and text != "no-new-privileges":
            name, colon, value = text.partition(":")
            if not colon:
                raise InvalidArgument(f'Invalid --security-opt: "{text}"')
        if name == "systempaths" and value == "unconfined":
            host["MaskedPaths"] = []
            host["ReadonlyPaths"] = []
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            result.append(f"seccomp={_profile(value)}")
        else:
            result.append(text)
    host["SecurityOpt"] = result


def _profile(path: str) -> str:
    from wharfie.support import json

    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidArgument(f"opening seccomp profile ({path}) failed: open {path}: {reason}") from None
    try:
        return json.dumps(json.loads(data))
    except ValueError as error:
        raise InvalidArgument(f"compacting json for seccomp profile ({path}) failed: {error}") from None


def _maps(options: dict[str, Any], host: dict[str, Any]) -> None:
    if "storage-opt" in options:
        if any("=" not in text for text in options["storage-opt"]):
            raise InvalidArgument("invalid storage option")
        host["StorageOpt"] = pairs(options["storage-opt"])
    if "sysctl" in options:
        host["Sysctls"] = pairs(options["sysctl"])
    if "annotation" in options:
        host["Annotations"] = pairs(options["annotation"])
    if "dns-opt" in options or "dns-option" in options:
        host["DnsOptions"] = options.get("dns-option", []) + options.get("dns-opt", [])


def _health(options: dict[str, Any], body: dict[str, Any]) -> None:
    given = [name for name, _ in _HEALTH if name in options]
    command = options.get("health-cmd", "")
    if options.get("no-healthcheck"):
        if given or command:
            raise InvalidArgument("--no-healthcheck conflicts with --health-* options")
        body["Healthcheck"] = {"Test": ["NONE"]}
        return
    for name in given:
        if name != "health-on-failure" and options[name] < 0:
            raise InvalidArgument(f"--{name} cannot be negative")
    if given or command:
        body["Healthcheck"] = {field: options[name] for name, field in _HEALTH if name in options}
        if command:
            body["Healthcheck"]["Test"] = ["CMD-SHELL", command]


def _networks(options: dict[str, Any], body: dict[str, Any], host: dict[str, Any]) -> None:
    endpoints: dict[str, Any] = {}
    for text in options.get("networks", []):
        try:
            name, settings = parse_network(text)
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        if name in endpoints:
            raise InvalidArgument(f'network "{name}" is specified multiple times')
        host.setdefault("NetworkMode", name)
        endpoints[name] = settings
    mine: dict[str, Any] = {}
    aliases = options.get("network-alias", []) + options.get("net-alias", [])
    mode = host.get("NetworkMode", "default")
    if aliases and (mode in ("default", "bridge", "host", "none") or mode.startswith("container:")):
        raise InvalidArgument("network-scoped aliases are only supported for user-defined networks")
    if aliases:
        mine["Aliases"] = aliases
    addresses = {
        field: options[name]
        for name, field in (
            ("ip", "IPv4Address"),
            ("ip6", "IPv6Address"),
            ("link-local-ip", "LinkLocalIPs"),
        )
        if name in options
    }
    if addresses:
        mine["IPAMConfig"] = addresses
    if "mac-address" in options:
        parts = options["mac-address"].replace("-", ":").split(":")
        if len(parts) != 6 or any(len(part) != 2 or part.strip("0123456789abcdefABCDEF") for part in parts):
            raise InvalidArgument(f"{options['mac-address']} is not a valid mac address")
        body["MacAddress"] = options["mac-address"]
        mine["MacAddress"] = options["mac-address"]
    if mine:
        endpoints.setdefault(mode, {}).update(mine)
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}


def parse_network(text: str) -> tuple[str, dict[str, Any]]:
    """A network by its name, or in fields: ``name=x,alias=y,ip=…``; raises ValueError."""
    if not text:
        raise ValueError("no name set for network")
    if "=" not in text:
        return text, {}
    name, settings = "", dict[str, "Any"]()
    for field in text.split(","):
        key, _, value = field.partition("=")
        if key == "name":
            name = value
        elif key == "alias":
            settings.setdefault("Aliases", []).append(value)
        elif key in ("ip", "ip6"):
            settings.setdefault("IPAMConfig", {})["IPv4Address" if key == "ip" else "IPv6Address"] = value
        elif key == "mac-address":
            settings["MacAddress"] = value
        elif key == "gw-priority":
            if not value.removeprefix("-").isdigit():
                raise ValueError(f"invalid gw-priority: {value} is no number")
            settings["GwPriority"] = int(value)
        elif key == "link-local-ip":
            settings.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(value)
        elif key == "driver-opt":
            option, _, setting = value.partition("=")
            settings.setdefault("DriverOpts", {})[option] = setting
        else:
            raise ValueError(f"invalid field key {key}")
    if not name:
        raise ValueError("network name/id is not specified")
    return name, settings


def _platform(text: str) -> None:
    parts = text.split("/")
    if len(parts) > 3 or not all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts):
        raise InvalidArgument(
            f'error parsing specified platform: "{text}": cannot parse platform specifier: invalid argument'
        )
