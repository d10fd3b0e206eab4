"""``daemon`` and ``system stop``."""

from __future__ import annotations

import os
import sys
import time

from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client.errors import BrokenAnswer, DaemonUnreachable

STOP = Command(
    "system stop [OPTIONS]",
    "Stop the daemon; containers go on running until the next one finds them again",
    (("time", "t", "int", "Seconds to wait until it is gone (default 30)"),),
    most=0,
)
# the command line never imports the engine; this one command hands over to it by name
_DAEMON = "wharfie.daemon.main"


def daemon(context: Context, arguments: list[str]) -> int:
    """``daemon``: become it."""
    import importlib

    sys.argv[:] = ["wharfie daemon", *arguments]
    return int(importlib.import_module(_DAEMON).main())


def stop_daemon(context: Context, arguments: list[str]) -> int:
    """``system stop``: returns when the daemon's process is gone."""
    options, _ = STOP.parse(arguments)
    connection = context.api.connect()
    pid = _peer(connection.sock) if context.api.address.port == 0 else 0
    context.api.release(connection)
    try:
        context.api.post("/wharfie/shutdown")
    except BrokenAnswer:
        # it may be quicker to go than to answer
        warn("wharfie: the daemon hung up while it stopped")
    seconds = options.get("time", 30)
    deadline = time.monotonic() + seconds
    while _alive(context, pid):
        if time.monotonic() > deadline:
            raise CommandError(f"the daemon (pid {pid}) is still there after {seconds} seconds: see its log")
        time.sleep(0.02)
    return 0


def _peer(sock: object) -> int:
    """The process at the other end of a Unix socket: SO_PEERCRED, unix(7)."""
    import socket
    import struct

    data: bytes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # type: ignore[attr-defined]
    return int(struct.unpack("iII", data)[0])


def _alive(context: Context, pid: int) -> bool:
    if pid > 0:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # a zombie is gone as far as anybody but its parent is concerned
                return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
        except OSError:
            return os.path.exists(f"/proc/{pid}/stat")
    try:
        context.api.address.connect().close()
    except DaemonUnreachable:
        return False
    return True
