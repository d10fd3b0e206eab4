"""Containers of the command line on disk: one directory each below --root.

``state.json`` has runc's shape (others read it) and is written whole or not at all; the truth about life and
death is the kernel's (pid and start time). While a container is created and not started there is
``exec.fifo``: its process reads a byte from it.

::

    creating ──> created (exec.fifo is there) ──> running <──> paused ──> stopped ──> (deleted)

A command that changes a container holds the lock of its directory (``lock``, fcntl(2): a lock that dies with
its owner and is not inherited). So a container with no process is being created while somebody holds it, and
was left behind by a killed command when nobody does.
"""

from __future__ import annotations

import fcntl
import posix as os

from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.linux.process import process_state, start_time
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support import json, paths
from wharfie.support.environment import variable
from wharfie.support.files import atomic_write, read_file, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
    from wharfie.runtime.cgroups.systemd import Unit

_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.")
_KINDS = {
    # runc's name: the kernel's
    "NEWPID": "pid", "NEWNET": "net", "NEWNS": "mnt", "NEWIPC": "ipc",
    "NEWUTS": "uts", "NEWUSER": "user", "NEWCGROUP": "cgroup", "NEWTIME": "time",
}  # fmt: skip
_LIMIT = 1 << 24
_FIRST = 0xEFFFFFFD
"""The kernel's own number of the first user namespace (PROC_USER_INIT_INO)."""


def default_root() -> str:
    """Where containers are remembered without --root."""
    own = variable("XDG_RUNTIME_DIR")
    # as runc: root's own is for users, but who is root in a user namespace alone has nothing else
    if own and (os.geteuid() or (variable("USER") != "root" and in_user_namespace())):
        root = f"{own}/wharfie-runtime"
        paths.makedirs(root, 0o700, exist_ok=True)
        # what has no sticky bit there may be cleared away (XDG Base Directory Specification)
        os.chmod(root, 0o1700)
        return root
    return "/run/wharfie-runtime"


def in_user_namespace() -> bool:
    """Whether this process is in another user namespace than the machine's first."""
    return os.stat("/proc/self/ns/user").st_ino != _FIRST


class Record:
    """What is remembered of one container."""

    __slots__ = (
        "_config",
        "_lock",
        "bundle",
        "cgroup",
        "created",
        "descriptors",
        "directory",
        "id",
        "pid",
        "rootless",
        "spec",
        "start_time",
        "systemd",
    )

    def __init__(
        self,
        directory: str,
        id: str,
        *,
        bundle: str,
        created: str,
        cgroup: str,
        spec: dict[str, Any],
        systemd: str = "",
        rootless: bool = False,
    ) -> None:
        self.directory = directory
        self.id = id
        self.bundle = bundle
        self.created = created
        self.cgroup = cgroup
        """Its path below the hierarchies' roots."""
        self.spec = spec
        self.systemd = systemd
        """The slice and unit of systemd that it is, "" for none."""
        self.rootless = rootless
        self.pid = 0
        self.start_time = 0
        self.descriptors: list[str] = []
        """What its first process's standard streams are, as /proc names it."""
        self._lock = -1
        self._config: dict[str, Any] = {}

    def note_process(self, pid: int, start_time: int) -> None:
        """Take over a container's first process and what its standard streams are."""
        self.pid, self.start_time = pid, start_time
        self.descriptors = streams_of(pid)

    def write(self) -> None:
        """Put it on disk."""
        atomic_write(f"{self.directory}/state.json", json.dumps(self._content()).encode(), sync=False)

    def work_out(self) -> None:
        """Have the whole configuration ready for the next :meth:`write`."""
        from wharfie.runtime.runcconfig import config_of

        self._config = config_of(
            self.spec,
            bundle=self.bundle,
            rootfs=self.rootfs,
            cgroup=self.cgroup,
            unit=self.systemd,
            rootless=self.rootless,
        )

    def _content(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "init_process_pid": self.pid,
            "init_process_start": self.start_time,
            "created": self.created,
            # until it is worked out: what a command that removes it looks at
            "config": self._config or {"cgroups": {"path": self.cgroup}},
            "rootless": self.rootless,
            "cgroup_paths": self.open_cgroup().paths(),
            "namespace_paths": {name: f"/proc/{self.pid}/ns/{kind}" for name, kind in _KINDS.items()},
            "external_descriptors": self.descriptors,
            "intel_rdt_path": "",
            "bundle": self.bundle,
            "spec": self.spec,
            "unit": self.systemd,
        }

    @property
    def fifo(self) -> str:
        """Where a created container waits."""
        return f"{self.directory}/exec.fifo"

    @property
    def rootfs(self) -> str:
        """The absolute path of its root."""
        return paths.join(self.bundle, (self.spec.get("root") or {}).get("path") or "")

    @property
    def whatever_cgroup(self) -> bool:
        """Whether it may have a control group in some hierarchies only, or none."""
        return self.rootless and not self.systemd and not (self.spec.get("linux") or {}).get("cgroupsPath")

    def open_cgroup(self) -> Cgroup:
        """The container's cgroup."""
        if self.whatever_cgroup:
            from wharfie.runtime.cgroups import rootless  # for those who are not root

            return rootless.find(self.cgroup, os.stat(self.directory).st_uid, self.pid)
        return open_cgroup(self.cgroup)

    def unit(self) -> Unit | None:
        """The unit of systemd that it is, None for none."""
        if not self.systemd:
            return None
        from wharfie.runtime.cgroups.systemd import Unit

        return Unit(*self.systemd.split(" "))

    def alive(self) -> bool:
        """Whether its first process is there and no zombie."""
        if not self.pid:
            return False
        try:
            return start_time(self.pid) == self.start_time and process_state(self.pid) not in "ZX"
        except OSError:
            return False

    def status(self) -> str:
        """OCI's status of the container, from the kernel."""
        if not self.alive():
            return "creating" if not self.pid and self._lock < 0 and is_locked(self.directory) else "stopped"
        if self.open_cgroup().frozen():
            return "paused"
        return "created" if paths.exists(self.fifo) else "running"

    def pidfd(self) -> int:
        """A descriptor of the first process; raises Conflict when the container is not running."""
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            raise Conflict("container not running") from None
        if not self.alive():
            os.close(fd)
            raise Conflict("container not running")
        return fd

    def state(self, owner: str = "") -> dict[str, Any]:
        """The answer of ``state`` (runtime-spec, "State", with runc's additions)."""
        status = self.status()
        annotations = self.spec.get("annotations")
        return {
            "ociVersion": self.spec.get("ociVersion") or "1.2.0",
            "id": self.id,
            "pid": 0 if status in ("stopped", "creating") else self.pid,
            "status": status,
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            **({"annotations": annotations} if annotations else {}),
            "owner": owner,
        }

    def hook_state(self, status: str) -> dict[str, Any]:
        """What hooks are told (runtime-spec, "State")."""
        return {
            "ociVersion": self.spec.get("ociVersion") or "1.2.0",
            "id": self.id,
            "status": status,
            "pid": 0 if status == "stopped" else self.pid,
            "bundle": self.bundle,
            "annotations": self.spec.get("annotations") or {},
        }

    def unlock(self) -> None:
        """Let others change the container."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def forget(self) -> None:
        """Remove the directory."""
        remove_tree(self.directory)


def streams_of(pid: int) -> list[str]:
    """What a process's standard streams are, "" where one is closed or the process has ended."""
    found = []
    for number in range(3):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            found.append("")
    return found


