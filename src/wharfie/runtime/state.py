"""Containers of the command line on disk: one directory each below --root.

``state.json`` is written whole or not at all; the truth about life and death is the kernel's (pid and start
time). While a container is created and not started there is ``exec.fifo``: its process reads a byte from it.

::

    creating ──> created (exec.fifo is there) ──> running <──> paused ──> stopped ──> (deleted)
"""

from __future__ import annotations

import os

from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.linux.process import process_state, start_time
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support import json
from wharfie.support.files import atomic_write, read_file, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup

DEFAULT_ROOT = "/run/wharfie-runtime"
_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")


class Record:
    """What is remembered of one container."""

    __slots__ = ("bundle", "cgroup", "created", "directory", "id", "owner", "pid", "spec", "start_time")

    def __init__(self, directory: str, content: dict[str, Any]) -> None:
        self.directory = directory
        self.id: str = content["id"]
        self.pid: int = content["pid"]
        self.start_time: int = content["start_time"]
        self.bundle: str = content["bundle"]
        self.cgroup: str = content["cgroup"]
        self.created: str = content["created"]
        self.owner: str = content["owner"]
        self.spec: dict[str, Any] = content["spec"]

    def write(self) -> None:
        """Put it on disk."""
        names = ("id", "pid", "start_time", "bundle", "cgroup", "created", "owner", "spec")
        content = {name: getattr(self, name) for name in names}
        atomic_write(f"{self.directory}/state.json", json.dumps(content).encode(), sync=False)

    @property
    def fifo(self) -> str:
        """Where a created container waits."""
        return f"{self.directory}/exec.fifo"

    def open_cgroup(self) -> Cgroup:
        """The container's cgroup."""
        return open_cgroup(self.cgroup)

    def alive(self) -> bool:
        """Whether its first process is there and no zombie."""
        try:
            return start_time(self.pid) == self.start_time and process_state(self.pid) not in "ZX"
        except OSError:
            return False

    def status(self) -> str:
        """OCI's status of the container, from the kernel."""
        if not self.alive():
            return "stopped"
        if self.open_cgroup().frozen():
            return "paused"
        return "created" if os.path.exists(self.fifo) else "running"

    def pidfd(self) -> int:
        """A descriptor of the first process; raises Conflict when the container is not running."""
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            raise Conflict("container is not running") from None
        if not self.alive():
            os.close(fd)
            raise Conflict("container is not running")
        return fd

    def state(self) -> dict[str, Any]:
        """The answer of ``state`` (runtime-spec, "State", with runc's additions)."""
        status = self.status()
        return {
            "ociVersion": self.spec.get("ociVersion") or "1.2.0",
            "id": self.id,
            "pid": 0 if status == "stopped" else self.pid,
            "status": status,
            "bundle": self.bundle,
            "rootfs": os.path.join(self.bundle, (self.spec.get("root") or {}).get("path") or ""),
            "created": self.created,
            "annotations": self.spec.get("annotations") or {},
            "owner": self.owner,
        }

    def forget(self) -> None:
        """Remove the directory."""
        remove_tree(self.directory)


class Store:
    """The directory below --root."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root

    def reserve(self, name: str) -> str:
        """Make the directory of a new container; raises InvalidArgument, Conflict."""
        if not name or not set(name) <= _ALLOWED or name in (".", ".."):
            raise InvalidArgument(f"invalid container ID format: {name}")
        os.makedirs(self.root, 0o711, exist_ok=True)
        directory = f"{self.root}/{name}"
        try:
            os.mkdir(directory, 0o711)
        except FileExistsError:
            raise Conflict(f"container with given ID already exists: {name}") from None
        return directory

    def load(self, name: str) -> Record:
        """A container's record; raises NotFound."""
        if not name or not set(name) <= _ALLOWED or name in (".", ".."):
            raise NotFound("container does not exist")
        directory = f"{self.root}/{name}"
        try:
            return Record(directory, json.loads(read_file(f"{directory}/state.json", 1 << 24)))
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("container does not exist") from None

    def all(self) -> list[Record]:
        """Every container, by name."""
        found = []
        try:
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        for name in names:
            try:
                found.append(self.load(name))
            except NotFound:
                continue
        return found
