"""rtnetlink(7) messages: how links, addresses and routes are asked for, and read from the kernel's answers.

Functions named for a noun (:func:`veth`, :func:`address`, …) make a :class:`~wharfie.linux.netlink.Request`;
the classes read one object out of an answer. :mod:`wharfie.linux.rtnetlink` sends and receives them.
"""

from __future__ import annotations

import _socket
import errno
import struct

from wharfie.linux import netlink
from wharfie.linux.netlink import CREATE, EXCL, REPLACE, Request, attribute, nested, number, text

_NETLINK_ROUTE = 0
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER = 1, 3, 4, 5, 10
_IFLA_LINKINFO, _IFLA_NET_NS_PID, _IFLA_IFALIAS, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 18, 19, 20, 26, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA, _VETH_PEER = 1, 2, 4, 5, 1
_BRPORT_MODE, _BRPORT_ISOLATED, _MACVLAN_MODE = 4, 33, 1
_MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST = 1, 2, 3, 4
_IFA_F_NODAD = 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15

_IFF_UP = 1
_AF_UNSPEC, _AF_INET, _AF_INET6 = 0, 2, 10
_TABLE_MAIN, _PROTOCOL_BOOT, _UNICAST, _SCOPE_UNIVERSE, _SCOPE_LINK = 254, 3, 1, 0, 253

_LINK = struct.Struct("=xxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


class Link:
    """A network device as the kernel describes it."""

    __slots__ = ("alias", "index", "kind", "mac", "master", "mtu", "name", "up")

    index: int

    def __init__(self, body: bytes) -> None:
        _type, self.index, flags, _change = _LINK.unpack_from(body)
        found = netlink.attributes(body, _LINK.size)
        self.up = bool(flags & _IFF_UP)
        self.name = netlink.as_text(found.get(_IFLA_IFNAME))
        self.mac = found.get(_IFLA_ADDRESS, b"").hex(":")
        self.mtu = netlink.as_number(found.get(_IFLA_MTU))
        self.master = netlink.as_number(found.get(_IFLA_MASTER))
        self.alias = netlink.as_text(found.get(_IFLA_IFALIAS))
        info = netlink.attributes(found.get(_IFLA_LINKINFO, b""))
        self.kind = netlink.as_text(info.get(_INFO_KIND))


class Address:
    """An address of a device: ``cidr`` is "172.17.0.1/16", ``label`` the device's name (IPv4 only)."""

    __slots__ = ("cidr", "flags", "index", "label", "scope")

    def __init__(self, body: bytes) -> None:
        family, prefix, self.flags, self.scope, self.index = _ADDRESS.unpack_from(body)
        found = netlink.attributes(body, _ADDRESS.size)
        packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b""
        self.cidr = f"{_socket.inet_ntop(family, packed)}/{prefix}"
        self.label = netlink.as_text(found.get(_IFA_LABEL))


class Route:
    """A route of any table: ``destination`` is "172.17.0.0/16" ("0.0.0.0/0" or "::/0" for the default)."""

    __slots__ = ("destination", "gateway", "index", "kind", "table")

    def __init__(self, body: bytes) -> None:
        family, prefix, _src, _tos, table, _protocol, _scope, self.kind, _flags = _ROUTE.unpack_from(body)
        found = netlink.attributes(body, _ROUTE.size)
        packed = found.get(_RTA_DST) or bytes(4 if family == _AF_INET else 16)
        self.destination = f"{_socket.inet_ntop(family, packed)}/{prefix}"
        via = found.get(_RTA_GATEWAY)
        self.gateway = _socket.inet_ntop(family, via) if via else ""
        self.index = netlink.as_number(found.get(_RTA_OIF))
        self.table = netlink.as_number(found.get(_RTA_TABLE)) or table


def changes(data: bytes) -> list[tuple[int, str]]:
    """What a datagram to those who listen tells of addresses and routes: the device, and address or route."""
    found = []
    for kind, _flags, _sequence, body in netlink.messages(data):
        if kind in (_NEWADDR, _DELADDR):
            address = Address(body)
            found.append((address.index, address.cidr))
        elif kind in (_NEWROUTE, _DELROUTE):
            route = Route(body)
            found.append((route.index, route.destination))
    return found


def _mac(value: str) -> bytes:
    packed = bytes.fromhex(value.replace(":", ""))
    if len(packed) != 6:
        raise ValueError(f"{value} is not a MAC address")
    return packed


def _cidr(value: str) -> tuple[int, bytes, int]:
    """("172.17.0.2/16") → family, packed address, prefix length."""
    host, _slash, prefix = value.partition("/")
    family = _AF_INET6 if ":" in host else _AF_INET
    packed = _socket.inet_pton(family, host)
    return family, packed, int(prefix) if prefix else len(packed) * 8


def _link_body(index: int, up: bool | None, *parts: bytes) -> bytes:
    flags, change = (0, 0) if up is None else (_IFF_UP if up else 0, _IFF_UP)
    return _LINK.pack(0, index, flags, change) + b"".join(parts)


def veth(
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
) -> Request:
    """A pair: ``host`` in the socket's namespace, ``peer`` in the one of a descriptor or of a process.

    ``host`` is up at once (with ``up``); the peer is left down for :meth:`Netlink.configure`, which keeps the
    kernel from giving it an IPv6 address first.
    """
    inner = [text(_IFLA_IFNAME, peer)]
    outer = [text(_IFLA_IFNAME, host)]
    if peer_netns >= 0:
        inner.append(number(_IFLA_NET_NS_FD, peer_netns))
    elif peer_pid:
        inner.append(number(_IFLA_NET_NS_PID, peer_pid))
    if peer_mac:
        inner.append(attribute(_IFLA_ADDRESS, _mac(peer_mac)))
    if mac:
        outer.append(attribute(_IFLA_ADDRESS, _mac(mac)))
    if mtu:
        inner.append(number(_IFLA_MTU, mtu))
        outer.append(number(_IFLA_MTU, mtu))
    if master:
        outer.append(number(_IFLA_MASTER, master))
    end = attribute(_VETH_PEER, _link_body(0, None, *inner))
    outer.append(nested(_IFLA_LINKINFO, text(_INFO_KIND, "veth"), nested(_INFO_DATA, end)))
    body = _link_body(0, True if up else None, *outer)
    return Request(f"create the veth pair {host} and {peer}", _NEWLINK, CREATE | EXCL, body)


def bridge(name: str, mac: str = "") -> Request:
    """A bridge, down; with ``mac`` it keeps this address whatever joins it."""
    parts = [text(_IFLA_IFNAME, name), nested(_IFLA_LINKINFO, text(_INFO_KIND, "bridge"))]
    if mac:
        parts.append(attribute(_IFLA_ADDRESS, _mac(mac)))
    return Request(f"create the bridge {name}", _NEWLINK, CREATE | EXCL, _link_body(0, None, *parts))


def bridge_port(name: str, *, isolated: bool = False, hairpin: bool = False) -> Request:
    """How a bridge treats the port ``name``.

    ``isolated``: it does not talk to other isolated ports, only to the bridge. ``hairpin``: what it sends may
    come back to it, as a connection to a published port of its own does where bridge-nf-call-iptables is on.
    """
    data = nested(
        _INFO_SLAVE_DATA,
        attribute(_BRPORT_ISOLATED, bytes((isolated,))),
        attribute(_BRPORT_MODE, bytes((hairpin,))),
    )
    info = nested(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), data)
    return Request(
        f"set up the bridge port {name}", _NEWLINK, 0, _link_body(0, None, text(_IFLA_IFNAME, name), info)
    )


