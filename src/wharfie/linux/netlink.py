"""Netlink framing: messages out, acknowledgements in.

A netlink datagram holds one or more messages, each a header, a fixed part and nested attributes, all padded
to four bytes (netlink(7))::

    sendto ─ [ message seq=1 ACK | message seq=2 ACK | … ] ─→ kernel
    recv   ←─ NLMSG_ERROR seq=1, code 0 ─ NLMSG_ERROR seq=2, code -EEXIST + text ─ …

The kernel works a datagram off inside sendto(2), one message after the other, and goes on after one that
fails: a batch saves system calls, it is not a transaction. All answers are queued when sendto returns, so
reading them never waits. This is used between fork and execve of a container, so it loads nothing but
``_socket`` and ``struct`` (pyroute2 takes 10 ms and 10 MiB for the same).
"""

from __future__ import annotations

import _socket
import posix as os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REQUEST, ACK, ECHO, DUMP = 0x1, 0x4, 0x8, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400
NETFILTER = 12
"""The family of nfnetlink; a message's type has one of its subsystems above."""
CONNTRACK, PACKETS, NFTABLES = 1, 4, 10

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_BATCH_BEGIN, _BATCH_END = 16, 17
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_SOL_NETLINK = 270
_SO_SNDBUFFORCE = 32
_USUAL_BUFFER = 1 << 16
"""Bytes that every socket takes at once (socket(7), wmem_default)."""
_NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 10, 11
_ERROR_TEXT = 1
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

_ORDER = sys.byteorder
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string attribute."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute."""
    return attribute(kind, value.to_bytes(4, _ORDER))


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(parts))


def attributes(data: bytes | memoryview, start: int = 0) -> dict[int, bytes]:
    """The attributes in ``data`` from ``start``, by kind (the last of a kind wins)."""
    found = {}
    end = len(data)
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4 or start + length > end:
            break
        found[kind & _TYPE_MASK] = bytes(data[start + 4 : start + length])
        start += (length + 3) & ~3
    return found


def as_text(value: bytes | None) -> str:
    """The string in a string attribute; empty when it is absent."""
    return value.rstrip(b"\0").decode(errors="surrogateescape") if value else ""


def as_number(value: bytes | None) -> int:
    """The integer in an attribute; 0 when it is absent."""
    return int.from_bytes(value, _ORDER) if value else 0


class Request:
    """One message to be sent: what it does in words (for the error), its type, flags and body."""

    __slots__ = ("body", "fine", "flags", "kind", "operation")

    def __init__(self, operation: str, kind: int, flags: int, body: bytes, *, fine: int = 0) -> None:
        self.operation = operation
        self.kind = kind
        self.flags = flags | REQUEST
        self.body = body
        self.fine = fine
        """The error that says that there is nothing to do."""


class Socket:
    """A netlink socket of one protocol family, bound to the network namespace it was opened in."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self, protocol: int) -> None:
        self._socket = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        try:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def execute(self, requests: Sequence[Request]) -> list[bytes]:
        """Send all ``requests`` in one datagram; what the kernel answered beside the acknowledgements.

        All of them are tried. Raises OSError for the first that failed.
        """
        first = self._sequence + 1
        parts = []
        for request in requests:
            self._sequence += 1
            length = 16 + len(request.body)
            parts.append(_HEADER.pack(length, request.kind, request.flags | ACK, self._sequence, 0))
            parts.append(request.body)
            parts.append(b"\0" * (-length % 4))
        self._socket.sendto(b"".join(parts), (0, 0))
        answers: list[bytes] = []
        failure: OSError | None = None
        waiting = len(requests)
        while waiting:
            for kind, flags, sequence, payload in self._receive():
                if not first <= sequence <= self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    answers.append(payload)
                    continue
                waiting -= 1
                request = requests[sequence - first]
                error = _failure(request.operation, flags, payload)
                if error is None or error.errno != request.fine:
                    failure = failure or error
        if failure is not None:
            raise failure
        return answers

    def transact(self, subsystem: int, requests: Sequence[Request]) -> None:
        """Send ``requests`` as one transaction of a netfilter subsystem; OSError: nothing is done."""
        frame = b"\0\0" + subsystem.to_bytes(2, "big")
        first = self._sequence + 2
        parts = [_HEADER.pack(20, _BATCH_BEGIN, REQUEST, first - 1, 0), frame]
        self._sequence += 1
        for request in requests:
            self._sequence += 1
            length = 16 + len(request.body)
            parts.append(_HEADER.pack(length, request.kind, request.flags | ACK, self._sequence, 0))
            parts.append(request.body + b"\0" * (-length % 4))
        last = self._sequence
        self._sequence += 1
        parts += [_HEADER.pack(20, _BATCH_END, REQUEST, self._sequence, 0), frame]
        data = b"".join(parts)
        if len(data) > _USUAL_BUFFER:
            self._socket.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(data))
        self._socket.sendto(data, (0, 0))
        waiting = len(requests)
        failure: OSError | None = None
        while waiting:
            try:
                answers = list(self._receive(_socket.MSG_DONTWAIT))
            except BlockingIOError:
                # all is queued when sendto returns: there is no more to come after a transaction that broke
                break
            for kind, flags, sequence, payload in answers:
                if kind == _NLMSG_ERROR and first - 1 <= sequence <= last + 1:
                    waiting -= first <= sequence <= last
                    place = min(max(sequence - first, 0), len(requests) - 1)
                    failure = failure or _failure(requests[place].operation, flags, payload)
        if failure is not None:
            raise failure

    def dump(self, request: Request) -> list[bytes]:
        """The bodies of all objects that a dump request lists; raises OSError."""
        self._sequence += 1
        header = _HEADER.pack(16 + len(request.body), request.kind, request.flags | DUMP, self._sequence, 0)
        self._socket.sendto(header + request.body, (0, 0))
        found: list[bytes] = []
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    error = _failure(request.operation, flags, payload)
                    if error is not None:
                        raise error
                    return found
                found.append(payload)

    def _receive(self, how: int = 0) -> Iterator[tuple[int, int, int, bytes]]:
        return messages(self._socket.recv(65536, how))


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, sequence number and body of each message in a datagram."""
    start = 0
    while start + 16 <= len(data):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(data, start)
        if length < 16:
            break
        yield kind, flags, sequence, data[start + 16 : start + length]
        start += (length + 3) & ~3


def _failure(operation: str, flags: int, payload: bytes) -> OSError | None:
    (code,) = _CODE.unpack_from(payload) if len(payload) >= 4 else (0,)
    if code >= 0:
        return None
    detail = ""
    if flags & _NLM_F_ACK_TLVS and flags & _NLM_F_CAPPED:
        # with CAP_ACK the answer quotes only the failed message's header: 4 + 16 bytes, then the attributes
        detail = as_text(attributes(payload, 20).get(_ERROR_TEXT))
    reason = os.strerror(-code)
    return OSError(
        -code, f"cannot {operation}: {reason} ({detail})" if detail else f"cannot {operation}: {reason}"
    )
