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
        number, _, protocol = name.partition("/")
        if number.isdigit() and (int(number), protocol or "tcp") not in known:
            found.append(Port(private_port=int(number), type=protocol or "tcp"))
    return sorted(found, key=lambda port: (port.private_port, port.type, port.ip, port.public_port))
