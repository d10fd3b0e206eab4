"""Ports for servers that have to be told theirs: nobody else gets one by chance before the server has it."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback address that nobody has, and none that the kernel itself gives out.

    What asks for any port gets one of the ephemeral ones (ip(7)), and so does every connection: a port of
    those may be taken between our look and its use, or even be connected with itself by who waits for it.
    """
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    places = [*range(max(1024, low - 8000), low), *range(high + 1, 1 << 16)]
    random.shuffle(places)
    for port in places or range(1024, 1 << 16):
        if port in _given:
            continue
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError("no port is free")
