"""Links, addresses and routes of one network namespace.

A container's interface takes one message on the host's side and two datagrams inside the container::

    host       RTM_NEWLINK veth: names, MACs, MTU, bridge, up; the peer is born in the container's namespace
    container  [lo up | eth0 without IPv6 address | eth0 up | find eth0] → its index
               [address | default route]

When a container ends, its namespace's death removes the veth; asking for it waits for RCU grace periods (9 to
21 ms), so who does asks from a thread.
"""

from __future__ import annotations

import errno

from wharfie.linux import netlink
from wharfie.linux import rtmessages as messages
from wharfie.linux.netlink import Request
from wharfie.linux.rtmessages import Address, Link, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NETLINK_ROUTE = 0


class Netlink:
    """rtnetlink in the network namespace it was opened in."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        self._socket = netlink.Socket(_NETLINK_ROUTE)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, *requests: Request) -> None:
        """Do ``requests`` in one datagram; all are tried, OSError is raised for the first that failed."""
        self._socket.execute(requests)

    def link_index(self, name: str) -> int:
        """The index of the device ``name``; raises OSError (ENODEV)."""
        return Link(self._socket.execute([messages.find(name)])[0]).index

    def find(self, name: str) -> Link | None:
        """The device ``name``, if it is there."""
        try:
            return Link(self._socket.execute([messages.find(name)])[0])
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return None

    def configure(self, name: str, addresses: Sequence[str], gateway: str = "", gateway6: str = "") -> int:
        """Inside a container's namespace: lo and ``name`` up, addresses, default routes; gives its index."""
        requests = [messages.link(1, up=True)]
        if not any(":" in cidr for cidr in addresses):
            requests.append(messages.without_ipv6_address(name))
        answers = self._socket.execute([*requests, messages.link(name, up=True), messages.find(name)])
        index = Link(answers[0]).index
        requests = [messages.address(index, cidr) for cidr in addresses]
        for via in (gateway, gateway6):
            if via:
                requests.append(messages.route(gateway=via, index=index))
        if requests:
            self._socket.execute(requests)
        return index

    def create_interface(self, interface: dict[str, Any], *, pid: int = 0, netns: int = -1) -> None:
        """What ``Launch.interfaces`` describes, into the namespace of a process or of a descriptor."""
        if interface.get("parent"):
            parent = self.link_index(interface["parent"])
            mac, mtu = interface.get("mac") or "", interface.get("mtu") or 0
            name, mode = interface["name"], interface["mode"]
            self.send(messages.macvlan(name, parent, mode, netns=netns, pid=pid, mac=mac, mtu=mtu))
            return
        bridge = interface.get("bridge") or ""
        requests = [
            messages.veth(
                interface["host"],
                interface["name"],
                peer_pid=pid,
                peer_netns=netns,
                master=self.link_index(bridge) if bridge else 0,
                peer_mac=interface.get("mac") or "",
                mtu=interface.get("mtu") or 0,
            )
        ]
        isolated, hairpin = interface.get("isolated", False), interface.get("hairpin", False)
        if isolated or hairpin:
            # in the same datagram: whoever is killed here leaves no port that talks to those it must not
            requests.append(messages.bridge_port(interface["host"], isolated=isolated, hairpin=hairpin))
        self.send(*requests)

    def create_veth(
        self,
        host: str,
        peer: str,
        *,
        peer_netns: int = -1,
        peer_pid: int = 0,
        master: int = 0,
        mac: str = "",
        peer_mac: str = "",
        mtu: int = 0,
        up: bool = True,
    ) -> None:
        """Make a pair in one message; see :func:`~wharfie.linux.rtmessages.veth`."""
        request = messages.veth(
            host,
            peer,
            peer_netns=peer_netns,
            peer_pid=peer_pid,
            master=master,
            mac=mac,
            peer_mac=peer_mac,
            mtu=mtu,
            up=up,
        )
        self.send(request)

    def create_bridge(self, name: str, mac: str = "", remark: str = "") -> int:
        """Make a bridge, with its remark in the same datagram; its index."""
        requests = [messages.bridge(name, mac)]
        if remark:
            requests.append(messages.link(name, alias=remark))
        self.send(*requests)
        return self.link_index(name)

    def set_link(
        self,
        which: int | str,
        *,
        up: bool | None = None,
        master: int | None = None,
        mtu: int | None = None,
        mac: str | None = None,
        name: str | None = None,
        netns: int | None = None,
    ) -> None:
        """Change a device."""
        self.send(messages.link(which, up=up, master=master, mtu=mtu, mac=mac, name=name, netns=netns))

    def add_address(self, index: int, cidr: str) -> None:
        """Give a device an address."""
        self.send(messages.address(index, cidr))

    def delete_address(self, index: int, cidr: str) -> None:
        """Take an address from a device."""
        self.send(messages.without_address(index, cidr))

    def add_route(self, dst: str = "", *, gateway: str = "", index: int = 0) -> None:
        """Add a route; without ``dst`` the default one."""
        self.send(messages.route(dst, gateway=gateway, index=index))

    def delete_link(self, *names: str) -> None:
        """Remove devices and wait for their end (9 to 60 ms: in a thread); one that is gone is no error."""
        self.send(*map(messages.delete, names))

    def listed(self, request: Request) -> list[bytes]:
        """The bodies of what a dump lists."""
        return self._socket.dump(request)

    def links(self) -> list[Link]:
        """All devices."""
        return [Link(body) for body in self._socket.dump(messages.all_links())]

    def addresses(self) -> list[Address]:
        """All addresses of both families."""
        return [Address(body) for body in self._socket.dump(messages.all_addresses())]

    def routes(self) -> list[Route]:
        """All routes of both families, of all tables."""
        bodies = self._socket.dump(messages.all_routes(ipv6=False)) + self._socket.dump(
            messages.all_routes(ipv6=True)
        )
        return [Route(body) for body in bodies]
