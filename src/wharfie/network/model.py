"""The words of this package: a network, an endpoint (a container's seat in a network), a network mode.

Plain frozen values. What the API shows of them (names of fields, dates as text) is made by the API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wharfie.errors import InvalidArgument, NotFound, Unavailable


class NetworkNotFound(NotFound):
    """There is no network of this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")


class AddressUnavailable(Unavailable):
    """A network has no free address, or not the one that was asked for."""


class NetworkUnavailable(Unavailable):
    """The kernel refused what the default bridge needs."""


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
                raise InvalidArgument("invalid container format container:<name|id>")
            return cls(ModeKind.CONTAINER, rest)
        if text in ("", "default", "bridge"):
            return cls(ModeKind.BRIDGE, "bridge")
        if text in ("host", "none"):
            return cls(ModeKind(text), text)
        return cls(ModeKind.NAMED, text)


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

    @property
    def cidr(self) -> str:
        """The address with its prefix length; empty without one."""
        return f"{self.address}/{self.prefix}" if self.address else ""

    def interface(self) -> dict[str, Any] | None:
        """The entry of ``Launch.interfaces`` for it; None when the network has no interfaces."""
        if not self.address:
            return None
        return {
            "host": self.host_interface,
            "name": self.interface_name,
            "bridge": self.bridge,
            "mac": self.mac,
            "addresses": [self.cidr],
            "gateway": self.gateway,
            "mtu": self.mtu,
        }


@dataclass(frozen=True, slots=True)
class Network:
    """A network as it is inspected: ``members`` are the endpoints of the containers in it now."""

    id: str
    name: str
    driver: str
    created_ns: int
    subnet: str = ""
    gateway: str = ""
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    members: tuple[Endpoint, ...] = ()
    scope: str = "local"
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ipam_driver: str = "default"
