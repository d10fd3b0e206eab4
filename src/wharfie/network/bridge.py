"""A bridge as a network device: made, given its addresses, found again, removed.

A bridge that we made carries a remark (``ip link`` shows it as alias); one that was there before us is
used, but neither given another MAC nor removed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Interface

from wharfie.linux import rtmessages as messages
from wharfie.linux.rtmessages import Address, Link
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.addresses import mac_of
from wharfie.network.devices import check_device_name
from wharfie.network.model import NetworkUnavailable
from wharfie.support.faults import point

REMARK = "made by wharfie"


class View:
    """The host's devices and their addresses at one moment: asked for once for many bridges."""

    def __init__(self, links: Sequence[Link], addresses: Sequence[Address]) -> None:
        self.links = {link.name: link for link in links}
        self._addresses: dict[int, list[str]] = {}
        for address in addresses:
            self._addresses.setdefault(address.index, []).append(address.cidr)

    @classmethod
    def now(cls) -> View:
        """Look."""
        with Netlink() as netlink:
            return cls(netlink.links(), netlink.addresses())

    def cidrs(self, index: int) -> list[str]:
        """A device's addresses, without the kernel's own."""
        return [cidr for cidr in self._addresses.get(index, ()) if not cidr.startswith("fe80:")]


class Bridge:
    """A bridge of this name, whether it exists or not."""

    def __init__(self, name: str, remark: str = REMARK) -> None:
        """Raises InvalidArgument: ``name`` cannot be a device's (1 to 15 letters, digits, ``_.-``)."""
        check_device_name(name, "bridge")
        self.name = name
        self._remark = remark

    def taken(self) -> bool:
        """Whether there is a device of its name."""
        try:
            return socket.if_nametoindex(self.name) > 0
        except OSError:
            return False

    def exists(self) -> bool:
        """Whether the device is there and up."""
        with Netlink() as netlink:
            link = netlink.find(self.name)
        return link is not None and link.up

    def interface(self) -> IPv4Interface | None:
        """Its first IPv4 address with prefix; None without one."""
        view = View.now()
        link = view.links.get(self.name)
        found = [cidr for cidr in view.cidrs(link.index) if ":" not in cidr] if link else []
        return IPv4Interface(found[0]) if found else None

    def ensure(
        self,
        cidrs: Sequence[str],
        mtu: int,
        members: Iterable[str] = (),
        view: View | None = None,
    ) -> None:
        """Make it, up, with these addresses and no others; ``members`` (names of veths) return to it if they
        left.

        Raises:
            NetworkUnavailable: the name belongs to another kind of device, or the kernel refuses.
        """
        try:
            with Netlink() as netlink:
                self._ensure(netlink, cidrs, mtu, frozenset(members), view)
        except OSError as error:
            raise NetworkUnavailable(
                f"the bridge {self.name} cannot be set up: {error.strerror}; --bridge none starts without a "
                "default one"
            ) from error

    def _ensure(
        self, netlink: Netlink, cidrs: Sequence[str], mtu: int, members: frozenset[str], view: View | None
    ) -> None:
        if view is None:
            # a device that is not there yet needs no look at all the others
            known = bool(members) or self.taken()
            view = View(netlink.links(), netlink.addresses()) if known else View([], [])
        present = view.links.get(self.name)
        ipv6 = any(":" in cidr for cidr in cidrs)
        if present is None:
            four = next((cidr for cidr in cidrs if ":" not in cidr), "")
            mac = mac_of(four.partition("/")[0]) if four else ""
            index = netlink.create_bridge(self.name, mac, self._remark)
            point("a bridge is made")
            if not ipv6:
                netlink.send(messages.without_ipv6_address(index))
        elif present.kind != "bridge":
            raise NetworkUnavailable(
                f"the network device {self.name} exists and is no bridge; choose another name with --bridge"
            )
        else:
            index = present.index
        if ipv6:
            self.set_ipv6(True)
        current = view.cidrs(index) if present else []
        for cidr in current:
            if cidr not in cidrs:
                netlink.delete_address(index, cidr)
        for cidr in cidrs:
            if cidr not in current:
                netlink.add_address(index, cidr)
        netlink.set_link(index, up=True, mtu=mtu)
        point("a bridge has its addresses")
        for name in members:
            link = view.links.get(name)
            if link is not None and link.master != index:
                netlink.set_link(link.index, master=index)

    def set_ipv6(self, on: bool) -> None:
        """Whether the device speaks IPv6, where the host does not by default."""
        _write(f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6", "0" if on else "1")
        _write(f"/proc/sys/net/ipv6/conf/{self.name}/accept_ra", "0")

    def route_localnet(self) -> None:
        """Let connections from 127.0.0.1 to published ports leave through it; the rules keep others off."""
        _write(f"/proc/sys/net/ipv4/conf/{self.name}/route_localnet", "1")

    def remove(self) -> None:
        """Remove it if it is there and we made it; raises OSError."""
        with Netlink() as netlink:
            link = netlink.find(self.name)
            if link is not None and link.kind == "bridge" and link.alias == self._remark:
                netlink.delete_link(self.name)


def _write(path: str, value: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise NetworkUnavailable(f"{path} cannot be written: {error.strerror}") from error