def _lock(directory: str, *, block: bool = True) -> int:
    """The lock of a container's directory; raises FileNotFoundError, BlockingIOError."""
    path = f"{directory}/lock"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
            if paths.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass  # deleted while this waited; perhaps made anew since
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def is_locked(directory: str) -> bool:
    """Whether a command is at work on the container."""
    try:
        os.close(_lock(directory, block=False))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Store:
    """The directory below --root."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root

    def reserve(self, record: Record) -> None:
        """Make the directory of a new container, locked; raises InvalidArgument, Conflict."""
        check_id(record.id)
        paths.makedirs(self.root, 0o711, exist_ok=True)
        try:
            os.mkdir(record.directory, 0o711)
        except FileExistsError:
            if paths.exists(f"{record.directory}/state.json"):
                raise Conflict("container with given ID already exists") from None
        try:
            record._lock = _lock(record.directory, block=False)
        except (BlockingIOError, FileNotFoundError):
            raise Conflict("container with given ID already exists") from None
        if paths.exists(f"{record.directory}/state.json"):
            record.unlock()
            raise Conflict("container with given ID already exists")

    def directory(self, name: str) -> str:
        """Where a container of this name is remembered."""
        return f"{self.root}/{name}"

    def load(self, name: str) -> Record:
        """A container's record; raises NotFound."""
        if not _is_id(name):
            raise NotFound("container does not exist")
        directory = self.directory(name)
        try:
            content = json.loads(read_file(f"{directory}/state.json", _LIMIT))
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("container does not exist") from None
        record = Record(
            directory,
            content["id"],
            bundle=content["bundle"],
            created=content["created"],
            cgroup=content["config"]["cgroups"]["path"],
            spec=content["spec"],
            # before it was told here it stood beside the path
            systemd=content.get("unit", content["config"]["cgroups"].get("unit", "")),
            rootless=content["rootless"],
        )
        record.pid, record.start_time = content["init_process_pid"], content["init_process_start"]
        record.descriptors = content["external_descriptors"]
        return record

    def take(self, name: str) -> Record:
        """A container's record, for a command that changes it and keeps others from that. Raises NotFound."""
        record = self.load(name)
        try:
            lock = _lock(record.directory)
        except FileNotFoundError:
            raise NotFound("container does not exist") from None
        try:
            record = self.load(name)
        except BaseException:
            os.close(lock)
            raise
        record._lock = lock
        return record

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


def _is_id(name: str) -> bool:
    return bool(name) and set(name) <= _ALLOWED and name not in (".", "..") and len(name) < 256


def check_id(name: str) -> None:
    """Refuse what cannot be a container's id; raises InvalidArgument."""
    if not _is_id(name):
        raise InvalidArgument("invalid container ID format")
