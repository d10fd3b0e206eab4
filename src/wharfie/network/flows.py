"""Datagrams that go on where a published port does not lead any more, or does not lead yet.

A connection's first packet decides where all of it goes, and a sender of datagrams that never pauses has one
connection for ever: to a container that is gone, or past one that has just come. When a port comes or goes,
what the kernel remembers of its senders goes too. TCP has an end and needs none of this.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Iterable, Sequence

from wharfie.linux import conntrack
from wharfie.linux.rtnetlink import Netlink
from wharfie.network.model import Published

_ANYWHERE = ("0.0.0.0", "::")
_log = logging.getLogger(__name__)


class Senders:
    """Who sends to published ports, as the kernel remembers it."""

    def __init__(self) -> None:
        self._memory: conntrack.Memory | None = None

    def forget(self, published: Iterable[Published]) -> None:
        """Every sender of datagrams to these ports is led anew with its next one."""
        datagrams = [one for one in published if one.protocol == "udp"]
        for family, colon in ((socket.AF_INET, False), (socket.AF_INET6, True)):
            found = [one for one in datagrams if (":" in one.host_ip) == colon]
            try:
                if found:
                    self._forget(family, found)
            except OSError as error:
                _log.warning("senders of datagrams to published ports may go on astray: %s", error)

    def _forget(self, family: int, published: Sequence[Published]) -> None:
        if self._memory is None:
            self._memory = conntrack.Memory()
        addresses: dict[int, set[str]] = {}
        for one in published:
            addresses.setdefault(one.host_port, set()).add(one.host_ip)
        found = self._memory.flows(family, socket.IPPROTO_UDP, addresses)
        own = _own_addresses() if found else set()
        self._memory.forget(flow for flow in found if _is_for(flow.target, addresses[flow.port], own))


def _is_for(target: str, published: Collection[str], own: Collection[str]) -> bool:
    """What is only forwarded through this machine to the same port of another one stays."""
    anywhere = any(address in _ANYWHERE for address in published)
    return target in (own if anywhere else published) or target.startswith("127.")


def _own_addresses() -> set[str]:
    with Netlink() as netlink:
        return {address.cidr.partition("/")[0] for address in netlink.addresses()}
