"""The part of DNS that a forwarder needs: the question, a plain answer to it, the addresses in one.

A message is ``id flags counts ─ question ─ records`` (RFC 1035, 4.1). What is not ours is passed on as it
came, so nothing else is taken apart.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

A, PTR, AAAA, ANY = 1, 12, 28, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_SECONDS = struct.Struct("!I")
_RESPONSE, _TRUNCATED, _RECURSION, _AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_LARGEST = 512
TTL = 1
"""Seconds that an answer about containers is good for: they come and go."""


class Malformed(ValueError):
    """This is no question."""


class Question:
    """What is asked: ``name`` in lower case without its last dot."""

    __slots__ = ("end", "flags", "identifier", "kind", "message", "name", "space")

    def __init__(self, message: bytes) -> None:
        """Read one; raises Malformed."""
        if len(message) < _HEADER.size:
            raise Malformed("too short")
        self.message = message
        self.identifier, self.flags, questions, _, _, _ = _HEADER.unpack_from(message)
        if self.flags & _RESPONSE or questions != 1:
            raise Malformed("not one question")
        labels, place = read_name(message, _HEADER.size)
        if place + 4 > len(message):
            raise Malformed("too short")
        self.name = b".".join(labels).decode("ascii", "replace").lower()
        self.kind, self.space = struct.unpack_from("!HH", message, place)
        self.end = place + 4

    @property
    def plain(self) -> bool:
        """Whether it is a query of the Internet class."""
        return not self.flags & _OPCODE and self.space == IN

    def answer(self, code: int, records: list[bytes] | None = None, *, room: int = 0) -> bytes:
        """The reply; over ``room`` bytes (0: any size) it is cut, and says so."""
        found = records or []
        flags = _RESPONSE | _AVAILABLE | (self.flags & (_OPCODE | _RECURSION)) | code
        body = self.message[_HEADER.size : self.end]
        size = _HEADER.size + len(body)
        kept = []
        for record in found:
            size += len(record)
            if room and size > room:
                flags |= _TRUNCATED
                break
            kept.append(record)
        return _HEADER.pack(self.identifier, flags, 1, len(kept), 0, 0) + body + b"".join(kept)

    @property
    def room(self) -> int:
        """How large an answer by datagram may be: 512, or what EDNS says (RFC 6891)."""
        # an OPT record is the only additional one that queries carry: root name, type 41, size in its class
        record = self.message[self.end : self.end + 5]
        if self.message[10:12] == b"\0\1" and record[:3] == b"\0\0\x29" and len(record) == 5:
            return max(_LARGEST, min(int.from_bytes(record[3:], "big"), 4096))
        return _LARGEST


def read_name(message: bytes, place: int) -> tuple[list[bytes], int]:
    """Labels, and where the name ends; raises Malformed. Pointers lead back only, so it comes to an end."""
    labels: list[bytes] = []
    end = 0
    total = 0
    limit = len(message)
    while True:
        if place >= len(message):
            raise Malformed("a name runs out of the message")
        length = message[place]
        if length >= 0xC0:
            if place + 1 >= len(message):
                raise Malformed("a pointer runs out of the message")
            end = end or place + 2
            target = (length & 0x3F) << 8 | message[place + 1]
            if target >= min(place, limit):
                raise Malformed("a pointer leads forward")
            limit = place = target
            continue
        if length > 63:
            raise Malformed("a label of an unknown kind")
        if length == 0:
            return labels, end or place + 1
        total += length + 1
        if total > 255 or place + 1 + length > len(message):
            raise Malformed("a name is too long")
        labels.append(message[place + 1 : place + 1 + length])
        place += 1 + length


def address_record(address: str) -> bytes:
    """An A or AAAA record for the name in question."""
    if ":" in address:
        return b"\xc0\x0c" + _RECORD.pack(AAAA, IN, TTL, 16) + socket.inet_pton(socket.AF_INET6, address)
    return b"\xc0\x0c" + _RECORD.pack(A, IN, TTL, 4) + socket.inet_aton(address)


def name_record(name: str) -> bytes:
    """A PTR record for the name in question."""
    data = b"".join(bytes((len(label),)) + label for label in name.encode().split(b".") if label) + b"\0"
    return b"\xc0\x0c" + _RECORD.pack(PTR, IN, TTL, len(data)) + data


def _records(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, where the seconds stand, and data of each record in an answer; raises Malformed."""
    if len(message) < _HEADER.size:
        raise Malformed("too short")
    _, _, questions, answers, _, _ = _HEADER.unpack_from(message)
    place = _HEADER.size
    for _ in range(questions):
        _, place = read_name(message, place)
        place += 4
    for _ in range(answers):
        _, place = read_name(message, place)
        if place + _RECORD.size > len(message):
            raise Malformed("too short")
        kind, _, _, length = _RECORD.unpack_from(message, place)
        data = place + _RECORD.size
        yield kind, place + 4, message[data : data + length]
        place = data + length


def addresses(message: bytes) -> list[tuple[str, int]]:
    """The addresses in an answer, with the seconds that they are good for; raises Malformed."""
    found = []
    for kind, place, data in _records(message):
        (ttl,) = _SECONDS.unpack_from(message, place)
        if kind == A and len(data) == 4:
            found.append((socket.inet_ntoa(data), ttl))
        elif kind == AAAA and len(data) == 16:
            found.append((socket.inet_ntop(socket.AF_INET6, data), ttl))
    return found


def shortened(message: bytes, most: int) -> bytes:
    """The answer, good for no more than ``most`` seconds; raises Malformed."""
    changed = bytearray(message)
    for _, place, _ in _records(message):
        if _SECONDS.unpack_from(message, place)[0] > most:
            _SECONDS.pack_into(changed, place, most)
    return bytes(changed)


def reversed_address(name: str) -> str:
    """The address that a name below in-addr.arpa or ip6.arpa stands for; empty if it is none."""
    if name.endswith(".in-addr.arpa"):
        parts = name.removesuffix(".in-addr.arpa").split(".")
        text = ".".join(reversed(parts))
        family = socket.AF_INET
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[place : place + 4] for place in range(0, len(digits), 4))
        family = socket.AF_INET6
    else:
        return ""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return ""
