"""``--publish`` and ``--expose``: ``[address:][hostPort:]containerPort[/protocol]``, ranges included."""

from __future__ import annotations

from wharfie.cli.kinds import is_address, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PROTOCOLS = ("tcp", "udp", "sctp")


def _port(text: str) -> int:
    value = unsigned(text)
    if value > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return value


def _range(text: str, what: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low = unsigned(first)
        high = unsigned(last) if dash else low
    except ValueError:
        raise ValueError(f"invalid {what}: {text}") from None
    if high < low or high > 65535:
        raise ValueError(f"invalid {what}: {text}")
    return low, high


def _protocol(text: str) -> tuple[str, str]:
    port, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    return port, protocol


def published(texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Exposed ports and port bindings of ``--publish`` values; raises ValueError."""
    ports: dict[str, Any] = {}
    bindings: dict[str, Any] = {}
    for text in texts:
        firewall = ""
        if "=" in text:
            text, firewall = _fields(text)
        rest, protocol = _protocol(text)
        address = ""
        if rest.startswith("["):
            address, _, rest = rest[1:].partition("]")
            rest = rest.removeprefix(":")
        parts = rest.rsplit(":", 2)
        container = parts[-1]
        outside = parts[-2] if len(parts) > 1 else ""
        address = address or (parts[0] if len(parts) > 2 else "")
        if not container:
            raise ValueError(f"no port specified: {text}<empty>")
        if address and not is_address(address):
            raise ValueError(f"invalid IP address: {address}")
        low, high = _range(container, "containerPort")
        if outside:
            from_port, to_port = _range(outside, "hostPort")
            if to_port - from_port != high - low and low != high:
                raise ValueError(
                    f"invalid ranges specified for container and host Ports: {container} and {outside}"
                )
        for port in range(low, high + 1):
            name = f"{port}/{protocol}"
            wanted = ""
            if outside:
                wanted = outside if low == high else str(from_port + port - low)
            ports[name] = {}
            binding = {"HostIp": address, "HostPort": wanted}
            if firewall:
                binding["Firewall"] = firewall
            bindings.setdefault(name, []).append(binding)
    return ports, bindings


def _fields(text: str) -> tuple[str, str]:
    """The long form ``target=80,published=8080,protocol=udp`` as the short one, and its ``firewall``."""
    target, outside, protocol, firewall = "", "", "tcp", ""
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field: {field}")
        if key == "target":
            target = value
        elif key == "published":
            outside = value
        elif key == "protocol":
            protocol = value
        elif key == "firewall":
            if value not in ("own", "host"):
                raise ValueError(f"invalid firewall {value}: it is own or host")
            firewall = value
        elif key != "mode":
            raise ValueError(f"invalid field key: {key}")
    return f"{outside}:{target}/{protocol}" if outside else f"{target}/{protocol}", firewall


def exposed(texts: list[str]) -> dict[str, Any]:
    """Exposed ports of ``--expose`` values; raises ValueError."""
    ports: dict[str, Any] = {}
    for text in texts:
        if ":" in text:
            raise ValueError(f"invalid port format for --expose: {text}")
        rest, protocol = _protocol(text)
        first, dash, last = rest.partition("-")
        try:
            low = _port(first)
            high = _port(last) if dash else low
            if high < low:
                raise ValueError(f"invalid range specified for port: {rest}")
        except ValueError as error:
            raise ValueError(f"invalid range format for --expose: {text}, error: {error}") from None
        ports.update((f"{port}/{protocol}", {}) for port in range(low, high + 1))
    return ports
