"""What the parent opens on the host for the child: the root file system, sources of binds, namespaces.

All are detached mounts (open_tree(2), fsmount(2)): they appear in no mount table of the host, and vanish with
their descriptor when a start fails.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import mount
from wharfie.linux.mount import AT_FDCWD, AT_RECURSIVE, OPEN_TREE_CLONE
from wharfie.linux.path import is_directory
from wharfie.linux.process import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    NAMESPACE_FILES,
    NAMESPACES,
    namespace_type,
)
from wharfie.runtime import idmap
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.plan import apply_attributes
from wharfie.runtime.sync import describe
from wharfie.spec.mounts import OVERLAY_OFF
from wharfie.support import paths
from wharfie.support.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.plan import MountStep, Plan

_many_layers = True
"""Whether this kernel takes overlay's layers one by one ("lowerdir+", 6.7); learnt at the first refusal."""


class Sources:
    """Opened sources, closed in the parent after the clone."""

    __slots__ = ("_opened", "mount_namespace", "pid_namespace", "rootfs", "spaces", "user_namespace")

    def __init__(self) -> None:
        self._opened: list[int] = []
        self.rootfs = -1
        """A detached mount; -1 where the child must mount the overlay the old way."""
        self.pid_namespace = -1
        self.user_namespace = -1
        self.mount_namespace = -1
        """One to join after the trees are open, where the child opens them."""
        self.spaces: list[tuple[int, int]] = []
        """Further namespaces to join: (descriptor, kind)."""

    def keep(self, fd: int) -> int:
        """Close ``fd`` with the rest."""
        self._opened.append(fd)
        return fd

    def close(self) -> None:
        """Close everything."""
        opened, self._opened = self._opened, []
        for fd in opened:
            os.close(fd)


def open_sources(plan: Plan) -> Sources:
    """Open all that the plan names; raises LaunchError with nothing left open."""
    sources = Sources()
    try:
        _open_namespaces(plan, sources)
        if not plan.unprivileged:  # else the child does it (rootless)
            open_trees(plan, sources)
    except BaseException:
        sources.close()
        raise
    return sources


def open_trees(plan: Plan, sources: Sources) -> None:
    """Open the root and the sources of binds; raises LaunchError."""
    _open_binds(plan, sources)
    if plan.rootfs is None:
        sources.rootfs = sources.keep(_open_rootfs(plan.root_path))
    else:
        sources.rootfs = _mapped(plan) if plan.clone_flags & CLONE_NEWUSER else overlay(plan.rootfs)
        if sources.rootfs >= 0:
            sources.keep(sources.rootfs)


def _open_namespaces(plan: Plan, sources: Sources) -> None:
    for path, flag in plan.joins:
        try:
            fd = sources.keep(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise LaunchError(f"the namespace to join cannot be opened: {describe(error)}") from None
        _check_kind(fd, path, flag)
        if flag == CLONE_NEWPID:
            sources.pid_namespace = fd
        elif flag == CLONE_NEWUSER:
            sources.user_namespace = fd
        elif flag == CLONE_NEWNS and plan.unprivileged:
            sources.mount_namespace = fd
        else:
            sources.spaces.append((fd, flag))


def _check_kind(fd: int, path: str, flag: int) -> None:
    kind = next(kind for kind, known in NAMESPACES.items() if known == flag)
    own = f"/proc/self/ns/{NAMESPACE_FILES.get(kind, kind)}"
    if namespace_type(fd) != flag:
        raise LaunchError(f"linux.namespaces: {path} is not a {kind} namespace")
    if flag in (CLONE_NEWNS, CLONE_NEWUSER) and paths.samestat(os.fstat(fd), os.stat(own)):
        raise LaunchError(f"linux.namespaces: {path} is the {kind} namespace of the runtime itself")


def _open_binds(plan: Plan, sources: Sources) -> None:
    for step in plan.mounts:
        if step.kind != "bind":
            continue
        flags = OPEN_TREE_CLONE | (AT_RECURSIVE if step.options.bind == 2 else 0)
        try:
            if step.fd < 0:
                step.fd = mount.open_tree(AT_FDCWD, step.source, flags)
            sources.keep(step.fd)
            step.directory = is_directory(step.fd)
            if step.mapping is not None:
                _map(step, step.mapping)
            apply_attributes(step.fd, step.options, private=True)
        except OSError as error:
            raise LaunchError(
                f'error mounting "{step.source}" to rootfs at "{step.target}": {describe(error)}'
            ) from None


def _map(step: MountStep, mapping: tuple[list[dict[str, int]], list[dict[str, int]]]) -> None:
    try:
        idmap.map_tree(step.fd, mapping, recursive=step.options.idmap == "ridmap")
    except OSError as error:
        # mount_setattr(2): a file system, here or mounted below, that cannot do it
        if error.errno != errno.EINVAL:
            raise
        raise LaunchError(
            f'the ids of "{step.source}" cannot be mapped: its file system, or one mounted below it, does '
            "not support that"
        ) from None


def _open_rootfs(path: str) -> int:
    try:
        fd = mount.open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | AT_RECURSIVE)
    except OSError as error:
        raise LaunchError(f"the root file system cannot be used: {describe(error)}") from None
    if not is_directory(fd):
        os.close(fd)
        raise LaunchError(f"the root file system {path} is not a directory")
    return fd


