"""What a monitor is told by the child that launched its container: a packet, and the descriptors it owns now.

::

    (adopted: the launcher is its parent until it ends, names of the descriptors or () for USUAL,
     is there a mount namespace, pid, directory, log: (path, max_size, max_file, attrs) or None,
     stdin_once, own_pids, oom_urgent, attachments: [JSON objects])
    descriptors: those of the names, the mount namespace, one stream for each attachment

Both are one program, a process and its fork, so the packet is Python's own (marshal): reading it takes a
tenth of the memory that JSON does, and each monitor would keep that. For the same reason it is a tuple (the
names of fields are objects on pages that all monitors share, until one looks: 40 KiB), and a monitor is told
no more than it needs at once; the rest it finds in status.json.
"""

from __future__ import annotations

import _socket
import marshal
import posix as os

from wharfie.linux.fd import close_all, recv_fds, send_fds
from wharfie.support.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Log = tuple[str, int, int, dict[str, str]]
    Told = tuple[bool, tuple[str, ...], bool, int, str, Log | None, bool, bool, bool, list[dict[str, Any]]]

ADOPTED = 0
USUAL = ("directory", "log", "listener", "pidfd", "stdout", "stderr", "oom", "link")
"""What nearly every monitor owns."""
ORDER = (*USUAL, "stdin", "console")
LIMIT = 3 * 1024
"""Bytes of a packet; a longer one (attachments may bring input with them) travels in a memory file."""
FDS_LIMIT = 80


def send(sock: _socket.socket, launched: Told, fds: Sequence[int]) -> None:
    """Tell the monitor."""
    packet = marshal.dumps(launched)
    if len(packet) <= LIMIT:
        send_fds(sock, packet, fds)
        return
    document = os.memfd_create("wharfie-launched", os.MFD_CLOEXEC)
    try:
        write_all(document, packet)
        send_fds(sock, b"M", [document, *fds])
    finally:
        os.close(document)


def receive(sock: _socket.socket) -> tuple[Told, list[int]] | None:
    """Be told; None when the launch failed."""
    packet, fds = recv_fds(sock, LIMIT, FDS_LIMIT)
    if not packet:
        close_all(fds)
        return None
    if len(packet) == 1:
        document = fds.pop(0)
        packet = os.pread(document, os.fstat(document).st_size, 0)
        os.close(document)
    launched: Told = marshal.loads(packet)
    return launched, fds
