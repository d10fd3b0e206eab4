"""The default bridge as a network device: made, given its address, found again, removed.

A bridge that we made carries a remark (``ip link`` shows it as alias); one that was there before us is
used, but neither given another MAC nor removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network

from wharfie.errors import InvalidArgument
from wharfie.linux import rtmessages as messages
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.addresses import mac_of
from wharfie.network.model import NetworkUnavailable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_REMARK = "made by wharfie"


class Bridge:
    """A bridge of this name, whether it exists or not."""

    def __init__(self, name: str) -> None:
        """Raises InvalidArgument: ``name`` cannot be a device's (1 to 15 letters, digits, ``_.-``)."""
        if not _NAME.fullmatch(name):
            raise InvalidArgument(
                f"invalid bridge name {name}: 1 to 15 letters, digits, dots, dashes, underscores"
            )
        self.name = name

    def exists(self) -> bool:
        """Whether the device is there and up."""
        with Netlink() as netlink:
            return any(link.name == self.name and link.up for link in netlink.links())

    def interface(self) -> IPv4Interface | None:
        """Its first IPv4 address with prefix; None without one."""
        with Netlink() as netlink:
            indexes = [link.index for link in netlink.links() if link.name == self.name]
            found = [a.cidr for a in netlink.addresses() if a.index in indexes and ":" not in a.cidr]
        return IPv4Interface(found[0]) if found else None

    def foreign_networks(self) -> list[IPv4Network]:
        """What the host has addresses in or routes to, but for this bridge's own."""
        with Netlink() as netlink:
            own = [link.index for link in netlink.links() if link.name == self.name]
            cidrs = [address.cidr for address in netlink.addresses() if address.index not in own]
            cidrs += [route.destination for route in netlink.routes() if route.index not in own]
        return [IPv4Network(cidr, strict=False) for cidr in cidrs if ":" not in cidr]

    def ensure(self, interface: IPv4Interface, mtu: int, members: Iterable[str] = ()) -> None:
        """Make it, up, with this address and no other; ``members`` (names of veths) return to it if they
        left.

        Raises:
            NetworkUnavailable: the name belongs to another kind of device, or the kernel refuses.
        """
        try:
            with Netlink() as netlink:
                self._ensure(netlink, interface, mtu, frozenset(members))
        except OSError as error:
            raise NetworkUnavailable(
                f"the default network cannot be set up: {error.strerror}; --bridge none starts without it"
            ) from error

    def _ensure(self, netlink: Netlink, interface: IPv4Interface, mtu: int, members: frozenset[str]) -> None:
        links = netlink.links()
        present = next((link for link in links if link.name == self.name), None)
        if present is None:
            index = netlink.create_bridge(self.name, mac_of(str(interface.ip)))
            netlink.send(messages.link(index, alias=_REMARK), messages.without_ipv6_address(index))
        elif present.kind != "bridge":
            raise NetworkUnavailable(
                f"the network device {self.name} exists and is no bridge; choose another name with --bridge"
            )
        else:
            index = present.index
        wanted = str(interface)
        current = [a.cidr for a in netlink.addresses() if a.index == index and ":" not in a.cidr]
        for cidr in current:
            if cidr != wanted:
                netlink.delete_address(index, cidr)
        if wanted not in current:
            netlink.add_address(index, wanted)
        netlink.set_link(index, up=True, mtu=mtu)
        for link in links:
            if link.name in members and link.master != index:
                netlink.set_link(link.index, master=index)

    def remove(self) -> None:
        """Remove it if it is there and we made it; raises OSError."""
        with Netlink() as netlink:
            for link in netlink.links():
                if link.name == self.name and link.kind == "bridge" and link.alias == _REMARK:
                    netlink.delete_link(self.name)
