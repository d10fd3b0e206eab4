"""The words of this package: a network, an endpoint (a container's seat in a network), a network mode.

Plain frozen values. What the API shows of them (names of fields, dates as text) is made by the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wharfie.errors import Conflict, Forbidden, InvalidArgument, NotFound, Unavailable


class NetworkNotFound(NotFound):
    """There is no network of this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")


class ConfigurationNotFound(NotFound):
    """There are no settings of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'configuration network "{name}" does not exist')


class AddressUnavailable(Unavailable):
    """A network has no free address, or not the one that was asked for."""


class AddressTaken(Forbidden):
    """Somebody has it, or it is nobody's to have."""

    def __init__(self) -> None:
        super().__init__("Address already in use")


class NetworkExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network with name {name} already exists")


class NetworkInUse(Forbidden):
    """Containers are in it, or it was not made by anybody."""


class NetworkUnavailable(Unavailable):
    """The kernel refused what a network needs."""


class ModeKind(Enum):
    """The forms that ``--network`` takes."""

    BRIDGE = "bridge"
    HOST = "host"
    NONE = "none"
    CONTAINER = "container"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Mode:
    """A network mode: its form, and the container or network it names."""

    kind: ModeKind
    name: str

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Read ``HostConfig.NetworkMode``; raises InvalidArgument for ``container:`` without a container."""
        head, colon, rest = text.partition(":")
        if head == "container" and colon:
            if not rest:
                raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
            return cls(ModeKind.CONTAINER, rest)
        if text in ("", "default", "bridge"):
            return cls(ModeKind.BRIDGE, "bridge")
        if text in ("host", "none"):
            return cls(ModeKind(text), text)
        return cls(ModeKind.NAMED, text)


@dataclass(frozen=True, slots=True)
class Published:
    """A container's port and where it is on the host; ``host_ip`` is "0.0.0.0" or "::" for everywhere."""

    port: int
    protocol: str
    host_ip: str
    host_port: int
    proxied: bool = False
    """Served by the porter: the packet filter cannot lead it there, or the host's own rules are to apply."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Which port of the host it is."""
        return self.protocol, self.host_ip, self.host_port

    @property
    def name(self) -> str:
        """``80/tcp``."""
        return f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's seat in a network; without address and interface in ``host`` and ``none``."""

    id: str
    container: str
    network: str
    network_id: str
    hostname: str = ""
    aliases: tuple[str, ...] = ()
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    mac: str = ""
    mtu: int = 0
    bridge: str = ""
    host_interface: str = ""
    interface_name: str = "eth0"
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""
    driver: str = "bridge"
    parent: str = ""
    mode: str = ""
    isolated: bool = False
    internal: bool = False
    user_defined: bool = False
    priority: int = 0
    names: tuple[str, ...] = ()
    """What the embedded DNS knows it by."""
    published: tuple[Published, ...] = ()
    link_local: tuple[str, ...] = ()
    """Further addresses of its interface, which nobody gives out (RFC 3927)."""
    rate: str = ""
    egress: str = ""
    phase: str = ""
    """JOINING or LEAVING a container that runs: recorded first, done then, so that it can be finished."""

    @property
    def cidr(self) -> str:
        """The address with its prefix length; empty without one."""
        return f"{self.address}/{self.prefix}" if self.address else ""

    @property
    def cidr6(self) -> str:
        """The IPv6 address with its prefix length; empty without one."""
        return f"{self.address6}/{self.prefix6}" if self.address6 else ""

    @property
    def cidrs(self) -> list[str]:
        """All of its interface's."""
        local = [f"{address}/{64 if ':' in address else 16}" for address in self.link_local]
        return [*(cidr for cidr in (self.cidr, self.cidr6) if cidr), *local]

    def interface(self, *, gateway: bool = True, gateway6: bool = True) -> dict[str, Any] | None:
        """The entry of ``Launch.interfaces`` for it; None when the network has no interfaces.

        ``gateway``, ``gateway6``: whether the default routes are to lead through this one.
        """
        if not self.bridge and not self.parent:
            return None
        found = {
            "host": self.host_interface,
            "name": self.interface_name,
            "bridge": self.bridge,
            "mac": self.mac,
            "addresses": self.cidrs,
            "gateway": self.gateway if gateway else "",
            "mtu": self.mtu,
        }
        if self.address6 and gateway6:
            found["gateway6"] = self.gateway6
        if self.isolated:
            found["isolated"] = True
        if self.published:
            found["hairpin"] = True
        if self.parent:
            found["parent"], found["mode"] = self.parent, self.mode
        return found


@dataclass(frozen=True, slots=True)
class Subnet:
    """One range of addresses of a network; ``range`` is the part of it that is given out."""

    subnet: str
    gateway: str = ""
    range: str = ""
    auxiliary: dict[str, str] = field(default_factory=dict)

    @property
    def ipv6(self) -> bool:
        """Its family."""
        return ":" in self.subnet

    @property
    def way_out(self) -> str:
        """What default routes lead through: the gateway, or an auxiliary address that is named so."""
        return self.auxiliary.get(DEFAULT_GATEWAYS[self.ipv6]) or self.gateway


@dataclass(frozen=True, slots=True)
class Network:
    """A network as it is inspected: ``members`` are the endpoints of the containers in it now."""

    id: str
    name: str
    driver: str
    created_ns: int
    subnets: tuple[Subnet, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    members: tuple[Endpoint, ...] = ()
    scope: str = "local"
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    config_only: bool = False
    """Settings for other networks: nobody can be in it."""
    config_from: str = ""
    """The name of those it was made by."""

    @property
    def user_defined(self) -> bool:
        """Whether somebody made it."""
        return self.name not in BUILT_IN

    @property
    def subnet(self) -> str:
        """Its first IPv4 subnet; empty without one."""
        return next((one.subnet for one in self.subnets if not one.ipv6), "")

    @property
    def gateway(self) -> str:
        """The gateway of that."""
        return next((one.gateway for one in self.subnets if not one.ipv6), "")

    @property
    def device(self) -> str:
        """The bridge's name, where it is said or follows from the id."""
        return self.options.get(BRIDGE_NAME) or f"br-{self.id[:12]}"


JOINING, LEAVING = "joining", "leaving"
BUILT_IN = ("bridge", "host", "none")
DEFAULT_GATEWAYS = ("DefaultGatewayIPv4", "DefaultGatewayIPv6")
BRIDGE_NAME = "com.docker.network.bridge.name"


def gateways(endpoints: Sequence[Endpoint]) -> tuple[Endpoint | None, Endpoint | None]:
    """The seats that the IPv4 and the IPv6 default route lead through.

    The highest priority wins, then the name that comes first.
    """
    ordered = sorted(endpoints, key=lambda seat: (-seat.priority, seat.network))
    usable = [seat for seat in ordered if not seat.internal]
    four = next((seat for seat in usable if seat.address and seat.gateway), None)
    six = next((seat for seat in usable if seat.address6 and seat.gateway6), None)
    return four, six


def interfaces(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """The entries of ``Launch.interfaces`` for all seats of a container."""
    four, six = gateways(endpoints)
    found = (seat.interface(gateway=seat is four, gateway6=seat is six) for seat in endpoints)
    return [interface for interface in found if interface is not None]
