"""Control groups version 1, one directory per hierarchy; also hybrid: the unified one is left alone."""

from __future__ import annotations

import posix as os
import time

from wharfie.runtime.cgroups import files
from wharfie.runtime.cgroups.base import Cgroup
from wharfie.runtime.cgroups.entry import Entry
from wharfie.runtime.cgroups.errors import CgroupError, CgroupFailure, LimitRefused, LimitUnsupported, refusal
from wharfie.runtime.cgroups.stats_v1 import read_stats
from wharfie.runtime.cgroups.v1_limits import plan
from wharfie.runtime.cgroups.writes import Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Below
    from wharfie.runtime.cgroups.layout import Layout

_KILL = 9
_FREEZE_SECONDS = 5.0


class V1Cgroup(Cgroup):
    """A container's directories in all hierarchies."""

    __slots__ = ("_controllers", "_mounts")

    def __init__(self, path: str, layout: Layout) -> None:
        super().__init__(path)
        self._controllers = layout.controllers
        freezer = layout.controllers.get("freezer")
        # the freezer's first: its list of processes is the one that killing works on
        self._mounts = sorted(layout.mounts, key=lambda mount: mount != freezer)

    def directories(self) -> list[str]:
        """The group's directory in each hierarchy, the freezer's first."""
        return [mount + self.path for mount in self._mounts]

    def _file(self, controller: str, name: str) -> str:
        return f"{self._controllers.get(controller, '/nonexistent')}{self.path}/{name}"

    def read(self, controller: str, name: str) -> str:
        """A control file of the group, "" where there is none."""
        return files.read_or(self._file(controller, name), "")

    def create(self, resources: dict[str, Any], *, adopt: bool = False) -> None:
        """Make the directories and write the limits."""
        made: list[str] = []
        cpuset = self._controllers.get("cpuset")
        try:
            for mount in self._mounts:
                self._make(mount, made, cpuset, adopt=adopt)
            self._apply(plan(resources, self.read, new=True))
        except BaseException as error:
            for directory in reversed(made):
                try:
                    os.rmdir(directory)
                except OSError:
                    continue  # another container's group is below a parent made here, or it never was made
            if isinstance(error, OSError):
                reason = os.strerror(error.errno or 0)
                raise CgroupFailure(f"Making control group {self.path} failed: {reason}.") from error
            raise

    def _make(self, mount: str, made: list[str], cpuset: str | None, *, adopt: bool) -> None:
        inherit = _inherit_cpuset if mount == cpuset else None
        new = files.make(mount, self.path, made, inherit)
        if not new and not adopt and files.processes(mount + self.path):
            raise CgroupFailure(f"Control group {self.path} is in use already.")

    def set(self, resources: dict[str, Any]) -> None:
        """Change limits of a live container."""
        memory = resources.get("memory") or {}
        if memory.get("checkBeforeUpdate") and (memory.get("limit") or 0) > 0:
            usage = files.number(self.read("memory", "memory.usage_in_bytes"))
            if usage > memory["limit"]:
                raise LimitRefused(f"--memory {memory['limit']} is too small: {usage} bytes are in use.")
        self._apply(plan(resources, self.read, new=False))

    def _apply(self, writes: list[Write]) -> None:
        with files.Writer() as writer:
            for item in writes:
                if item.controller not in self._controllers:
                    raise LimitUnsupported(
                        f"{item.option} is not possible here: "
                        f"no {item.controller} control groups are mounted."
                    )
                try:
                    writer.write(self._file(item.controller, item.file), item.value)
                except OSError as error:
                    raise refusal(error, item.option, item.value, item.file) from error

    def paths(self) -> dict[str, str]:
        """The directory of each controller."""
        return {name: mount + self.path for name, mount in self._controllers.items()}

    def entry(self, leader: int = 0, below: Below | None = None) -> Entry:
        """The ``tasks`` file of each hierarchy."""
        fds: list[int] = []
        inner = {self._mount_of(name): path for name, path in (below or {}).items()}
        try:
            for mount in self._mounts:
                path = inner.get(mount, inner.get("", "")).strip("/")
                directory = f"{mount}{self.path}{'/' if path else ''}{path}"
                fds.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
        except OSError as error:
            Entry(-1, fds).close()
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"Control group {self.path} cannot be entered: {reason}.") from error
        return Entry(-1, fds)

    def _mount_of(self, controller: str) -> str:
        if controller and controller not in self._controllers:
            raise LimitUnsupported(f"There are no {controller} control groups here.")
        return self._controllers.get(controller, "")

    def freeze(self) -> None:
        """Write FROZEN until it is so: a fork on the way leaves it FREEZING (freezer-subsystem.rst)."""
        state = self._file("freezer", "freezer.state")
        deadline = time.monotonic() + _FREEZE_SECONDS
        pause = 0.0005
        try:
            while True:
                files.write(state, "FROZEN")
                if files.read(state) == "FROZEN":
                    return
                if time.monotonic() > deadline:
                    files.write(state, "THAWED")
                    raise CgroupFailure(f"Control group {self.path} does not freeze.")
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"Freezing control group {self.path} failed: {reason}.") from error

    def thaw(self) -> None:
        """Write THAWED."""
        try:
            files.write(self._file("freezer", "freezer.state"), "THAWED")
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"Thawing control group {self.path} failed: {reason}.") from error

    def frozen(self) -> bool:
        """Whether the group is FROZEN or FREEZING."""
        return self.read("freezer", "freezer.state") in ("FROZEN", "FREEZING")

    def _kill_everything(self) -> None:
        # frozen processes cannot fork, so the list is complete; they die when thawed. An id cannot be given
        # to another process meanwhile either
        try:
            self.freeze()
        except CgroupError:
            # no freezer, or something in an uninterruptible call: rounds until nobody is found
            self._signal(_KILL)
            return
        try:
            self._signal(_KILL)
        finally:
            self.thaw()

    def oom_file(self) -> str:
        """memory.oom_control, which counts since Linux 4.13."""
        return self._file("memory", "memory.oom_control")

    def oom_notifier(self) -> int | None:
        """An eventfd; it is also signalled when the group is removed (cgroup-v1/memory.rst, section 10)."""
        try:
            control = os.open(self._file("memory", "memory.oom_control"), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            files.write(self._file("memory", "cgroup.event_control"), f"{event} {control}")
        except OSError:
            os.close(event)
            return None
        finally:
            os.close(control)
        return event

    def oom_acknowledge(self, fd: int) -> None:
        """Reset the eventfd's counter."""
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return

    def stats(self) -> dict[str, Any]:
        """Raw numbers, see ``stats_v1.py``."""
        return read_stats(self.read)


def _inherit_cpuset(group: str) -> None:
    """A new cpuset is empty and takes no process: give it what its parent has, and let its children inherit.

    The kernel copies the parent's two sets itself where cgroup.clone_children is 1 (cpusets.rst), unless a
    sibling has its processors for itself.
    """
    if not files.read(f"{group}/cpuset.cpus").strip():
        for name in ("cpuset.cpus", "cpuset.mems"):
            files.write(f"{group}/{name}", files.read(f"{group.rpartition('/')[0]}/{name}"))
    if files.read(f"{group}/cgroup.clone_children") == "0":
        files.write(f"{group}/cgroup.clone_children", "1")
