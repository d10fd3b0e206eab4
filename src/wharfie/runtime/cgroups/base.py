"""What both versions of a control group can do; ``v1.py`` and ``v2.py`` say how.

::

    create ──> entry (the first process) ──> set, freeze, thaw, stats … ──> destroy
       └─ on failure everything made is gone again
"""

from __future__ import annotations

import errno
import posix as os
import time

from wharfie.runtime.cgroups import files
from wharfie.runtime.cgroups.errors import CgroupFailure
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.entry import Entry

    Below = dict[str, str]

_KILL = 9
# a killed process leaves its group some time after the signal: waits of 1, 2, 4 … ms, 4 seconds in all
_PATIENCE = 12


class Cgroup:
    """A container's control group, ``path`` being the same in every hierarchy."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = files.clean_path(path)

    def create(self, resources: dict[str, Any], *, adopt: bool = False) -> None:
        """Make the group with these limits (OCI ``linux.resources``), or nothing: raises CgroupError.

        With ``adopt`` it may be there already and have a process in it.
        """
        raise TypeError("a Cgroup comes from open_cgroup")

    def entry(self, leader: int = 0, below: Below | None = None) -> Entry:
        """Doors for a process to enter by; opened before the clone. Raises CgroupFailure.

        ``leader`` is the container's first process when one joins it: on version 2 a container that has made
        groups of its own holds no processes at its top any more. ``below`` are paths inside the group, by
        controller, "" for all.
        """
        raise TypeError("a Cgroup comes from open_cgroup")

    def set(self, resources: dict[str, Any]) -> None:
        """Change the limits that ``resources`` names. Raises CgroupError."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def freeze(self) -> None:
        """Stop all processes and return when they stand still. Raises CgroupFailure."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def thaw(self) -> None:
        """Let all processes run again. Raises CgroupFailure."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def frozen(self) -> bool:
        """Whether the group is frozen, or about to be."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def oom_file(self) -> str:
        """The control file that counts what the kernel killed for want of memory, as ``oom_kill``."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def oom_kills(self) -> int:
        """How many processes the kernel has killed in it for want of memory."""
        try:
            return files.oom_kills(self.oom_file())
        except OSError:
            return 0  # no such controller here, or the group is gone

    def oom_notifier(self) -> int | None:
        """A descriptor that poll(2) reports when memory runs out; the caller's to close."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def oom_acknowledge(self, fd: int) -> None:
        """Take the news from ``oom_notifier``'s descriptor, so that it reports the next only."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def read(self, controller: str, name: str) -> str:
        """A control file of the group, "" where there is none."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def stats(self) -> dict[str, Any]:
        """Raw numbers of consumption, in the form drawn in ``stats_v1.py``."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def directories(self) -> list[str]:
        """The group's directory in each hierarchy, the one that lists its processes first."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def paths(self) -> dict[str, str]:
        """The directory of each controller, as runc's state has them ("" on version 2)."""
        raise TypeError("a Cgroup comes from open_cgroup")

    def exists(self) -> bool:
        """Whether any of its directories is there."""
        return any(paths.isdir(directory) for directory in self.directories())

    def procs(self, recursive: bool = True) -> list[int]:
        """Ids of its processes, as the caller's pid namespace has them."""
        return files.processes(self.directories()[0], recursive)

    def kill_all(self, sig: int) -> None:
        """Send ``sig`` to every process, also to those being forked meanwhile when it is SIGKILL."""
        if sig == _KILL:
            self._kill_everything()
        else:
            self._signal(sig)

    def _kill_everything(self) -> None:
        raise TypeError("a Cgroup comes from open_cgroup")

    def _signal(self, sig: int) -> list[int]:
        pids = self.procs()
        for pid in pids:
            # 0: a process of a pid namespace that the caller cannot see
            if pid > 0:
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    continue
        return pids

    def destroy(self) -> None:
        """Kill what is left and remove the group; what is gone already is fine. Raises CgroupFailure."""
        problems: list[str] = []
        for directory in self.directories():
            self._remove(directory, problems)
        if problems:
            raise CgroupFailure(f"Removing control group {self.path} failed: {'; '.join(problems)}.")

    def _remove(self, directory: str, problems: list[str]) -> None:
        for attempt in range(_PATIENCE):
            try:
                files.remove(directory)
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    problems.append(f"{directory}: {os.strerror(error.errno or 0)}")
                    return
            if files.processes(directory):
                self._kill_everything()
            time.sleep(0.001 * (1 << attempt))
        problems.append(f"{directory} still holds processes")
