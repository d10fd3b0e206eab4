"""Published ports between the wire and the network package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wharfie.network.model import Published
from wharfie.wire.config import HostConfig, PortBinding
from wharfie.wire.containers import Port


def bindings(asked: HostConfig) -> Mapping[str, list[tuple[str, str, str]]]:
    """``HostConfig.PortBindings`` as the network package reads it."""
    return {
        name: [(one.host_ip, one.host_port, one.firewall) for one in wanted or ()]
        for name, wanted in (asked.port_bindings or {}).items()
    }


def number_of(exposed: str) -> tuple[int, str] | None:
    """Number and protocol of an exposed port; None for what is none: images may say anything."""
    number, _, protocol = exposed.partition("/")
    if not (number.isascii() and number.isdigit() and len(number) <= 5):
        return None
    return int(number), protocol or "tcp"


def port_map(exposed: Iterable[str], published: Iterable[Published]) -> dict[str, list[PortBinding] | None]:
    """``NetworkSettings.Ports``."""
    found: dict[str, list[PortBinding] | None] = dict.fromkeys(exposed)
    for one in published:
        listed = found.get(one.name) or []
        found[one.name] = [*listed, PortBinding(host_ip=one.host_ip, host_port=str(one.host_port))]
    return found


def listed(exposed: Iterable[str], published: Iterable[Published]) -> list[Port]:
    """The ports of a line of ``ps``."""
    found = [
        Port(ip=one.host_ip, private_port=one.port, public_port=one.host_port, type=one.protocol)
        for one in published
    ]
    known = {(port.private_port, port.type) for port in found}
    for name in exposed:
        port = number_of(name)
        if port is not None and port not in known:
            found.append(Port(private_port=port[0], type=port[1]))
    return sorted(found, key=lambda port: (port.private_port, port.type, port.ip, port.public_port))
