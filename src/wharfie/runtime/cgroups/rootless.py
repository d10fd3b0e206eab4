"""Control groups of somebody who may make them in some hierarchies only, or in none.

As with runc this is so where ``cgroupsPath`` is empty; one that is given must be usable. What no hierarchy
holds cannot be limited. A group is known again by its owner: whoever made a directory owns it.
"""

from __future__ import annotations

import posix as os

from wharfie.runtime.cgroups import files, v1_limits, v2_limits
from wharfie.runtime.cgroups.base import Cgroup
from wharfie.runtime.cgroups.entry import Entry
from wharfie.runtime.cgroups.errors import CgroupError, CgroupFailure, LimitUnsupported
from wharfie.runtime.cgroups.layout import Layout, layout
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.cgroups.stats_v1 import read_stats
from wharfie.runtime.cgroups.v1 import V1Cgroup
from wharfie.runtime.cgroups.v2 import V2Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Below
    from wharfie.runtime.cgroups.writes import Write

_DENIED = (PermissionError, FileNotFoundError)
_READ_ONLY = 30


class NoCgroup(Cgroup):
    """No control group at all; its processes are known by the pid namespace of the first one."""

    __slots__ = ("_leader",)

    def __init__(self, path: str, leader: int) -> None:
        super().__init__(path)
        self._leader = leader

    def create(self, resources: dict[str, Any], *, adopt: bool = False) -> None:
        """Nothing to make, and nothing may be limited."""
        self.set(resources)

    def set(self, resources: dict[str, Any]) -> None:
        """Refuse any limit."""
        for item in _writes(resources):
            raise _unlimited(item.controller)

    def entry(self, leader: int = 0, below: Below | None = None) -> Entry:
        """Nothing to enter."""
        return Entry(-1, [])

    def freeze(self) -> None:
        """Refused."""
        raise CgroupFailure("cannot toggle freezer: cgroups not configured for container")

    def thaw(self) -> None:
        """Refused."""
        self.freeze()

    def frozen(self) -> bool:
        """Never."""
        return False

    def oom_kills(self) -> int:
        """Nobody counts."""
        return 0

    def oom_notifier(self) -> int | None:
        """Nobody tells."""
        return None

    def read(self, controller: str, name: str) -> str:
        """There are no control files."""
        return ""

    def stats(self) -> dict[str, Any]:
        """Nothing was counted."""
        return read_stats(self.read)

    def directories(self) -> list[str]:
        """None."""
        return []

    def paths(self) -> dict[str, str]:
        """None."""
        return {}

    def procs(self, recursive: bool = True) -> list[int]:
        """The processes in the first one's pid namespace."""
        try:
            there = os.stat(f"/proc/{self._leader}/ns/pid").st_ino
        except OSError:
            return []
        if there == os.stat("/proc/self/ns/pid").st_ino:
            raise CgroupFailure(
                "unable to get all container pids: it has neither a control group nor a pid namespace"
            )
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_in(name, there)]

    def _kill_everything(self) -> None:
        self._signal(9)


def _is_in(pid: str, namespace: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino == namespace
    except OSError:
        return False


def _writes(resources: dict[str, Any]) -> list[Write]:
    """What limits come to; the rules for devices are left out, for nobody but root can have them."""
    asked = {key: value for key, value in resources.items() if key != "devices"}
    machine = _machine()
    if machine is not None and machine.mode == "v2":
        return v2_limits.plan(asked, lambda controller, name: "")
    return v1_limits.plan(asked, lambda controller, name: "", new=True)


def _unlimited(controller: str) -> LimitUnsupported:
    return LimitUnsupported(f"cannot set {controller} limit: container could not join or create cgroup")


def _machine() -> Layout | None:
    """The hierarchies, None where there are none at all."""
    try:
        return layout()
    except CgroupError:
        return None


def default_path(name: str) -> str:
    """Where the group of a container goes that names none: on version 2 beside the caller's own."""
    machine = _machine()
    if machine is None or machine.mode != "v2":
        return f"/{name}"
    own = files.read_or("/proc/self/cgroup", "").rpartition("0::")[2].partition("\n")[0]
    above = own.rpartition("/")[0] if ".." not in own else ""
    return f"{above}/{name}"


def create(path: str, resources: dict[str, Any]) -> Cgroup:
    """Make a group in the hierarchies that let us, with these limits; raises CgroupError."""
    machine = _machine()
    asked = {key: value for key, value in resources.items() if key != "devices"}
    if machine is None:
        machine = Layout("v1", "", {})
    elif machine.mode == "v2":
        return _create_v2(path, asked)
    made: list[str] = []
    kept: dict[str, str] = {}
    try:
        for mount in machine.mounts:
            if _make(mount, path, made):
                kept |= {name: place for name, place in machine.controllers.items() if place == mount}
        for item in _writes(asked):
            if item.controller not in kept:
                raise _unlimited(item.controller)
        group = V1Cgroup(path, Layout(machine.mode, machine.unified, kept)) if kept else NoCgroup(path, 0)
        group.create(asked, adopt=True)
    except BaseException:
        for directory in reversed(made):
            os.rmdir(directory)
        raise
    return group


def _make(mount: str, path: str, made: list[str]) -> bool:
    try:
        files.make(mount, path, made)
    except OSError as error:
        if isinstance(error, _DENIED) or error.errno == _READ_ONLY:
            return False
        raise
    return os.access(f"{mount}{path}/tasks", os.W_OK)


def _create_v2(path: str, resources: dict[str, Any]) -> Cgroup:
    group: Cgroup = open_cgroup(path)
    try:
        group.create(resources)
    except CgroupError as error:
        cause = error.__cause__
        if not isinstance(cause, PermissionError) and getattr(cause, "errno", 0) != _READ_ONLY:
            raise
        if _writes(resources):
            raise CgroupFailure(
                "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: "
                f"{error.message}"
            ) from None
        return NoCgroup(path, 0)
    return group


def find(path: str, owner: int, leader: int) -> Cgroup:
    """The group that ``owner`` has made in some hierarchies, or none."""
    machine = _machine()
    if machine is not None and machine.mode == "v2" and _owned(machine.unified + path, owner):
        return V2Cgroup(path, machine.unified)
    if machine is not None and machine.mode != "v2":
        kept = {name: mount for name, mount in machine.controllers.items() if _owned(mount + path, owner)}
        if kept:
            return V1Cgroup(path, Layout(machine.mode, machine.unified, kept))
    return NoCgroup(path, leader)


def _owned(directory: str, owner: int) -> bool:
    try:
        return os.stat(directory).st_uid == owner
    except OSError:
        return False
