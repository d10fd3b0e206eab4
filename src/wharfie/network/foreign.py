"""What the host uses besides our bridges: addresses and routes that a new network must keep clear of.

Looked at once, and again only when the kernel tells of a change that is not about a bridge of ours: there may
be hundreds of those, and each new one would cost a walk over all the others. rtnetlink(7) has the groups.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_network

from wharfie.linux import rtmessages as messages
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.addresses import AnyNetwork

_ADD_MEMBERSHIP, _SOL_NETLINK = 1, 270
_GROUPS = (5, 7, 9, 11)
"""RTNLGRP_IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE."""
_WIDE = 8
"""Wider routes are default ones in parts (0.0.0.0/1 and 128.0.0.0/1 lead through a VPN): a network within is
no harm."""
_BY_ITSELF = ("fe80:", "ff00:")


class Foreign:
    """Remembers it, as long as it is true."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._own: set[int] = set()
        self._known: set[AnyNetwork] = set()

    def networks(self, own: Callable[[], set[str]]) -> set[AnyNetwork]:
        """What the host has addresses in or routes to; ``own`` gives our bridges. Raises OSError."""
        if self._socket is None or self._changed(self._socket):
            self._look(own())
        return self._known

    def add(self, device: str) -> None:
        """A bridge that is ours from now on."""
        try:
            self._own.add(socket.if_nametoindex(device))
        except OSError:
            return  # somebody removed it already

    def forget(self) -> None:
        """Something else than the kernel's tables has changed: look anew the next time."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _changed(self, listening: socket.socket) -> bool:
        """Whether what the kernel told meanwhile is about more than our bridges."""
        while True:
            try:
                told = messages.changes(listening.recv(1 << 16))
            except BlockingIOError:
                return False
            except OSError:
                return True  # ENOBUFS: it told more than the queue holds
            # what a device has by itself, each container's as well
            if any(index not in self._own and not cidr.startswith(_BY_ITSELF) for index, cidr in told):
                return True

    def _look(self, own: set[str]) -> None:
        self.forget()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        # listening first: what changes while we look is told
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        for group in _GROUPS:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        with Netlink() as netlink:
            self._own = {link.index for link in netlink.links() if link.name in own}
            cidrs = {one.cidr for one in netlink.addresses() if one.index not in self._own}
            cidrs |= {one.destination for one in netlink.routes() if one.index not in self._own}
        found = {ip_network(cidr, strict=False) for cidr in cidrs}
        self._known = {one for one in found if one.prefixlen >= _WIDE}
