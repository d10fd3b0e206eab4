"""The loopback device of a new network namespace, by ioctl(2): rtnetlink's modules cost 2 ms of a start."""

from __future__ import annotations

import _socket
import fcntl
import struct

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_REQUEST = struct.Struct("=16sH22x")


def raise_loopback() -> None:
    """Bring lo up in this network namespace (netdevice(7)); raises OSError."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        answer = fcntl.ioctl(sock.fileno(), _SIOCGIFFLAGS, _REQUEST.pack(b"lo", 0))
        flags: int = _REQUEST.unpack(answer)[1]
        fcntl.ioctl(sock.fileno(), _SIOCSIFFLAGS, _REQUEST.pack(b"lo", flags | _IFF_UP))
    finally:
        sock.close()
