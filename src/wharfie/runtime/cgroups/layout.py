"""Which control group hierarchies this machine has, read once per process from /proc/self/mountinfo.

::

    v2       cgroup2 mounted, no v1 hierarchy with a controller
    hybrid   v1 hierarchies and a cgroup2 mount beside them; limits live in v1, the unified one is left alone
    v1       v1 hierarchies only

See cgroups(7) and proc(5).
"""

from __future__ import annotations

from wharfie.runtime.cgroups.errors import CgroupFailure
from wharfie.runtime.cgroups.files import read

# mount options of a v1 superblock that are no controllers
_OPTIONS = frozenset(("rw", "ro", "xattr", "noprefix", "clone_children", "none", "all", "cpuset_v2_mode"))


class Layout:
    """The hierarchies: ``mode``, where v2 is mounted, and where each v1 controller is."""

    __slots__ = ("controllers", "mode", "mounts", "unified")

    def __init__(self, mode: str, unified: str, controllers: dict[str, str]) -> None:
        self.mode = mode
        self.unified = unified
        self.controllers = controllers
        # cpu and cpuacct are one hierarchy on many machines: each mount point once
        self.mounts = list(dict.fromkeys(controllers.values()))


def _unescape(path: str) -> str:
    # mountinfo writes blank, tab, newline and backslash as three octal digits
    if "\\" not in path:
        return path
    head, *rest = path.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def parse(mountinfo: str) -> Layout:
    """The layout that a mountinfo text describes; raises CgroupFailure where there are no control groups."""
    unified = ""
    controllers: dict[str, str] = {}
    for line in mountinfo.split("\n"):
        if " - cgroup" not in line:
            continue
        fields, _, tail = line.partition(" - ")
        kind, _, rest = tail.partition(" ")
        mount = _unescape(fields.split(" ")[4])
        if kind == "cgroup2":
            # the first one is the system's; others are bind mounts for containers
            unified = unified or mount
        elif kind == "cgroup":
            for name in rest.rpartition(" ")[2].split(","):
                if name.startswith("name=") or ("=" not in name and name not in _OPTIONS):
                    controllers.setdefault(name, mount)
    if any(not name.startswith("name=") for name in controllers):
        return Layout("hybrid" if unified else "v1", unified, controllers)
    if unified:
        return Layout("v2", unified, {})
    raise CgroupFailure("No control groups are mounted; mount cgroup2 at /sys/fs/cgroup.")


_found: list[Layout] = []


def layout() -> Layout:
    """This machine's layout."""
    if not _found:
        _found.append(parse(read("/proc/self/mountinfo")))
    return _found[0]
