"""Mounting: mount(2), umount2(2), pivot_root(2) and the calls of the new mount API.

With the new API (open_tree(2), fsopen(2), …) a mount is made as a descriptor, attached to nothing, and moved
to its place afterwards: nothing is resolved by name between the check of a place and its use.
"""

from __future__ import annotations

import posix as os
import struct

from wharfie.linux.libc import (
    Int,
    Pointer,
    String,
    UInt,
    ULong,
    buffer,
    cstring,
    failure,
    function,
    number_of,
    system_call,
)

# mount(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS = 0x1, 0x2, 0x4, 0x8, 0x10
MS_REMOUNT, MS_MANDLOCK, MS_DIRSYNC, MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME = (
    0x20,
    0x40,
    0x80,
    0x100,
    0x400,
    0x800,
)
MS_BIND, MS_MOVE, MS_REC, MS_SILENT = 0x1000, 0x2000, 0x4000, 0x8000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_RELATIME, MS_I_VERSION, MS_STRICTATIME, MS_LAZYTIME = 1 << 21, 1 << 23, 1 << 24, 1 << 25
MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW = 1, 2, 4, 8

# openat(2) family
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_RECURSIVE = 0x100, 0x800, 0x1000, 0x8000

# open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2)
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_SYMLINKS, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x10, 0x40
_FSCONFIG_FLAG, _FSCONFIG_STRING, _FSCONFIG_CREATE = 0, 1, 6
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 0x1, 0x2, 0x4, 0x8
ATTR_ATIME, ATTR_RELATIME, ATTR_NOATIME, ATTR_STRICTATIME = 0x70, 0x0, 0x10, 0x20
ATTR_NODIRATIME, ATTR_IDMAP, ATTR_NOSYMFOLLOW = 0x80, 0x100000, 0x200000

_SETATTR = struct.Struct("=QQQQ")

_mount = function("mount", String, String, String, ULong, Pointer)
_umount2 = function("umount2", String, Int)
_pivot_root = system_call(String, String)
_open_tree = system_call(Int, String, UInt)
_move_mount = system_call(Int, String, Int, String, UInt)
_fsopen = system_call(String, UInt)
_fsconfig = system_call(Int, UInt, String, Pointer, Int)
_fsmount = system_call(Int, UInt, UInt)
_mount_setattr = system_call(Int, String, UInt, Pointer, ULong)
_fstatfs = function("fstatfs", Int, Pointer)
_PIVOT_ROOT = number_of("pivot_root")


def mount(
    source: str | bytes | None,
    target: str | bytes,
    kind: str | None,
    flags: int = 0,
    data: str | bytes | None = None,
) -> None:
    """mount(2); raises OSError naming the target."""
    done = _mount(
        None if source is None else cstring(source),
        cstring(target),
        None if kind is None else cstring(kind),
        flags,
        None if data is None else cstring(data),
    )
    if done < 0:
        raise failure(target)


def umount2(target: str | bytes, flags: int = 0) -> None:
    """umount2(2)."""
    if _umount2(cstring(target), flags) < 0:
        raise failure(target)


def pivot_root(new_root: str | bytes, put_old: str | bytes) -> None:
    """pivot_root(2); with "." twice the old root ends up stacked on the new one."""
    if _pivot_root(_PIVOT_ROOT, cstring(new_root), cstring(put_old)) < 0:
        raise failure(new_root, put_old)


def open_tree(at: int, path: str | bytes, flags: int = 0) -> int:
    """open_tree(2), close-on-exec; OPEN_TREE_CLONE | AT_RECURSIVE gives a detached copy of a tree."""
    fd = _open_tree(428, at, cstring(path), flags | os.O_CLOEXEC)
    if fd < 0:
        raise failure(path)
    return fd


def move_mount(
    fd: int, to: int, path: str | bytes = b"", flags: int = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
) -> None:
    """Attach the mount ``fd`` at ``path`` below ``to``; by default exactly on what ``to`` is."""
    if _move_mount(429, fd, b"", to, cstring(path), flags) < 0:
        raise failure(path)


def fsopen(kind: str) -> int:
    """A configuration context for a new file system of this kind."""
    fd = _fsopen(430, cstring(kind), 1)
    if fd < 0:
        raise failure(kind)
    return fd


def context_messages(fd: int) -> str:
    """What the kernel said about a failed step of a configuration context, one sentence after the other."""
    found: list[str] = []
    while True:
        try:
            line = os.read(fd, 8192)
        except OSError:  # ENODATA: nothing more
            return "; ".join(found)
        found.append(line.decode("utf-8", "replace").removeprefix("e ").strip())


def _configure(fd: int, command: int, key: str | None, value: bytes | None) -> None:
    if _fsconfig(431, fd, command, None if key is None else cstring(key), value, 0) < 0:
        error = failure(key)
        said = context_messages(fd)
        raise OSError(error.errno, said or error.strerror, key) if said else error


def fsconfig_flag(fd: int, key: str) -> None:
    """Set an option without value."""
    _configure(fd, _FSCONFIG_FLAG, key, None)


def fsconfig_string(fd: int, key: str, value: str | bytes) -> None:
    """Set an option; one of up to 255 bytes."""
    _configure(fd, _FSCONFIG_STRING, key, cstring(value))


def fsconfig_create(fd: int) -> None:
    """Make the superblock."""
    _configure(fd, _FSCONFIG_CREATE, None, None)


def fsmount(fd: int, attributes: int = 0) -> int:
    """A detached mount of the configured file system."""
    made = _fsmount(432, fd, 1, attributes)
    if made < 0:
        error = failure()
        said = context_messages(fd)
        raise OSError(error.errno, said) if said else error
    return made


def new_filesystem(kind: str, options: tuple[tuple[str, str | None], ...] = (), attributes: int = 0) -> int:
    """fsopen, options, create, fsmount: a detached mount of a new file system; raises OSError."""
    context = fsopen(kind)
    try:
        for key, value in options:
            if value is None:
                fsconfig_flag(context, key)
            else:
                fsconfig_string(context, key, value)
        fsconfig_create(context)
        return fsmount(context, attributes)
    finally:
        os.close(context)


def mount_setattr(
    fd: int,
    path: str | bytes = b"",
    flags: int = AT_EMPTY_PATH,
    *,
    set_: int = 0,
    clear: int = 0,
    propagation: int = 0,
    userns: int = 0,
) -> None:
    """mount_setattr(2): flags, propagation and id mapping of a mount, with AT_RECURSIVE of a whole tree."""
    packed = _SETATTR.pack(set_, clear, propagation, userns)
    if _mount_setattr(442, fd, cstring(path), flags, packed, len(packed)) < 0:
        raise failure(path)


PROC_SUPER_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC, DEVPTS_SUPER_MAGIC = 0x9FA0, 0x62656572, 0x01021994, 0x1CD1
CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC = 0x27E0EB, 0x63677270, 0x794C7630


def filesystem_magic(fd: int) -> int:
    """Which kind of file system an open file lies on (fstatfs(2), ``f_type``)."""
    memory = buffer(256)
    if _fstatfs(fd, memory) < 0:
        raise failure()
    return int(struct.unpack_from("=q" if struct.calcsize("P") == 8 else "=i", bytes(memory))[0])