def macvlan(
    name: str, parent: int, mode: str, *, netns: int = -1, pid: int = 0, mac: str = "", mtu: int = 0
) -> Request:
    """A device with a MAC address of its own on ``parent``, born in another namespace, down."""
    data = nested(_INFO_DATA, number(_MACVLAN_MODE, _MACVLAN_MODES[mode]))
    parts = [text(_IFLA_IFNAME, name), number(_IFLA_LINK, parent)]
    parts.append(nested(_IFLA_LINKINFO, text(_INFO_KIND, "macvlan"), data))
    if netns >= 0:
        parts.append(number(_IFLA_NET_NS_FD, netns))
    elif pid:
        parts.append(number(_IFLA_NET_NS_PID, pid))
    if mac:
        parts.append(attribute(_IFLA_ADDRESS, _mac(mac)))
    if mtu:
        parts.append(number(_IFLA_MTU, mtu))
    return Request(f"create the macvlan device {name}", _NEWLINK, CREATE | EXCL, _link_body(0, None, *parts))


def device(name: str, kind: str) -> Request:
    """A device of a kind that needs no parameters (``ifb``), down."""
    parts = [text(_IFLA_IFNAME, name), nested(_IFLA_LINKINFO, text(_INFO_KIND, kind))]
    return Request(f"create the {kind} device {name}", _NEWLINK, CREATE | EXCL, _link_body(0, None, *parts))


def link(
    which: int | str,
    *,
    up: bool | None = None,
    master: int | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    name: str | None = None,
    alias: str | None = None,
    netns: int | None = None,
) -> Request:
    """A change of a device given by index or by name; ``alias`` is a remark for people."""
    parts = []
    if isinstance(which, str):
        index = 0
        parts.append(text(_IFLA_IFNAME, which))
    else:
        index = which
    if name is not None:
        parts.append(text(_IFLA_IFNAME, name))
    if master is not None:
        parts.append(number(_IFLA_MASTER, master))
    if mtu is not None:
        parts.append(number(_IFLA_MTU, mtu))
    if mac is not None:
        parts.append(attribute(_IFLA_ADDRESS, _mac(mac)))
    if alias is not None:
        parts.append(attribute(_IFLA_IFALIAS, alias.encode()))
    if netns is not None:
        parts.append(number(_IFLA_NET_NS_FD, netns))
    return Request(f"change the network device {which}", _NEWLINK, 0, _link_body(index, up, *parts))


