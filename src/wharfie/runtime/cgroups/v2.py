"""Control groups version 2: one directory, born into by clone3; devices are guarded by a BPF program."""

from __future__ import annotations

import posix as os
import select
import time

from wharfie.linux import bpf
from wharfie.runtime.cgroups import files
from wharfie.runtime.cgroups.base import Cgroup
from wharfie.runtime.cgroups.devices import Policy
from wharfie.runtime.cgroups.entry import Entry
from wharfie.runtime.cgroups.errors import CgroupError, CgroupFailure, LimitRefused, LimitUnsupported, refusal
from wharfie.runtime.cgroups.stats_v2 import read_stats
from wharfie.runtime.cgroups.v2_limits import plan
from wharfie.runtime.cgroups.writes import Write
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Below

_KILL = 9
_FREEZE_SECONDS = 5.0
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class V2Cgroup(Cgroup):
    """A container's directory below the mount of the unified hierarchy."""

    __slots__ = ("_directory", "_mount")

    def __init__(self, path: str, mount: str) -> None:
        super().__init__(path)
        self._mount = mount
        self._directory = mount + self.path

    def directories(self) -> list[str]:
        """The one directory."""
        return [self._directory]

    def read(self, controller: str, name: str) -> str:
        """A control file of the group, "" where there is none."""
        return files.read_or(f"{self._directory}/{name}", "")

    def create(self, resources: dict[str, Any], *, adopt: bool = False) -> None:
        """Make the directory, with the controllers handed down to it, and write the limits."""
        made: list[str] = []
        try:
            new = files.make(self._mount, self.path, made)
            if not new and not adopt and files.processes(self._directory):
                raise CgroupFailure(f"Control group {self.path} is in use already.")
            self._hand_down()
            self._apply(plan(resources, self.read))
            if resources.get("devices"):
                self._guard(resources["devices"])
        except BaseException as error:
            for directory in reversed(made):
                try:
                    os.rmdir(directory)
                except OSError:
                    continue  # another container's group is below a parent made here
            if isinstance(error, OSError):
                reason = os.strerror(error.errno or 0)
                raise CgroupFailure(f"Making control group {self.path} failed: {reason}.") from error
            raise

    def _hand_down(self) -> None:
        """Have every group above hand its controllers down (cgroup-v2.rst, "Enabling and Disabling")."""
        ancestor = self._mount
        for part in self.path.split("/")[1:]:
            wanted = files.read(f"{ancestor}/cgroup.controllers").split()
            enabled = files.read(f"{ancestor}/cgroup.subtree_control").split()
            for name in wanted:
                if name not in enabled:
                    try:
                        files.write(f"{ancestor}/cgroup.subtree_control", f"+{name}")
                    except OSError:
                        # cpu with realtime processes, or processes beside: a limit that needs it will say so
                        continue
            ancestor = f"{ancestor}/{part}"

    def set(self, resources: dict[str, Any]) -> None:
        """Change limits of a live container."""
        memory = resources.get("memory") or {}
        if memory.get("checkBeforeUpdate") and (memory.get("limit") or 0) > 0:
            usage = files.number(self.read("memory", "memory.current"))
            if usage > memory["limit"]:
                raise LimitRefused(f"--memory {memory['limit']} is too small: {usage} bytes are in use.")
        self._apply(plan(resources, self.read))
        if resources.get("devices"):
            self._guard(resources["devices"])

    def _apply(self, writes: list[Write]) -> None:
        for item in writes:
            path = f"{self._directory}/{item.file}"
            try:
                files.write(path, item.value)
            except OSError as error:
                controllers = self.read("", "cgroup.controllers").split()
                if not paths.exists(path) and item.controller not in controllers:
                    raise LimitUnsupported(
                        f"{item.option} is not possible here: the {item.controller} controller is not handed "
                        f"down to {self.path}."
                    ) from error
                raise refusal(error, item.option, item.value, item.file) from error

    def _guard(self, rules: list[dict[str, Any]]) -> None:
        policy = Policy(rules)
        fd = os.open(self._directory, _DIRECTORY)
        try:
            if policy.allow_all and not policy.rules:
                bpf.detach_devices(fd)
            else:
                program = [(r.allow, r.kind, r.major, r.minor, r.access) for r in policy.rules]
                bpf.attach_devices(fd, bpf.device_program(policy.allow_all, program))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"Guarding the devices of {self.path} failed: {reason}.") from error
        finally:
            os.close(fd)

    def paths(self) -> dict[str, str]:
        """The one directory."""
        return {"": self._directory}

    def entry(self, leader: int = 0, below: Below | None = None) -> Entry:
        """The directory's descriptor for CLONE_INTO_CGROUP."""
        directory = self._directory
        if below:
            if set(below) != {""}:
                raise LimitUnsupported("Controllers cannot be told apart in control groups of version 2.")
            directory = f"{directory}/{below[''].strip('/')}"
        elif leader and files.read_or(f"{directory}/cgroup.subtree_control", ""):
            # groups of its own: nothing may run at the top, so beside the first process
            own = files.read_or(f"/proc/{leader}/cgroup", "").rpartition("0::")[2].partition("\n")[0]
            if own.startswith(self.path + "/"):
                directory = self._mount + own
        try:
            return Entry(os.open(directory, _DIRECTORY), [])
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"Control group {self.path} cannot be entered: {reason}.") from error

    def freeze(self) -> None:
        """Write 1 and wait until cgroup.events says so."""
        self._write("cgroup.freeze", "1", "Freezing")
        if not self._await("frozen", 1, _FREEZE_SECONDS):
            self._write("cgroup.freeze", "0", "Thawing")
            raise CgroupFailure(f"Control group {self.path} does not freeze.")

    def thaw(self) -> None:
        """Write 0."""
        self._write("cgroup.freeze", "0", "Thawing")

    def frozen(self) -> bool:
        """Whether it was told to freeze."""
        return self.read("", "cgroup.freeze") == "1"

    def _write(self, file: str, value: str, doing: str) -> None:
        try:
            files.write(f"{self._directory}/{file}", value)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CgroupFailure(f"{doing} control group {self.path} failed: {reason}.") from error

    def _await(self, name: str, value: int, seconds: float) -> bool:
        """Wait for a key of cgroup.events; a change makes the open file ready with POLLPRI."""
        try:
            fd = os.open(f"{self._directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        deadline = time.monotonic() + seconds
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while files.flat_keyed(os.pread(fd, 4096, 0).decode()).get(name) != value:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
            return True
        finally:
            os.close(fd)

    def _kill_everything(self) -> None:
        try:
            files.write(f"{self._directory}/cgroup.kill", "1")
            return
        except FileNotFoundError:
            # before Linux 5.14, or the group is gone
            if not paths.isdir(self._directory):
                return
        try:
            self.freeze()
        except CgroupError:
            self._signal(_KILL)
            return
        try:
            self._signal(_KILL)
        finally:
            self.thaw()

    def destroy(self) -> None:
        """Kill what is left, wait until it is gone, remove the directory."""
        if files.flat_keyed(self.read("", "cgroup.events")).get("populated"):
            self._kill_everything()
            self._await("populated", 0, _FREEZE_SECONDS)
        super().destroy()

    def oom_file(self) -> str:
        """memory.events, which counts groups below too."""
        return f"{self._directory}/memory.events"

    def oom_notifier(self) -> int | None:
        """memory.events itself, to be polled for POLLPRI."""
        try:
            fd = os.open(f"{self._directory}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self.oom_acknowledge(fd)
        return fd

    def oom_acknowledge(self, fd: int) -> None:
        """Read the file: poll(2) reports what changed since the last read (kernfs)."""
        os.pread(fd, 4096, 0)

    def stats(self) -> dict[str, Any]:
        """Raw numbers, see ``stats_v2.py``."""
        return read_stats(self.read)
