"""Elements of nftables sets and maps, by messages of our own: one port more in 0.1 ms.

libnftables reads the rule set before it changes it, which grows with the number of networks and ports; an
element needs none of that. A batch is one transaction, as nft(8) makes it::

    BATCH_BEGIN ─ NEWSETELEM … DELSETELEM … ─ BATCH_END          (nfnetlink, subsystem 10)

Keys are what the kernel compares: network byte order, each part of a concatenation padded to four bytes, an
interface name to sixteen. An interval is two elements (first, and one past the last) in a plain set, one
element with two keys in a concatenation.
"""

from __future__ import annotations

import _socket

from wharfie.linux import netlink
from wharfie.linux.netlink import CREATE, NETFILTER, NFTABLES, Request, attribute, nested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NEWSETELEM, _DELSETELEM = 12, 14
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _ELEMENT = 1, 2, 3, 1
_KEY, _DATA, _FLAGS, _TIMEOUT, _KEY_END = 1, 2, 3, 4, 10
_VALUE = 1
_INTERVAL_END = 1
_INET = 1
_MOST = 512
_GENERIC = bytes((_INET, 0, 0, 0))


def name(text: str) -> bytes:
    """An interface's name as a key."""
    return text.encode().ljust(16, b"\0")


def address(text: str) -> bytes:
    """An address of either family as a key."""
    return _socket.inet_pton(_socket.AF_INET6 if ":" in text else _socket.AF_INET, text)


def port(number: int) -> bytes:
    """A port as a part of a key."""
    return number.to_bytes(2, "big") + b"\0\0"


def protocol(number: int) -> bytes:
    """A transport protocol as a part of a key."""
    return bytes((number, 0, 0, 0))


def span(cidr: str) -> tuple[bytes, bytes]:
    """First and last address of a prefix."""
    host, _slash, length = cidr.partition("/")
    first = address(host)
    bits = len(first) * 8
    ones = (1 << (bits - int(length or bits))) - 1
    low = int.from_bytes(first, "big") & ~ones
    return low.to_bytes(len(first), "big"), (low | ones).to_bytes(len(first), "big")


def element(
    key: bytes, data: bytes = b"", *, end: bytes = b"", timeout: int = 0, closes: bool = False
) -> bytes:
    """One element; ``timeout`` in milliseconds, ``end`` the last key of a concatenated interval."""
    parts = [nested(_KEY, attribute(_VALUE, key))]
    if data:
        parts.append(nested(_DATA, attribute(_VALUE, data)))
    if end:
        parts.append(nested(_KEY_END, attribute(_VALUE, end)))
    if closes:
        parts.append(attribute(_FLAGS, _INTERVAL_END.to_bytes(4, "big")))
    if timeout:
        parts.append(attribute(_TIMEOUT, timeout.to_bytes(8, "big")))
    return nested(_ELEMENT, *parts)


def interval(cidr: str, data: bytes = b"") -> tuple[bytes, ...]:
    """The elements of a prefix in a plain interval set; the end of the address space needs no second one."""
    first, last = span(cidr)
    after = int.from_bytes(last, "big") + 1
    found = [element(first, data)]
    if after < 1 << (len(last) * 8):
        found.append(element(after.to_bytes(len(last), "big"), closes=True))
    return tuple(found)


def add(table: str, target: str, elements: Sequence[bytes]) -> list[Request]:
    """Put elements into a set of an ``inet`` table; one that is there already is no error."""
    return _change(_NEWSETELEM, CREATE, table, target, elements)


def delete(table: str, target: str, elements: Sequence[bytes]) -> list[Request]:
    """Take elements out; one that is not there is an error."""
    return _change(_DELSETELEM, 0, table, target, elements)


def _change(kind: int, flags: int, table: str, target: str, elements: Sequence[bytes]) -> list[Request]:
    what = f"change the set {target} of the nftables table {table}"
    head = _GENERIC + netlink.text(_LIST_TABLE, table) + netlink.text(_LIST_SET, target)
    # an attribute ends at 64 KiB
    parts = [elements[start : start + _MOST] for start in range(0, len(elements), _MOST)]
    return [
        Request(what, NFTABLES << 8 | kind, flags, head + nested(_LIST_ELEMENTS, *part)) for part in parts
    ]


class Changes:
    """A socket that changes are sent by; it stays open.

    Whoever closes one after something was removed waits until it is destroyed, a grace period of the kernel's
    later (10 ms; net/netfilter/nf_tables_api.c, nft_rcv_nl_event).
    """

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        self._socket: netlink.Socket | None = None

    def apply(self, requests: Sequence[Request]) -> None:
        """Do all of it or nothing; raises OSError for the first that failed."""
        if not requests:
            return
        if self._socket is None:
            self._socket = netlink.Socket(NETFILTER)
        self._socket.transact(NFTABLES, requests)
