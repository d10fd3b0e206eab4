"""The kernel's memory of connections: read and forgotten by messages of our own (ctnetlink).

What translates addresses is decided once, at a connection's first packet. UDP has no end, so a sender that
goes on sending is led for ever where its first datagram was led; to change that, its entry must go::

    dump    CT_GET, only entries whose original tuple matches (CTA_FILTER; kernels before 5.8 give all)
    delete  CT_DELETE with that tuple and the entry's id, so that a successor of the same tuple stays
"""

from __future__ import annotations

import _socket

from wharfie.linux import netlink
from wharfie.linux.netlink import CONNTRACK, NETFILTER, Request, attribute, nested, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_GET, _DELETE = 1, 2
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_TUPLE_IP, _TUPLE_PROTOCOL = 1, 2
_V4_SOURCE, _V4_TARGET, _V6_SOURCE, _V6_TARGET = 1, 2, 3, 4
_NUMBER, _SOURCE_PORT, _TARGET_PORT = 1, 2, 3
_FILTER_ORIGINAL = 1
_BY_PROTOCOL, _BY_TARGET_PORT = 1 << 3, 1 << 5


class Flow:
    """One entry: whereto its first packet was sent, and who answers it."""

    __slots__ = ("_kept", "family", "port", "protocol", "server", "server_port", "target")

    def __init__(self, family: int, body: bytes) -> None:
        found = netlink.attributes(body, 4)
        original, reply = found.get(_TUPLE_ORIGINAL, b""), found.get(_TUPLE_REPLY, b"")
        six = family == _socket.AF_INET6
        self.family = family
        self.protocol = netlink.as_number(_part(original, _TUPLE_PROTOCOL, _NUMBER))
        self.target = _address(_part(original, _TUPLE_IP, _V6_TARGET if six else _V4_TARGET))
        self.port = int.from_bytes(_part(original, _TUPLE_PROTOCOL, _TARGET_PORT), "big")
        self.server = _address(_part(reply, _TUPLE_IP, _V6_SOURCE if six else _V4_SOURCE))
        self.server_port = int.from_bytes(_part(reply, _TUPLE_PROTOCOL, _SOURCE_PORT), "big")
        kept = [nested(_TUPLE_ORIGINAL, original)]
        kept += [attribute(kind, found[kind]) for kind in (_ID, _ZONE) if kind in found]
        self._kept = b"".join(kept)

    def forgotten(self) -> Request:
        """The message that removes it."""
        body = bytes((self.family, 0, 0, 0)) + self._kept
        return Request("forget a connection", CONNTRACK << 8 | _DELETE, 0, body)


def _part(data: bytes, group: int, kind: int) -> bytes:
    return netlink.attributes(netlink.attributes(data).get(group, b"")).get(kind, b"")


def _address(data: bytes) -> str:
    if len(data) == 4:
        return _socket.inet_ntop(_socket.AF_INET, data)
    return _socket.inet_ntop(_socket.AF_INET6, data) if len(data) == 16 else ""


class Memory:
    """The kernel's, of the network namespace in which this is made."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        """Raises OSError: this kernel has none."""
        self._socket = netlink.Socket(NETFILTER)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; where the packet filter is changed as well, that may wait for it
        (:class:`wharfie.linux.nfsets.Changes`)."""
        self._socket.close()

    def flows(self, family: int, protocol: int, ports: Collection[int]) -> list[Flow]:
        """What was begun towards these ports, wherever they are; raises OSError.

        The kernel goes through all of its memory for that (10 ms and more), so it is asked once.
        """
        wanted, by = attribute(_NUMBER, bytes((protocol,))), _BY_PROTOCOL
        if len(ports) == 1:
            (port,) = ports
            wanted, by = wanted + attribute(_TARGET_PORT, port.to_bytes(2, "big")), by | _BY_TARGET_PORT
        body = bytes((family, 0, 0, 0)) + nested(_TUPLE_ORIGINAL, nested(_TUPLE_PROTOCOL, wanted))
        body += nested(_FILTER, number(_FILTER_ORIGINAL, by))
        found = self._socket.dump(Request("list connections", CONNTRACK << 8 | _GET, 0, body))
        listed = (Flow(family, one) for one in found)
        return [flow for flow in listed if flow.protocol == protocol and flow.port in ports]

    def forget(self, gone: Iterable[Flow]) -> None:
        """Remove entries; one that has ended by itself is no error. Raises OSError."""
        for flow in gone:
            try:
                self._socket.execute([flow.forgotten()])
            except FileNotFoundError:
                continue
