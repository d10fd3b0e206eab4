"""Packets that an allow-list kept in: the kernel reports their beginnings to whoever listens to its group.

nfnetlink_log: one message a packet, an IP header in its payload.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from wharfie.linux import netlink
from wharfie.linux.netlink import NETFILTER, PACKETS, Request, attribute
from wharfie.network.firewall import EGRESS_GROUP, PROTOCOLS

_PACKET, _CONFIG = 0, 1
_CFG_CMD, _CFG_MODE, _BIND, _COPY = 1, 2, 1, 2
_PAYLOAD = 9
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A packet that was not let out."""

    source: str
    destination: str
    protocol: str
    port: int


def parse(payload: bytes) -> Refusal | None:
    """The header of a packet; None when there is not enough of it."""
    if len(payload) >= 20 and payload[0] >> 4 == 4:
        size, number = (payload[0] & 15) * 4, payload[9]
        ends = [socket.inet_ntop(socket.AF_INET, payload[at : at + 4]) for at in (12, 16)]
    elif len(payload) >= 40 and payload[0] >> 4 == 6:
        size, number = 40, payload[6]
        ends = [socket.inet_ntop(socket.AF_INET6, payload[at : at + 16]) for at in (8, 24)]
    else:
        return None
    port = 0
    if number in _NAMES and len(payload) >= size + 4:
        (port,) = struct.unpack_from("!H", payload, size + 2)
    return Refusal(ends[0], ends[1], _NAMES.get(number, str(number)), port)


class Refusals:
    """Hears of them; belongs to the event loop."""

    def __init__(self, heard: Callable[[Refusal], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._socket: netlink.Socket | None = None
        group = struct.pack("!BBH", 0, 0, EGRESS_GROUP)
        mode = struct.pack("!IBx", 64, _COPY)
        try:
            self._socket = netlink.Socket(NETFILTER)
            for body in (attribute(_CFG_CMD, bytes((_BIND,))), attribute(_CFG_MODE, mode)):
                kind = PACKETS << 8 | _CONFIG
                self._socket.execute([Request("listen to refused packets", kind, 0, group + body)])
        except OSError as error:
            # another daemon of ours listens to them already
            _log.info("refused packets are not told: %s", error)
            self.close()
            return
        self._raw = socket.socket(fileno=socket.dup(self._socket.fileno()))
        self._raw.setblocking(False)
        self._loop.add_reader(self._raw.fileno(), self._readable)

    def close(self) -> None:
        """Hear no more."""
        if self._socket is not None:
            if hasattr(self, "_raw"):
                self._loop.remove_reader(self._raw.fileno())
                self._raw.close()
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        for _ in range(64):
            try:
                data = self._raw.recv(1 << 16)
            except OSError:
                return
            start = 0
            while start + 20 <= len(data):
                length = int.from_bytes(data[start : start + 4], "little")
                kind = int.from_bytes(data[start + 4 : start + 6], "little")
                if kind == PACKETS << 8 | _PACKET:
                    found = netlink.attributes(data[start : start + length], 20)
                    refusal = parse(found.get(_PAYLOAD, b""))
                    if refusal is not None:
                        self._heard(refusal)
                start += max(20, (length + 3) & ~3)
