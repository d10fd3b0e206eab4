"""The daemon's side of spawner and monitors, on asyncio and without threads.

``Spawner`` launches containers; each launch gives a ``MonitorLink``, and so does ``reconnect`` after a restart of
the daemon. A link that ends without an exit message means that the monitor was killed: nobody owns the
container's streams any more, so its first process is killed too (after proof that the pid is still that process),
its cgroup is removed, and the exit record says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from wharfie.errors import InternalError, Unavailable, WharfieError
from wharfie.monitor import protocol
from wharfie.monitor.interpreter import read_only_command
from wharfie.monitor.protocol import Attachment, ExitRecord, LaunchRequest
from wharfie.runtime.launch import LaunchError
from wharfie.support import json
from wharfie.support.files import read_file
from wharfie.support.tasks import spawn

__all__ = [
    "AttachHandle",
    "Attachment",
    "ExecHandle",
    "ExitRecord",
    "LaunchError",
    "LaunchRequest",
    "MonitorGone",
    "MonitorLink",
    "Spawner",
    "SpawnerDied",
    "reconnect",
]


class SpawnerDied(Unavailable):
    """The fork server is gone before it took the request: start another and ask again."""


class MonitorGone(Unavailable):
    """The container's monitor went away before it answered; ``MonitorLink.exited`` will say more."""


class AttachHandle:
    """One client's stream in a monitor's care."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.closed: asyncio.Future[str]
        """Resolves to protocol.EXITED, DETACHED, CLIENT or LOST."""


class ExecHandle:
    """A further process in a container."""

    def __init__(self, exec_id: str) -> None:
        self.exec_id = exec_id
        self.pid: int
        self.attachments: list[AttachHandle]
        """In the order of the attachments that the process was started with."""
        self.exited: asyncio.Future[int]
        """Resolves to the exit code."""


class MonitorLink:
    """A live connection with one container's monitor."""

    id: str
    pid: int
    start_time: int
    """In clock ticks since boot: with the pid it names a process beyond doubt."""
    monitor_pid: int
    started_at_ns: int
    exited: asyncio.Future[ExitRecord]
    attachments: list[AttachHandle]
    """Those the container was launched with, in their order."""
    execs: dict[str, ExecHandle]
    """Running ones, after a reconnect too."""
    on_oom: Callable[[], None] | None
    """Called when the kernel killed a process of the container for want of memory."""

    async def attach(self, attachment: Attachment, stream_fd: int, exec_id: str | None = None) -> AttachHandle:
        """Tie a further stream to the container (or to a process in it); the caller closes its own stream_fd."""

    async def resize(self, height: int, width: int, exec_id: str | None = None) -> None:
        """Set the size of the terminal."""

    async def exec(
        self,
        exec_id: str,
        process: dict[str, Any],
        *,
        tty: bool = False,
        open_stdin: bool = False,
        stdin_once: bool = True,
        seccomp_path: str | None = None,
        console_size: tuple[int, int] | None = None,
        attachments: Sequence[Attachment] = (),
        fds: Sequence[int] = (),
    ) -> ExecHandle:
        """Start an OCI process in the container; raises LaunchError with exit code 125, 126 or 127."""

    async def signal(self, number: int, exec_id: str | None = None) -> None:
        """Send a signal to the container's first process (or to an exec'd one), by its pidfd."""

    async def close_stdin(self, exec_id: str | None = None) -> None:
        """Close the write end of the process's stdin."""

    async def ping(self) -> None:
        """Raises MonitorGone unless the monitor answers."""

    def close(self) -> None:
        """Let go of the monitor (at the daemon's end); it and its container live on."""


class Spawner:
    """The fork server, a child process of the daemon."""

    pid: int
    died: asyncio.Future[int]
    """Resolves when the spawner is gone, to its exit status or minus the signal that ended it."""

    @classmethod
    async def start(cls, *, exec_root: str, interpreter: list[str], log_path: str) -> Spawner:
        """Start one and wait until it serves; raises SpawnerDied. ``interpreter`` is e.g. [sys.executable]."""

    async def launch(self, request: LaunchRequest, fds: Sequence[int] = ()) -> MonitorLink:
        """Create and start a container; the caller closes its own fds. Raises LaunchError, SpawnerDied."""

    async def close(self) -> None:
        """End the spawner; monitors and containers live on."""


async def reconnect(directory: str) -> MonitorLink | ExitRecord:
    """Find the monitor of <exec-root>/containers/<id> again, or how the container ended without us.

    Where neither a monitor nor an exit record is left, what is left of the container is killed and removed.
    Raises FileNotFoundError when nothing was ever launched there.
    """
