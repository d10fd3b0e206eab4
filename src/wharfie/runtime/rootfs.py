"""The container's tree of mounts, built by the child in its own mount namespace::

    everything private ─> root attached ─> mounts in order ─> /dev ─> masks ─> pivot_root ─> host tree
    detached

Each place is resolved by openat2(2) inside the root right before something is moved onto exactly that inode,
so a link in the image, or one made by a neighbour that shares a volume, leads nowhere (CVE-2025-31133 and
kin).
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import mount, path
from wharfie.linux.mount import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    MNT_DETACH,
    MS_PRIVATE,
    OPEN_TREE_CLONE,
)
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.plan import apply_attributes
from wharfie.runtime.sources import overlay_options
from wharfie.runtime.sync import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.plan import MountStep, Plan

# what may be bound over inside /proc (lxcfs and kin); anything else there could redirect our own writes
_PROC_TARGETS = (
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
)


class Tree:
    """The root being built: ``root`` is its descriptor, ``proc`` a procfs of our own, attached nowhere."""

    __slots__ = ("_late_readonly", "dev", "proc", "root")

    def __init__(self, root: int) -> None:
        self.root = root
        self.proc = -1
        self.dev = -1
        """The /dev that devices belong into; -1 where the host's is bound there."""
        self._late_readonly: list[int] = []


