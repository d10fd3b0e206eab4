"""A container as the engine holds it: configuration that stays, a status that is replaced, handles that go.

::

    Container ── record   what it was created as; replaced as a whole by rename and update
              ── status   a frozen snapshot, replaced as a whole by every step of its life: readers never wait
              ── link     to its monitor, while it runs
              ── lock     one operation at a time; taken by verbs, never by readers

Times are nanoseconds since the epoch, 0 for "never".
"""

from __future__ import annotations

import asyncio
import os
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from wharfie.support.ids import short_id
from wharfie.volumes.model import MountPoint
from wharfie.wire.config import Config, EndpointSettings, HostConfig

if TYPE_CHECKING:
    from wharfie.engine.health import Health
    from wharfie.monitor.client import AttachHandle, Attachment, MonitorLink


class State(StrEnum):
    """Docker's words for where a container is in its life."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One moment of a container."""

    state: State = State.CREATED
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    """Restarts by policy since somebody last started it."""
    manually_stopped: bool = False
    """Somebody stopped or killed it: ``unless-stopped`` does not start it again with the daemon."""
    backoff_ms: int = 0
    """The wait before the last restart by policy; the next one is twice as long."""

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        return self.state in (State.RUNNING, State.PAUSED)

    @property
    def active(self) -> bool:
        """Whether it runs or is about to: Docker calls a restarting container running."""
        return self.running or self.state is State.RESTARTING

    @property
    def paused(self) -> bool:
        """Whether its processes are frozen."""
        return self.state is State.PAUSED


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the database remembers of a container beside name and status."""

    config: Config
    host_config: HostConfig
    networks: dict[str, EndpointSettings] = {}
    """The networks asked for, with aliases and addresses asked for."""
    detached: bool = False
    """It was taken out of all its networks."""
    image_id: str
    created: int
    path: str
    args: list[str]
    mounts: list[MountPoint] = []
    log_driver: str = "json-file"
    log_options: dict[str, str] = {}
    userns_base: int = 0
    """First of the 65536 host ids its private user namespace is mapped to; 0 without one."""


class PendingAttach:
    """A stream attached before the start: ``docker run`` attaches first, so that no byte is missed.

    The starter hands ``fd`` to the monitor and closes it; ``handle`` then resolves to the monitor's handle,
    or to the error that the start failed with.
    """

    __slots__ = ("attachment", "fd", "handle")

    def __init__(self, attachment: Attachment, fd: int) -> None:
        self.attachment = attachment
        self.fd = fd
        self.handle: asyncio.Future[AttachHandle] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """There will be no start: close the descriptor and say why."""
        os.close(self.fd)
        if not self.handle.done():
            self.handle.set_exception(error)
            # the client may be gone: then nobody looks at it
            self.handle.exception()


class Container:
    """One container."""

    __slots__ = (
        "directory",
        "exec_ids",
        "health",
        "held",
        "id",
        "link",
        "lock",
        "name",
        "pending",
        "record",
        "removal",
        "restart",
        "run_directory",
        "status",
        "waiters",
    )

    def __init__(
        self,
        id: str,
        name: str,
        record: Record,
        status: Status,
        *,
        directory: str,
        run_directory: str,
    ) -> None:
        self.id = id
        self.name = name
        """Without the slash that Docker puts before it."""
        self.record = record
        self.status = status
        self.directory = directory
        """<data-root>/containers/<id>: upper, work, hosts and the log."""
        self.run_directory = run_directory
        """<exec-root>/containers/<id>: the monitor's socket and the exit record."""
        self.link: MonitorLink | None = None
        self.lock = asyncio.Lock()
        self.pending: list[PendingAttach] = []
        """Streams that wait for the start."""
        self.exec_ids: set[str] = set()
        self.health: Health | None = None
        """What its checks say; None without any."""
        self.held = False
        """A restart by hand is under way: its exit does not remove it."""
        self.waiters: list[asyncio.Future[None]] = []
        """Woken at the next exit."""
        self.removal: asyncio.Future[None] | None = None
        """Resolved when it is removed; made by the first who waits for that."""
        self.restart: asyncio.TimerHandle | None = None
        """The restart by policy that is waiting its time."""

    @property
    def config(self) -> Config:
        """The portable part of its configuration."""
        return self.record.config

    @property
    def host_config(self) -> HostConfig:
        """The part that depends on this host."""
        return self.record.host_config

    @property
    def image_id(self) -> str:
        """``sha256:…`` of the image it was made from."""
        return self.record.image_id

    @property
    def created(self) -> int:
        """When it was made, in nanoseconds since the epoch."""
        return self.record.created

    @property
    def short_id(self) -> str:
        """The first twelve digits of its id."""
        return short_id(self.id)

    @property
    def tty(self) -> bool:
        """Whether it has a terminal."""
        return self.config.tty

    @property
    def log_path(self) -> str:
        """Where its log is for others to read; empty for a driver that keeps it elsewhere or not at all."""
        return self.spool_path if self.record.log_driver == "json-file" else ""

    @property
    def spool_path(self) -> str:
        """The file its lines are written to; empty for the driver that keeps none."""
        if self.record.log_driver == "none":
            return ""
        return f"{self.directory}/{self.id}-json.log"

    @property
    def upper(self) -> str:
        """The directory that holds what it changed."""
        return f"{self.directory}/upper"

    @property
    def work(self) -> str:
        """The overlay's work directory."""
        return f"{self.directory}/work"

    def attributes(self) -> dict[str, str]:
        """What every event of it says: its labels, its image and its name."""
        return {**(self.config.labels or {}), "image": self.config.image, "name": self.name}
