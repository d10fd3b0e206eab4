"""What a volume is mounted from: a detached mount, made when it is needed and gone with its last user.

::

    PLAIN, BIND   a copy of the mount at the directory (open_tree(2))
    DISK, MOUNT   the file system, mounted without a place (fsmount(2)); never seen on the host
    … in use      a copy of the mount that a running container has: a tmpfs is one tmpfs for all its users

So nothing counts users and nothing is unmounted: the kernel does both, also when the daemon was killed. What
is inside a volume is never trusted: a subpath is resolved by the kernel with the volume as root.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from wharfie.errors import InternalError, InvalidArgument
from wharfie.linux import mount
from wharfie.linux import path as paths
from wharfie.linux.mount import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, OPEN_TREE_CLONE
from wharfie.runtime.plan import apply_attributes
from wharfie.volumes import disks, elsewhere, options
from wharfie.volumes.model import Volume
from wharfie.volumes.options import Kind

# what a container's own mount may have been given (ro, …): a copy for the next one begins without
_OWN = mount.ATTR_RDONLY | mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC | mount.ATTR_NOSYMFOLLOW


class MountFailed(InternalError):
    """A volume's file system cannot be mounted."""

    def __init__(self, volume: Volume, reason: str) -> None:
        super().__init__(f"error while mounting volume '{volume.mountpoint}': {reason}")


class NotAccessible(InvalidArgument):
    """A subpath leads nowhere, or out of the volume."""


def open_volume(volume: Volume, users: Iterable[tuple[int, str]] = ()) -> int:
    """A detached mount of a volume; blocks. ``users``: (pid, destination) of running containers that have it.

    Raises MountFailed.
    """
    kind = options.kind(volume.options)
    try:
        if kind is Kind.DISK:
            return disks.open_mount(prepare_disk(volume))
        if kind is Kind.MOUNT:
            return _shared(volume, users) or _mounted(volume)
        place = volume.options["device"] if kind is Kind.BIND else volume.mountpoint
        tree = mount.open_tree(AT_FDCWD, place, OPEN_TREE_CLONE | AT_RECURSIVE)
        return _dressed(tree, volume)
    except OSError as error:
        raise MountFailed(volume, _reason(volume, error)) from error


def prepare_disk(volume: Volume) -> str:
    """The file that a volume of its own size lives in, made when it is not there yet; raises DiskError."""
    directory = os.path.dirname(volume.mountpoint)
    path = os.path.join(directory, disks.FILE)
    if not os.path.lexists(path):
        templates = os.path.join(os.path.dirname(directory), disks.TEMPLATES)
        disks.make(path, disks.read_size(volume.options["size"]), templates)
    return path


def _reason(volume: Volume, error: OSError) -> str:
    said = (error.strerror or str(error)).lower()
    if not volume.options:
        return said
    asked = options.described(volume.options)
    device = volume.options.get("device", "")
    return f"failed to mount local volume: mount {device}:{volume.mountpoint}{asked}: {said}"


def _dressed(tree: int, volume: Volume) -> int:
    """The mount with the flags that the volume's own options ask for."""
    try:
        apply_attributes(tree, options.parsed(volume.options), private=True)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _mounted(volume: Volume) -> int:
    made = mount.new_filesystem(volume.options["type"], options.superblock(volume.options))
    return _dressed(made, volume)


def _shared(volume: Volume, users: Iterable[tuple[int, str]]) -> int | None:
    """A copy of the mount that a running container has; None where none runs with the volume."""
    problem: OSError | None = None
    for pid, destination in users:
        try:
            tree = _copy_of(pid, destination, volume.options["type"])
        except OSError as error:
            if os.path.exists(f"/proc/{pid}"):
                problem = error
            continue
        return _dressed(tree, volume)
    if problem is not None:
        raise problem
    return None


def _copy_of(pid: int, destination: str, kind: str) -> int:
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = paths.open_in_root(root, destination)
    finally:
        os.close(root)
    try:
        if not _is_whole(pid, place, kind):
            raise OSError(errno.EBUSY, f"the container that uses it has something else at {destination}")
        # open_tree(2) copies what is attached in the caller's own namespace only
        tree = elsewhere.inside(pid, lambda: mount.open_tree(place, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH))
    finally:
        os.close(place)
    mount.mount_setattr(tree, clear=_OWN)
    return tree


def _is_whole(pid: int, place: int, kind: str) -> bool:
    """Whether an open directory is the root of a mount of this type (proc_pid_mountinfo(5))."""
    with open(f"/proc/self/fdinfo/{place}", encoding="ascii") as file:
        number = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fields = before.split(" ")
            if fields[0] == number:
                found = after.split(" ")[0]
                # "nfs" is shown as nfs4, "fuse" as fuse.sshfs
                same = found.rstrip("0123456789") == kind.rstrip("0123456789")
                return fields[3] == "/" and (same or found.startswith(kind + "."))
    return False


def within(tree: int, subpath: str, shown: str) -> int:
    """A detached mount of what is at ``subpath`` inside a detached one; takes ``tree``, blocks.

    Raises NotAccessible; ``shown`` is the volume's place in its message.
    """

    def there() -> int:
        # before Linux 6.15 a part can be copied only of what is attached somewhere
        mount.move_mount(tree, AT_FDCWD, "/", mount.MOVE_MOUNT_F_EMPTY_PATH)
        inner = paths.open_in_root(tree, subpath)
        try:
            return mount.open_tree(inner, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE)
        finally:
            os.close(inner)

    try:
        return elsewhere.in_scratch(there)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotAccessible(f"cannot access path {shown}/{subpath}: {reason}") from error
    finally:
        os.close(tree)
