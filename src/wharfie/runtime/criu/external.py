"""The mounts of a container that lead out of it, as CRIU is told of them.

Everything else (tmpfs with its content, proc, devpts, masks) CRIU sees and makes anew by itself. Where a tree
of the host is mounted it has to be told a name at the dump, and what is to be there under that name at the
restore::

    dump      {mount point inside: name}       the name is the destination in config.json
    restore   {name: path}                     of a tree opened as at a start, in a mount namespace of CRIU's

Nothing of this is read from the images: the configuration alone says what a container gets.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import mount, path
from wharfie.runtime.parent import hierarchies
from wharfie.runtime.plan import devices_of, mount_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
    from wharfie.runtime.plan import MountStep, Plan
    from wharfie.runtime.sources import Sources

_NULL = "/dev/null"


def for_dump(pid: int, spec: dict[str, Any], bundle: str, cgroup: Cgroup) -> list[dict[str, str]]:
    """Names for the mounts of the running container ``pid``."""
    linux: dict[str, Any] = spec.get("linux") or {}
    steps = [mount_step(item, bundle, linux) for item in spec.get("mounts") or ()]
    names = {name: name for name in _outside(steps, linux, cgroup)}
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _binds_devices(steps, linux):
            names |= {name: _NULL for name in linux.get("maskedPaths") or () if _is_file(root, name)}
        found = {_place(root, name): value for name, value in names.items()}
    finally:
        os.close(root)
    return [{"key": place, "val": name} for place, name in found.items() if place]


def _outside(steps: list[MountStep], linux: dict[str, Any], cgroup: Cgroup) -> list[str]:
    names = []
    for step in steps:
        if step.kind == "bind":
            names.append(step.target)
        elif step.kind == "cgroup":
            names += [f"{step.target}/{name}" for name, _directory in hierarchies(cgroup)]
    if _has_user_namespace(linux):
        # there device nodes cannot be made, so the host's are bound (devices.py)
        names += [device.path for device in devices_of(linux)]
    return names


def _has_user_namespace(linux: dict[str, Any]) -> bool:
    return any(item.get("type") == "user" for item in linux.get("namespaces") or ())


def _binds_devices(steps: list[MountStep], linux: dict[str, Any]) -> bool:
    """Whether the null device that masks files is a mount from outside."""
    own = any(step.kind == "bind" and step.target.rstrip("/") == "/dev" for step in steps)
    return own or _has_user_namespace(linux)


def _place(root: int, name: str) -> str:
    """Where a destination is inside, its links followed; "" where it is not."""
    try:
        fd = path.open_in_root(root, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return ""
        raise
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _is_file(root: int, name: str) -> bool:
    try:
        fd = path.open_in_root(root, name)
    except OSError:
        return False
    try:
        return not path.is_directory(fd)
    finally:
        os.close(fd)


class Stage:
    """What a restore mounts: a list of sources, which the worker lays out in a mount namespace of its own."""

    __slots__ = ("_directory", "_plan", "_root", "_trees", "names")

    def __init__(
        self,
        directory: str,
        plan: Plan,
        sources: Sources,
        cgroups: list[tuple[str, int]],
        linux: dict[str, Any],
    ) -> None:
        """``directory`` is one of the container's own, covered in the worker only."""
        self._directory = directory
        self._plan = plan
        self._root = sources.rootfs
        self._trees: list[tuple[int, bool]] = []
        self.names: list[dict[str, str]] = []
        for step in plan.mounts:
            if step.kind == "bind":
                self._add(step.target, step.fd, directory=step.directory)
            elif step.kind == "cgroup":
                for name, tree in cgroups:
                    self._add(f"{step.target}/{name}", tree, directory=True)
        given = [device.path for device in plan.devices] if _has_user_namespace(linux) else []
        if _binds_devices(plan.mounts, linux):
            given.append(_NULL)
        # in the worker's mount namespace /dev is the host's
        self.names += [{"key": name, "val": name} for name in dict.fromkeys(given)]

    def _add(self, name: str, tree: int, *, directory: bool) -> None:
        self.names.append({"key": name, "val": f"{self._directory}/{len(self._trees)}"})
        self._trees.append((tree, directory))

    def lay_out(self) -> None:
        """In the worker, in a mount namespace of its own: attach the root and every source."""
        # CRIU wants the root to be a mount point
        mount.move_mount(self._root, mount.AT_FDCWD, self._plan.root_path, mount.MOVE_MOUNT_F_EMPTY_PATH)
        os.umask(0)
        self._make_places()
        stage = mount.new_filesystem("tmpfs", (("source", "tmpfs"), ("mode", "711")))
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mount.move_mount(stage, place)
        for number, (tree, directory) in enumerate(self._trees):
            make = path.make_directories if directory else path.make_file
            mount.move_mount(tree, make(stage, f"/{number}"))

    def _make_places(self) -> None:
        """Make what is mounted on where the root does not have it, as a start does."""
        under: list[tuple[str, int]] = [("", self._root)]
        for step in self._plan.mounts:
            target = "/".join(("", *(part for part in path.split_in_root(step.target) if part.strip("/"))))
            target = target.replace("//", "/")
            above, tree = max((pair for pair in under if f"{target}/".startswith(f"{pair[0]}/")), key=_depth)
            if tree >= 0 and target:
                make = path.make_directories if step.directory or step.kind != "bind" else path.make_file
                os.close(make(tree, target.removeprefix(above) or "/"))
            # what is inside a new file system CRIU makes
            under.append((target, step.fd if step.kind == "bind" else -1))


def _depth(pair: tuple[str, int]) -> int:
    return len(pair[0])