def attach_root(plan: Plan, rootfs: int) -> Tree:
    """Cut this mount namespace off the host's and attach the root in it; raises OSError, LaunchError."""
    mount.mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, propagation=MS_PRIVATE)
    if rootfs < 0 and plan.rootfs is not None:
        directory, options = overlay_options(plan.rootfs)
        os.chdir(directory)
        mount.mount("overlay", plan.root_path, "overlay", 0, options)
        os.chdir("/")
        return Tree(os.open(plan.root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    mount.mount_setattr(rootfs, flags=AT_EMPTY_PATH | AT_RECURSIVE, propagation=MS_PRIVATE)
    mount.move_mount(rootfs, AT_FDCWD, plan.root_path, mount.MOVE_MOUNT_F_EMPTY_PATH)
    return Tree(rootfs)


def mount_all(tree: Tree, plan: Plan, cgroups: list[tuple[str, int]]) -> None:
    """Make every mount of the plan, in its order; raises LaunchError naming the one that failed."""
    has_dev = True
    for step in plan.mounts:
        try:
            _refuse_false_proc(step)
            if step.kind == "bind":
                _mount_bind(tree, step)
                has_dev = has_dev and step.target.rstrip("/") != "/dev"
            elif step.kind in ("cgroup", "cgroup2"):
                _mount_cgroup(tree, step, cgroups)
            else:
                _mount_filesystem(tree, step)
        except OSError as error:
            raise LaunchError(
                f'error mounting "{step.source or step.kind}" to rootfs at "{step.target}": {describe(error)}'
            ) from None
    if has_dev:
        tree.dev = path.make_directories(tree.root, "/dev")
    try:
        os.close(path.make_directories(tree.root, plan.process.cwd))
    except OSError as error:
        raise LaunchError(f'mkdir "{plan.process.cwd}": {describe(error)}', 126) from None


def _refuse_false_proc(step: MountStep) -> None:
    """A directory that only looks like /proc could redirect what is written there, and masks nothing."""
    if step.kind == "proc" or path.split_in_root(step.target) != ("/", "proc"):
        return
    if step.kind != "bind" or mount.filesystem_magic(step.fd) != mount.PROC_SUPER_MAGIC:
        raise LaunchError('"/proc" cannot be mounted because it is not of type proc')


def _refuse_inside_proc(step: MountStep, place: int) -> None:
    if mount.filesystem_magic(place) == mount.PROC_SUPER_MAGIC and step.target not in _PROC_TARGETS:
        raise LaunchError(f'"{step.target}" cannot be mounted because it is inside /proc')


def _mount_bind(tree: Tree, step: MountStep) -> None:
    if step.directory:
        place = path.make_directories(tree.root, step.target)
    else:
        place = path.make_file(tree.root, step.target)
    _refuse_inside_proc(step, place)
    mount.move_mount(step.fd, place)
    os.close(place)


def _superblock_options(step: MountStep) -> tuple[tuple[str, str | None], ...]:
    source = (("source", step.source),) if step.source else ()
    return (*source, *step.options.data)


def _mount_filesystem(tree: Tree, step: MountStep) -> None:
    options = _superblock_options(step)
    covered = _mode_of(tree.root, step.target) if step.kind == "tmpfs" else None
    if covered is not None and not any(name == "mode" for name, _ in options):
        # as with runc and Docker; on a place that is made for it a tmpfs is everybody's
        options = (*options, ("mode", f"{covered:o}"))
    place = path.make_directories(tree.root, step.target)
    if step.kind in ("proc", "sysfs"):
        # runtimes write to these: a link in the image must not choose where they are
        os.close(place)
        resolve = path.RESOLVE_IN_ROOT | path.RESOLVE_NO_SYMLINKS | path.RESOLVE_NO_MAGICLINKS
        place = path.openat2(tree.root, step.target, os.O_PATH | os.O_DIRECTORY, resolve)
    _refuse_inside_proc(step, place)
    attributes = step.options.set | step.options.recursive_set
    late = step.target.rstrip("/") == "/dev" and attributes & ATTR_RDONLY
    if late:
        attributes &= ~ATTR_RDONLY
    try:
        made = mount.new_filesystem(step.kind, options, attributes)
    except OSError as error:
        if step.kind != "sysfs" or not isinstance(error, PermissionError):
            raise
        # sysfs belongs to the user namespace of the network namespace: with the host's network it is bound
        made = mount.open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE | AT_RECURSIVE)
        apply_attributes(made, step.options, private=True)
    if step.options.copy_up and covered is not None:
        _copy_up(place, made)
    mount.move_mount(made, place)
    if step.options.propagation:
        flags = AT_EMPTY_PATH | (AT_RECURSIVE if step.options.recursive_propagation else 0)
        mount.mount_setattr(made, flags=flags, propagation=step.options.propagation)
    os.close(place)
    if late:
        tree._late_readonly.append(made)
    else:
        os.close(made)


def _mode_of(root: int, target: str) -> int | None:
    """The permissions of what is at a mount's place already, None if nothing is."""
    place = _open_if_there(root, target)
    if place is None:
        return None
    try:
        return os.fstat(place).st_mode & 0o7777
    finally:
        os.close(place)


def _copy_up(place: int, made: int) -> None:
    """Fill a new tmpfs with what the image has at its place (the option "tmpcopyup")."""
    source = path.openat2(place, ".", os.O_RDONLY | os.O_DIRECTORY, path.RESOLVE_BENEATH)
    found = os.fstat(source)
    path.chown_descriptor(made, found.st_uid, found.st_gid)
    target = path.openat2(made, ".", os.O_RDONLY | os.O_DIRECTORY, path.RESOLVE_BENEATH)
    os.fchmod(target, found.st_mode & 0o7777)
    try:
        _copy_directory(source, target)
    finally:
        os.close(source)
        os.close(target)


def _copy_directory(source: int, target: int) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = found.st_mode & 0o170000
        if kind == 0o120000:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif kind == 0o040000:
            os.mkdir(name, dir_fd=target)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            pair = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=target)
            _copy_directory(*pair)
            os.close(pair[0])
            os.close(pair[1])
        elif kind == 0o100000:
            reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
            while os.sendfile(writer, reader, None, 1 << 20):
                pass
            os.close(reader)
            os.close(writer)
        else:
            continue
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        if kind != 0o120000:
            os.chmod(name, found.st_mode & 0o7777, dir_fd=target)


