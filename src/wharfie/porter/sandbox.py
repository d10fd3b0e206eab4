"""A container's 127.0.0.11: two sockets in its network namespace, and rules that lead port 53 to them.

The sockets are at another port, so that port 53 of every address is the container's own (a name server in a
container binds 0.0.0.0:53); at the same one each time, where it is free, for the kernel leads who goes on
asking through one socket to where its first question went. The process goes into the namespace and comes
back; nothing else runs meanwhile, for it has one thread.
"""

from __future__ import annotations

import errno
import os
import socket

from wharfie.linux import nfrules, process
from wharfie.linux.nfrules import Redirection
from wharfie.linux.rtnetlink import Netlink

ADDRESS = "127.0.0.11"
_TABLE = "wharfie_dns"
_PORT = 61_053
"""Beyond those that are given out by themselves (ip_local_port_range)."""


def open_sockets(netns: int, *, used: bool = False) -> tuple[socket.socket, socket.socket]:
    """(UDP, TCP) for the namespace of a descriptor; raises OSError.

    ``used``: there may be the rules of an earlier pair.
    """
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    made: list[socket.socket] = []
    try:
        process.setns(netns, process.CLONE_NEWNET)
        try:
            # the address is there when lo is up, and the container's first process may not have come to that
            with Netlink() as netlink:
                netlink.set_link(1, up=True)
            redirections = []
            for protocol, kind in (
                (socket.IPPROTO_UDP, socket.SOCK_DGRAM),
                (socket.IPPROTO_TCP, socket.SOCK_STREAM),
            ):
                sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
                made.append(sock)
                redirections.append(Redirection(protocol, ADDRESS, 53, _bind(sock)))
            made[1].listen(64)
            nfrules.redirect(_TABLE, redirections, anew=used)
        finally:
            process.setns(own, process.CLONE_NEWNET)
    except BaseException:
        for sock in made:
            sock.close()
        raise
    finally:
        os.close(own)
    return made[0], made[1]


def _bind(sock: socket.socket) -> int:
    """The port that it gets."""
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((ADDRESS, _PORT))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sock.bind((ADDRESS, 0))
    return int(sock.getsockname()[1])