def without_ipv6_address(which: int | str) -> Request:
    """The device gets no link-local IPv6 address when it comes up: nothing to wait for, nothing to reach."""
    mode = attribute(_INET6_ADDR_GEN_MODE, bytes([_ADDR_GEN_NONE]))
    parts = [nested(_IFLA_AF_SPEC, nested(_AF_INET6, mode))]
    index = 0
    if isinstance(which, str):
        parts.append(text(_IFLA_IFNAME, which))
    else:
        index = which
    body = _link_body(index, None, *parts)
    # EAFNOSUPPORT: there is no IPv6, in this kernel or on a device whose MTU is below 1280
    what = f"keep IPv6 off the network device {which}"
    return Request(what, _NEWLINK, 0, body, fine=errno.EAFNOSUPPORT)


def address(index: int, cidr: str) -> Request:
    """An address, given with its prefix length, for a device; an IPv6 one is good at once."""
    family, packed, prefix = _cidr(cidr)
    flags = _IFA_F_NODAD if family == _AF_INET6 else 0
    parts = [attribute(_IFA_LOCAL, packed), attribute(_IFA_ADDRESS, packed)]
    if family == _AF_INET and prefix < 31:
        ones = (1 << (32 - prefix)) - 1
        last = (int.from_bytes(packed, "big") | ones).to_bytes(4, "big")
        parts.append(attribute(_IFA_BROADCAST, last))
    body = _ADDRESS.pack(family, prefix, flags, 0, index) + b"".join(parts)
    return Request(f"add the address {cidr}", _NEWADDR, CREATE | EXCL, body)


def _route(cidr: str, gateway: str, index: int) -> bytes:
    family, packed, prefix = _cidr(cidr)
    parts = []
    if prefix:
        parts.append(attribute(_RTA_DST, packed))
    if gateway:
        parts.append(attribute(_RTA_GATEWAY, _cidr(gateway)[1]))
    if index:
        parts.append(number(_RTA_OIF, index))
    scope = _SCOPE_UNIVERSE if gateway or family == _AF_INET6 else _SCOPE_LINK
    fixed = _ROUTE.pack(family, prefix, 0, 0, _TABLE_MAIN, _PROTOCOL_BOOT, scope, _UNICAST, 0)
    return fixed + b"".join(parts)


def route(dst: str = "", *, gateway: str = "", index: int = 0, replace: bool = False) -> Request:
    """A route in the main table; without ``dst`` the default one of the gateway's family."""
    cidr = dst or ("::/0" if ":" in gateway else "0.0.0.0/0")
    flags = CREATE | (REPLACE if replace else EXCL)
    return Request(f"add the route to {dst or 'default'}", _NEWROUTE, flags, _route(cidr, gateway, index))


def without_route(dst: str, *, gateway: str = "", index: int = 0) -> Request:
    """The opposite of :func:`route`; ``dst`` is "0.0.0.0/0" or "::/0" for the default one."""
    return Request(f"remove the route to {dst}", _DELROUTE, 0, _route(dst, gateway, index))


def _named(operation: str, kind: int, name: str, fine: int = 0) -> Request:
    body = _link_body(0, None, text(_IFLA_IFNAME, name))
    return Request(f"{operation} the network device {name}", kind, 0, body, fine=fine)


def find(name: str) -> Request:
    """The answer describes the device ``name``."""
    return _named("find", _GETLINK, name)


def delete(name: str) -> Request:
    """The end of a device, if it is there."""
    return _named("delete", _DELLINK, name, errno.ENODEV)


def without_address(index: int, cidr: str) -> Request:
    """The opposite of :func:`address`."""
    return Request(f"remove the address {cidr}", _DELADDR, 0, address(index, cidr).body)


def all_links() -> Request:
    """For a dump of :class:`Link`."""
    return Request("list the network devices", _GETLINK, 0, _link_body(0, None))


def all_addresses() -> Request:
    """For a dump of :class:`Address`."""
    return Request("list the addresses", _GETADDR, 0, _ADDRESS.pack(_AF_UNSPEC, 0, 0, 0, 0))


def all_routes(*, ipv6: bool) -> Request:
    """For a dump of :class:`Route`."""
    family = _AF_INET6 if ipv6 else _AF_INET
    return Request("list the routes", _GETROUTE, 0, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
