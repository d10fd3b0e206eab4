"""Paths inside a root that somebody else controls.

Everything goes through openat2(2) with RESOLVE_IN_ROOT: the kernel itself resolves each link as if the root
were ``/``, whatever is renamed meanwhile. RESOLVE_NO_MAGICLINKS keeps /proc's links (``/proc/self/fd/7``)
from leading out.
"""

from __future__ import annotations

import _stat as stat
import errno
import posix as os
import struct

from wharfie.linux.libc import Int, Pointer, String, UInt, ULong, cstring, failure, function, system_call
from wharfie.support import paths

AT_FDCWD = -100
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x1, 0x2, 0x4
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x8, 0x10
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS

_HOW = struct.Struct("=QQQ")
_openat2 = system_call(Int, String, Pointer, ULong)
_fchownat = function("fchownat", Int, String, UInt, UInt, Int)


def openat2(at: int, path: str | bytes, flags: int, resolve: int = 0, mode: int = 0) -> int:
    """openat2(2), close-on-exec; raises OSError naming the path."""
    encoded = cstring(path)
    how = _HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    for _attempt in range(128):
        fd = _openat2(437, at, encoded, how, len(how))
        if fd >= 0:
            return fd
        error = failure(path)
        # a rename elsewhere made ".." ambiguous (RESOLVE_IN_ROOT): the kernel asks to try again
        if error.errno not in (errno.EAGAIN, errno.EINTR):
            break
    raise error


def open_in_root(root: int, path: str | bytes, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open ``path`` as a process whose root directory is ``root`` would; links inside stay inside."""
    return openat2(root, path, flags, IN_ROOT, mode)


def open_regular(root: int, path: str | bytes) -> int:
    """A regular file inside ``root``, to be read; what is none is never opened.

    A device's driver may act on being opened. Raises OSError: EISDIR, or EINVAL for all else.
    """
    found = open_in_root(root, path)
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(code, os.strerror(code) if code == errno.EISDIR else "Not a regular file", path)
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def _parts(path: str) -> list[str]:
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            # lexically, as Docker cleans a mount's destination
            if found:
                found.pop()
        elif part not in ("", "."):
            found.append(part)
    return found


def split_in_root(path: str) -> tuple[str, str]:
    """The cleaned parent directory and last name of a path; the name is empty for the root itself."""
    parts = _parts(path)
    if not parts:
        return "/", ""
    return "/" + "/".join(parts[:-1]), parts[-1]


def make_directories(root: int, path: str, mode: int = 0o755, owner: tuple[int, int] | None = None) -> int:
    """mkdir -p inside ``root``; an O_PATH descriptor of the directory.

    Existing links are followed inside the root. What is made belongs to ``owner`` if given.
    Raises OSError (NotADirectoryError where a file is in the way).
    """
    try:
        return open_in_root(root, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    parts = _parts(path)
    parent, depth = os.dup(root), 0
    try:
        for depth in range(len(parts) - 1, 0, -1):
            try:
                found = open_in_root(root, "/".join(parts[:depth]), os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            os.close(parent)
            parent = found
            break
        else:
            depth = 0
        for name in parts[depth:]:
            child = _make_directory(parent, name, mode, owner)
            os.close(parent)
            parent = child
    except BaseException:
        os.close(parent)
        raise
    return parent


def _make_directory(parent: int, name: str, mode: int, owner: tuple[int, int] | None) -> int:
    try:
        os.mkdir(name, mode, dir_fd=parent)
        made = True
    except FileExistsError:
        made = False
    try:
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except NotADirectoryError:
        # a link that leads nowhere yet, or a file: either is in the way
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from None
    if made and owner is not None:
        chown_descriptor(fd, *owner)
    return fd


def make_file(root: int, path: str, mode: int = 0o644, *, links: int = 8) -> int:
    """An O_PATH descriptor of a file inside ``root``; it and its directories are made where missing.

    A link that leads nowhere is followed inside the root, up to ``links`` times, and its target is made.
    """
    try:
        return open_in_root(root, path)
    except FileNotFoundError:
        pass
    directory, name = split_in_root(path)
    parent = make_directories(root, directory)
    try:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=parent))
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileExistsError:
        if not links or not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
        target = paths.join("/", directory, os.readlink(name, dir_fd=parent))
    finally:
        os.close(parent)
    return make_file(root, paths.normpath(target), mode, links=links - 1)


def chown_descriptor(fd: int, uid: int, gid: int) -> None:
    """Change the owner of what a descriptor, O_PATH too, refers to (fchownat(2) with AT_EMPTY_PATH)."""
    if _fchownat(fd, b"", uid & 0xFFFFFFFF, gid & 0xFFFFFFFF, 0x1000) < 0:
        raise failure()


def is_directory(fd: int) -> bool:
    """Whether an open file is a directory."""
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def is_device(fd: int, major: int, minor: int) -> bool:
    """Whether an open file is this character device: names lie, numbers do not."""
    found = os.fstat(fd)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(major, minor)