def _mount_cgroup(tree: Tree, step: MountStep, cgroups: list[tuple[str, int]]) -> None:
    place = path.make_directories(tree.root, step.target)
    _refuse_inside_proc(step, place)
    attributes = step.options.set & ~ATTR_RDONLY
    if not cgroups or not cgroups[0][0]:
        made = _cgroup2(step, cgroups)
        mount.move_mount(made, place)
    else:
        made = mount.new_filesystem("tmpfs", (("source", "tmpfs"), ("mode", "755")), attributes)
        mount.move_mount(made, place)
        for name, fd in cgroups:
            os.mkdir(name, 0o755, dir_fd=made)
            mount.move_mount(fd, made, name, mount.MOVE_MOUNT_F_EMPTY_PATH)
            for part in name.split(",") if "," in name else ():
                os.symlink(name, part, dir_fd=made)
        if step.options.set & ATTR_RDONLY:
            mount.mount_setattr(made, flags=AT_EMPTY_PATH | AT_RECURSIVE, set_=ATTR_RDONLY)
    os.close(place)
    os.close(made)


def _cgroup2(step: MountStep, instead: list[tuple[str, int]]) -> int:
    """A mount of version 2; where only the host's root may make one ``instead``, the directory itself."""
    try:
        return mount.new_filesystem("cgroup2", (("source", "cgroup"),), step.options.set)
    except OSError as error:
        if not instead or error.errno not in (errno.EPERM, errno.EBUSY):
            raise
    tree = instead[0][1]
    mount.mount_setattr(tree, set_=step.options.set)
    return tree


def mask_paths(tree: Tree, masked: list[str], readonly: list[str]) -> None:
    """Hide some paths and make some read-only; raises OSError, LaunchError."""
    for name in readonly:
        place = _open_if_there(tree.root, name)
        if place is None:
            continue
        copy = mount.open_tree(place, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE)
        mount.mount_setattr(copy, set_=ATTR_RDONLY)
        mount.move_mount(copy, place)
        os.close(copy)
        os.close(place)
    null, empty = -1, -1
    for name in masked:
        place = _open_if_there(tree.root, name)
        if place is None:
            continue
        if path.is_directory(place):
            empty = _mask_directory(place, empty)
        else:
            null = null if null >= 0 else _null(tree)
            copy = mount.open_tree(null, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH)
            mount.move_mount(copy, place)
            os.close(copy)
        os.close(place)


def _mask_directory(place: int, empty: int) -> int:
    """Cover a directory with an empty, read-only one; all share the first that was made."""
    if empty >= 0:
        copy = mount.open_tree(empty, b"", OPEN_TREE_CLONE | AT_EMPTY_PATH)
        mount.move_mount(copy, place)
        os.close(copy)
        return empty
    attributes = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC
    empty = mount.new_filesystem("tmpfs", (("source", "tmpfs"),), attributes)
    mount.move_mount(empty, place)
    return empty


def _open_if_there(root: int, name: str) -> int | None:
    try:
        return path.open_in_root(root, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _null(tree: Tree) -> int:
    """The null device of the container's /dev, proven to be it (CVE-2025-31133).

    Not the host's: a chmod of a masked path would be one of the host's device.
    """
    dev = tree.dev if tree.dev >= 0 else path.open_in_root(tree.root, "/dev")
    fd = os.open("null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
    if not path.is_device(fd, 1, 3):
        raise LaunchError("the container's /dev/null is not the null device")
    return fd


def finish_readonly(tree: Tree, plan: Plan) -> None:
    """What had to stay writable while it was filled becomes read-only."""
    for fd in tree._late_readonly:
        mount.mount_setattr(fd, set_=ATTR_RDONLY)
    if plan.readonly_rootfs:
        mount.mount_setattr(tree.root, set_=ATTR_RDONLY)


def enter_root(tree: Tree, plan: Plan) -> None:
    """Make the root ours and let go of the host's tree; raises OSError."""
    os.fchdir(tree.root)
    if plan.pivot:
        mount.pivot_root(".", ".")
        # the old root lies on top of the new one now, and "." is still the new one
        mount.umount2(".", MNT_DETACH)
    else:
        mount.mount(".", "/", None, mount.MS_MOVE)
        os.chroot(".")
    os.chdir("/")
    if plan.propagation is not None:
        kind, recursive = plan.propagation
        mount.mount_setattr(AT_FDCWD, "/", AT_RECURSIVE if recursive else 0, propagation=kind)
