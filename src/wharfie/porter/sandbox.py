"""A container's 127.0.0.11: two sockets in its network namespace, and rules that lead port 53 to them.

The sockets are at ports of the kernel's choice, so that port 53 of every address is the container's own (a
name server in a container binds 0.0.0.0:53). The process goes into the namespace and comes back; nothing else
runs meanwhile, for it has one thread.
"""

from __future__ import annotations

import logging
import os
import socket

from wharfie.linux import conntrack, nft, process
from wharfie.linux.rtnetlink import Netlink

ADDRESS = "127.0.0.11"
_TABLE = "wharfie_dns"
_REMOVAL = f"add table ip {_TABLE}\ndelete table ip {_TABLE}\n"
_log = logging.getLogger(__name__)


def open_sockets(netns: int, *, used: bool = False) -> tuple[socket.socket, socket.socket]:
    """(UDP, TCP) for the namespace of a descriptor; raises OSError.

    ``used``: there may be the rules of an earlier pair, and the kernel may lead who asked it there still.
    Removing something waits for the kernel's grace periods (10 ms), which a container's start need not.
    """
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    made: list[socket.socket] = []
    try:
        process.setns(netns, process.CLONE_NEWNET)
        try:
            # the address is there when lo is up, and the container's first process may not have come to that
            with Netlink() as netlink:
                netlink.set_link(1, up=True)
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
                made.append(sock)
                sock.bind((ADDRESS, 0))
            made[1].listen(64)
            rules = _rules(made[0].getsockname()[1], made[1].getsockname()[1])
            nft.run(f"{_REMOVAL}{rules}" if used else rules)
            if used:
                _forget_askers()
        finally:
            process.setns(own, process.CLONE_NEWNET)
    except BaseException:
        for sock in made:
            sock.close()
        raise
    finally:
        os.close(own)
    return made[0], made[1]


def _forget_askers() -> None:
    try:
        with conntrack.Memory() as memory:
            memory.forget(memory.flows(socket.AF_INET, socket.IPPROTO_UDP, 53))
    except OSError as error:
        _log.warning("who asked for names before may ask in vain for a while: %s", error)


def _rules(datagrams: int, streams: int) -> str:
    return (
        f"table ip {_TABLE} {{ chain output {{ type nat hook output priority -100; policy accept;\n"
        f"ip daddr {ADDRESS} udp dport 53 dnat to {ADDRESS}:{datagrams}\n"
        f"ip daddr {ADDRESS} tcp dport 53 dnat to {ADDRESS}:{streams}\n}}\n}}\n"
    )
