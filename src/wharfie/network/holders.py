"""Which process holds a port of the host: for the sentence that refuses it.

/proc/net/tcp and its kin name the socket's inode, /proc/<pid>/fd who has it (proc(5)).
"""

from __future__ import annotations

import os
import socket


def process_at(protocol: str, port: int) -> str:
    """ "nginx (pid 17)"; empty when it cannot be found out."""
    inodes = set()
    for suffix in ("", "6"):
        inodes |= _inodes(f"/proc/net/{protocol}{suffix}", port, listening=protocol == "tcp")
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in wanted for fd in os.listdir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return f"{file.read().strip()} (pid {pid})"
        except OSError:
            continue
    return ""


def _inodes(path: str, port: int, *, listening: bool) -> set[str]:
    found: set[str] = set()
    try:
        with open(path, encoding="ascii") as file:
            lines = file.readlines()[1:]
    except OSError:
        return found
    for line in lines:
        words = line.split()
        if int(words[1].rpartition(":")[2], 16) == port and (not listening or words[3] == "0A"):
            found.add(words[9])
    return found


def has_ipv6() -> bool:
    """Whether this machine speaks IPv6 at all."""
    try:
        with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", encoding="ascii") as file:
            if file.read().strip() != "0":
                return False
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True
