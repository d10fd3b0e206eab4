"""The content of an image's directory becomes the first content of an empty volume.

Everything goes through directory descriptors and no link is followed, so neither an image nor a container
that has the volume already can lead a write elsewhere (CVE-2018-15664's class). A copy is made beside the
volume's directory and moved in entry by entry, so that a crash leaves an empty volume rather than half of
one. Device nodes are left out: below the data root they would be doors of the host, and a container has its
own in /dev.
"""

from __future__ import annotations

import errno
import os
import stat

from wharfie.support.files import remove_tree
from wharfie.support.ids import random_hex
from wharfie.support.trees import Descent

STAGING = ".wharfie-populating-"
_CHUNK = 16 << 20
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_XATTRS = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENODATA})


def populate(target: int, source: int, beside: str = "") -> bool:
    """Copy the directory ``source`` into the empty directory ``target``; whether there was anything to do.

    The target takes owner, mode and times of the source as well. ``beside`` is a directory on the target's
    file system to make the copy in; without one it is made in the target itself, where only a crash leaves a
    trace, which the next call removes. Blocks: not for the event loop.

    Raises:
        OSError: the copy failed; the target is empty as before.
    """
    found = os.listdir(target)
    if any(not name.startswith(STAGING) for name in found):
        return False
    for name in found:
        remove_tree(f"/proc/self/fd/{target}/{name}")
    if os.listdir(source):
        _copy_through_staging(beside or f"/proc/self/fd/{target}", source, target)
    _metadata(source, target)
    return True


def _copy_through_staging(beside: str, source: int, target: int) -> None:
    staging = os.path.join(beside, STAGING + random_hex(8))
    os.mkdir(staging, 0o700)
    try:
        fd = os.open(staging, _OPEN_DIRECTORY)
        try:
            copy_tree(source, fd)
            for name in sorted(os.listdir(fd)):
                os.rename(name, name, src_dir_fd=fd, dst_dir_fd=target)
        finally:
            os.close(fd)
    finally:
        remove_tree(staging)


def copy_tree(source: int, target: int) -> None:
    """Copy what the directory ``source`` holds into the directory ``target``, both given by descriptor.

    Owners, modes, extended attributes, times, symbolic and hard links are kept; sockets and device nodes are
    left out. Any depth will do. Raises OSError.
    """
    copied = _Copied(target)
    reading, writing = Descent(os.dup(source)), Descent(os.dup(target))
    way: list[str] = []
    levels = [os.listdir(source)]
    try:
        while levels:
            if levels[-1]:
                name = levels[-1].pop()
                if _entry(reading.fd, writing.fd, name, way, copied):
                    reading.enter(name)
                    writing.enter(name)
                    way.append(name)
                    levels.append(os.listdir(reading.fd))
                continue
            levels.pop()
            if way:
                _metadata(reading.fd, writing.fd)
                reading.leave()
                writing.leave()
                way.pop()
    finally:
        reading.close()
        writing.close()


def _entry(source: int, target: int, name: str, way: list[str], copied: _Copied) -> bool:
    """Copy one entry of a directory; True for a directory, which is made and left empty."""
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        return True
    if kind == stat.S_IFREG:
        _file(source, target, name, way, copied)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
    elif kind == stat.S_IFIFO:
        os.mkfifo(name, 0o600, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    return False


class _Copied:
    """The files with several links that were copied, by their place below the top of the target."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._places: dict[tuple[int, int], str] = {}

    def link(self, status: os.stat_result, target: int, name: str, way: list[str]) -> bool:
        """Make ``name`` a link to its copy; whether there is one."""
        if status.st_nlink < 2:
            return False
        place = "/".join([*way, name])
        earlier = self._places.setdefault((status.st_dev, status.st_ino), place)
        if earlier == place:
            return False
        try:
            os.link(earlier, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            # too deep to be named at once: it becomes a file of its own
            if error.errno != errno.ENAMETOOLONG:
                raise
            return False
        return True


def _file(source: int, target: int, name: str, way: list[str], copied: _Copied) -> None:
    reader = os.open(name, _OPEN_FILE, dir_fd=source)
    try:
        status = os.fstat(reader)
        # swapped since it was listed: what it is now is not copied
        if not stat.S_ISREG(status.st_mode) or copied.link(status, target, name, way):
            return
        writer = os.open(name, _CREATE, 0o600, dir_fd=target)
        try:
            _content(reader, writer)
            _metadata(reader, writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _content(reader: int, writer: int) -> None:
    try:
        # reflinks where the file system has them (copy_file_range(2)); else in the kernel anyway
        while os.copy_file_range(reader, writer, _CHUNK):
            pass
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    while os.sendfile(writer, reader, None, _CHUNK):
        pass


def _metadata(source: int, target: int) -> None:
    """Owner, extended attributes, mode and times, in the order that does not lose any.

    chown(2) clears set-id bits and capabilities, so it is first; writing anything changes the times: last.
    """
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno not in _NO_XATTRS:
            raise
        names = []
    for name in names:
        if name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NO_XATTRS:
                raise
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
