"""A caller who is not the host's root: what it may do by itself, and who does the rest for it.

Such a caller may mount nothing where it is, so what the parent opens for a container otherwise
(``sources.py``) the container's process opens itself, in a mount namespace of the user namespace that it was
cloned into, where it has all capabilities (user_namespaces(7))::

    parent: clone3(NEWUSER | NEWNS | …) ─> id maps ── b"m" ──> child: open_tree … ─> not dumpable ─> as always

Until then the child stays dumpable, or its id maps would be root's files and newuidmap(1) would refuse it.
Nobody gains by that: in its new user namespace only its creator's user has capabilities over it. The same way
goes the root of a user namespace, whose mount namespace may still be the host's. Loaded for these alone.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import credentials, mount, process
from wharfie.runtime import hooks, idmap
from wharfie.runtime.cgroups.files import read_or
from wharfie.runtime.cgroups.layout import layout
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sources import open_trees
from wharfie.runtime.sync import MAPPED, describe
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.cgroups.base import Cgroup
    from wharfie.runtime.plan import MountStep, Plan
    from wharfie.runtime.sources import Sources
    from wharfie.runtime.sync import Channel

    Mappings = list[dict[str, int]]

_SETGID, _SETUID = 6, 7
_FILES = {"uid": "/etc/subuid", "gid": "/etc/subgid"}
_SWITCHES = {
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}
"""Where user namespaces are switched off, and the value that does so."""


def check(plan: Plan) -> None:
    """Refuse what nobody but root can have; raises LaunchError, in runc's words where it has them."""
    if os.geteuid() and not plan.user_namespace:
        raise LaunchError("rootless container requires user namespaces")
    if os.geteuid() and plan.network is not None:
        raise LaunchError("linux.netDevices: network devices cannot be moved without root")
    for step in plan.mounts:
        if step.mapping is not None:
            raise LaunchError(f"mounts: {step.target} cannot be id-mapped without root")
        if plan.uid_mappings and plan.gid_mappings:
            _check_owner(step, "uid", plan.uid_mappings)
            _check_owner(step, "gid", plan.gid_mappings)


def _check_owner(step: MountStep, kind: str, mappings: Mappings) -> None:
    for name, value in step.options.data:
        if name == kind and not _is_mapped(value or "", mappings):
            raise LaunchError(
                f"cannot specify {kind}= mount options for unmapped {kind} in rootless containers"
            )


def _is_mapped(text: str, mappings: Mappings) -> bool:
    if not (text.isascii() and text.isdigit()):
        return False
    return any(item["containerID"] <= int(text) < item["containerID"] + item["size"] for item in mappings)


def write_maps(pid: int, uids: Mappings, gids: Mappings) -> None:
    """Write the id maps of a child that is dumpable yet; raises LaunchError, OSError."""
    if credentials.capget()[0] >> _SETGID & 3 == 3:
        # the root of a user namespace, over its own ids
        idmap.write_maps(pid, uids, gids)
        return
    _write_map(pid, "uid", uids, os.geteuid())
    _write_map(pid, "gid", gids, os.getegid())


def _write_map(pid: int, kind: str, mappings: Mappings, own: int) -> None:
    if len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == own:
        if kind == "gid":
            # its groups may be what keeps a user out of a file (user_namespaces(7))
            idmap.write_file(f"/proc/{pid}/setgroups", "deny")
        idmap.write_map(pid, kind, mappings)
        return
    if any(item["hostID"] == 0 for item in mappings):
        # such a container could write to the interpreter, and to the host
        raise LaunchError(f"linux.{kind}Mappings: the host's root cannot be mapped without being root")
    tool = _find(f"new{kind}map")
    if tool is None:
        raise LaunchError(
            f"linux.{kind}Mappings: more than the caller's own id can be mapped by new{kind}map only, "
            "which is not installed (package uidmap)"
        )
    words = [str(item[key]) for item in mappings for key in ("containerID", "hostID", "size")]
    reason = hooks.run_hook({"path": tool, "args": [tool, str(pid), *words]}, {})
    if reason:
        raise LaunchError(
            f"linux.{kind}Mappings: these ids cannot be mapped, for {_FILES[kind]} must grant them to the "
            f"user: {reason.partition(': ')[2] or reason}"
        )


def _find(name: str) -> str | None:
    for directory in (variable("PATH") or "/usr/bin:/bin").split(":"):
        candidate = f"{directory or '.'}/{name}"
        if os.access(candidate, os.X_OK):
            return candidate
    return None


def without_namespace(error: OSError) -> str:
    """Why no user namespace could be made, in one sentence."""
    for file, off in _SWITCHES.items():
        if read_or(file, "") == off:
            return f"a rootless container needs user namespaces, and they are switched off: {file} is {off}"
    why = " (in a chroot or by a seccomp filter)" if error.errno == errno.EPERM else ""
    return f"making the container's user namespace failed: {describe(error)}{why}"


def begin(plan: Plan, sources: Sources, channel: Channel) -> list[tuple[str, int]]:
    """In the child, still its creator's user and with the host's tree: open what the plan names.

    Returns the trees for /sys/fs/cgroup. Raises OSError, LaunchError.
    """
    if plan.clone_flags & process.CLONE_NEWUSER:
        channel.wait(MAPPED)
    if sources.mount_namespace >= 0:
        # trees can be opened in a mount namespace of our own alone; they come along into the other one
        process.unshare(process.CLONE_NEWNS)
    channel.doing = "opening what the container is made of"
    open_trees(plan, sources)
    found = []
    for name, directory in plan.cgroup_places:
        found.append((name, mount.open_tree(mount.AT_FDCWD, directory, _WHOLE)))
        mount.mount_setattr(found[-1][1], set_=_SAFE, propagation=mount.MS_PRIVATE)
    if sources.mount_namespace >= 0:
        channel.doing = "joining the mount namespace"
        process.setns(sources.mount_namespace, process.CLONE_NEWNS)
    return found


# what is mounted below may not be left out: it might hide something (mount_namespaces(7))
_WHOLE = mount.OPEN_TREE_CLONE | mount.AT_RECURSIVE
_SAFE = mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC


def cgroup_places(plan: Plan, cgroup: Cgroup) -> list[tuple[str, str]]:
    """(name, directory) of each hierarchy for /sys/fs/cgroup, "" on version 2.

    Where the container has no group of its own that is the caller's, which it is in.
    """
    if not any(step.kind in ("cgroup", "cgroup2") for step in plan.mounts):
        return []
    machine = layout()
    own = set(cgroup.directories())
    if machine.mode == "v2":
        return [("", next(iter(own), machine.unified + _own_path("")))]
    found = []
    for mount_point in machine.mounts:
        controller = next(name for name, place in machine.controllers.items() if place == mount_point)
        directory = mount_point + cgroup.path
        if directory not in own:
            directory = mount_point + _own_path(controller)
        if not os.access(directory, os.X_OK):
            continue  # of another cgroup namespace
        found.append((mount_point.rpartition("/")[2], directory))
    return found


def _own_path(controller: str) -> str:
    """The path of the group that this process is in (cgroups(7), /proc/PID/cgroup)."""
    for line in read_or("/proc/self/cgroup", "").split("\n"):
        _number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            # what lies above our cgroup namespace cannot be named
            return "" if ".." in path else path.rstrip("/")
    return ""
