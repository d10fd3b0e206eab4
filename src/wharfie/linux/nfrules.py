"""A chain of nftables that leads connections elsewhere, by messages of our own: in 0.3 ms.

libnftables reads everything there is before it changes something (3 to 6 ms), and its rules are text; a
container's start in a network with names needs one chain with two rules, which are always the same::

    table ─ chain, type nat, hook output ─ rule: payload, cmp, meta, cmp, payload, cmp, immediate ×2, nat

``nft --debug=netlink`` shows a rule's expressions; include/uapi/linux/netfilter/nf_tables.h has the numbers.
"""

from __future__ import annotations

import _socket

from wharfie.linux import netlink
from wharfie.linux.netlink import CREATE, NETFILTER, NFTABLES, Request, attribute, nested, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_APPEND = 0x800
_IPV4 = bytes((2, 0, 0, 0))
_TABLE, _CHAIN, _NAME, _EXPRESSIONS = 1, 2, 3, 4
_HOOK, _POLICY, _TYPE, _LOCAL_OUT, _ACCEPT = 4, 5, 7, 3, 1
_PRIORITY = -100
"""NF_IP_PRI_NAT_DST."""
_NETWORK, _TRANSPORT, _L4_PROTOCOL = 1, 2, 16
_DNAT, _PORT_GIVEN = 1, 2


class Redirection:
    """What is sent to ``port`` of ``address`` by ``protocol`` goes to ``target``, another port there."""

    __slots__ = ("address", "port", "protocol", "target")

    def __init__(self, protocol: int, address: str, port: int, target: int) -> None:
        self.protocol = protocol
        self.address = _socket.inet_aton(address)
        self.port = port.to_bytes(2, "big")
        self.target = target.to_bytes(2, "big")

    def expressions(self) -> bytes:
        """Those of its rule: three comparisons, and the translation from registers 1 and 2."""
        return nested(
            _EXPRESSIONS,
            _load(_NETWORK, 16, 4),
            _equals(self.address),
            _expression("meta", _number(1, 1), _number(2, _L4_PROTOCOL)),
            _equals(bytes((self.protocol,))),
            _load(_TRANSPORT, 2, 2),
            _equals(self.port),
            _expression("immediate", _number(1, 1), nested(2, attribute(1, self.address))),
            _expression("immediate", _number(1, 2), nested(2, attribute(1, self.target))),
            _expression(
                "nat", _number(1, _DNAT), _number(2, _socket.AF_INET), _number(3, 1), _number(5, 2),
                _number(7, _PORT_GIVEN),
            ),
        )  # fmt: skip


def redirect(table: str, redirections: Iterable[Redirection], *, anew: bool) -> None:
    """Make an ``ip`` table with them, all or nothing; ``anew``: in the place of one that may be there.

    That one's removal waits for a grace period of the kernel's, 10 ms. Raises OSError.
    """
    create = _request("make", _NEWTABLE, CREATE, text(_TABLE, table), table)
    requests = [create]
    if anew:
        requests += [_request("remove", _DELTABLE, 0, text(_TABLE, table), table), create]
    chain = text(_TABLE, table) + text(_NAME, "output") + text(_TYPE, "nat") + _number(_POLICY, _ACCEPT)
    chain += nested(_HOOK, _number(1, _LOCAL_OUT), _number(2, _PRIORITY))
    requests.append(_request("hook", _NEWCHAIN, CREATE, chain, table))
    place = text(_TABLE, table) + text(_CHAIN, "output")
    for one in redirections:
        requests.append(_request("fill", _NEWRULE, CREATE | _APPEND, place + one.expressions(), table))
    sock = netlink.Socket(NETFILTER)
    try:
        sock.transact(NFTABLES, requests)
    finally:
        sock.close()


def _request(operation: str, kind: int, flags: int, body: bytes, table: str) -> Request:
    return Request(f"{operation} the nftables table {table}", NFTABLES << 8 | kind, flags, _IPV4 + body)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, "big", signed=value < 0))


def _expression(name: str, *parts: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *parts))


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, 1), _number(2, base), _number(3, offset), _number(4, length))


def _equals(value: bytes) -> bytes:
    return _expression("cmp", _number(1, 1), _number(2, 0), nested(3, attribute(1, value)))