def _mapped(plan: Plan) -> int:
    """The overlay as a new user namespace needs it."""
    try:
        userns = idmap.user_namespace(plan.uid_mappings, plan.gid_mappings)
        try:
            inside = idmap.root_of(plan.uid_mappings), idmap.root_of(plan.gid_mappings)
            return idmap.mapped_overlay(plan.rootfs or {}, userns, inside)
        finally:
            os.close(userns)
    except OSError as error:
        raise LaunchError(
            f"the container's layers cannot be mapped into its user namespace: {describe(error)}"
        ) from None


def overlay(rootfs: dict[str, Any]) -> int:
    """A detached overlay of the layers, -1 where this kernel can only mount it by a string of options."""
    global _many_layers
    if not _many_layers:
        return -1
    try:
        context = mount.fsopen("overlay")
        try:
            mount.fsconfig_string(context, "source", "overlay")
            for layer in rootfs["lower"]:
                mount.fsconfig_string(context, "lowerdir+", layer)
            mount.fsconfig_string(context, "upperdir", rootfs["upper"])
            mount.fsconfig_string(context, "workdir", rootfs["work"])
            for option in OVERLAY_OFF:
                mount.fsconfig_string(context, option, "off")
            if rootfs.get("volatile"):
                _forget_volatile(rootfs["work"])
                mount.fsconfig_flag(context, "volatile")
            mount.fsconfig_create(context)
            return mount.fsmount(context)
        finally:
            os.close(context)
    except OSError as error:
        # before 6.7 overlay knows no "lowerdir+", and before 6.5 says so only at the creation
        if error.errno == errno.EINVAL and _is_old_kernel():
            _many_layers = False
            return -1
        raise LaunchError(f"mounting the container's root file system failed: {describe(error)}") from None


def _forget_volatile(work: str) -> None:
    """Let a volatile overlay be mounted once more: its last mount left a mark that forbids it."""
    mark = f"{work}/work/incompat/volatile"
    # lstat first: nearly always it is the first mount
    if paths.lexists(mark):
        remove_tree(mark)


def _is_old_kernel() -> bool:
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)) < (6, 7)


def overlay_options(rootfs: dict[str, Any]) -> tuple[str, str]:
    """(directory, options) for mount(2), whose options must fit a page: names relative to what they share."""
    places = [*rootfs["lower"], rootfs["upper"], rootfs["work"]]
    common = paths.commonpath(places)
    relative = [_escape(paths.relpath(place, common)) for place in places]
    options = f"lowerdir={':'.join(relative[:-2])},upperdir={relative[-2]},workdir={relative[-1]}"
    options += "".join(f",{option}=off" for option in OVERLAY_OFF)
    if len(options) >= 4096:
        raise LaunchError("the image has more layers than this kernel can mount at once")
    return common, options


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
