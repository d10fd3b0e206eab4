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
    left out. Raises OSError.
    """
    _Copy(target).directory(source, target, "")


class _Copy:
    """One run: remembers the files with several links by their place below the top of the target."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._linked: dict[tuple[int, int], str] = {}

    def directory(self, source: int, target: int, place: str) -> None:
        """The entries of one directory, not the directory itself."""
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self._subdirectory(source, target, name, f"{place}{name}/")
            elif kind == stat.S_IFREG:
                self._file(source, target, name, place + name)
            elif kind == stat.S_IFLNK:
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
                times = (status.st_atime_ns, status.st_mtime_ns)
                os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
            elif kind == stat.S_IFIFO:
                os.mkfifo(name, 0o600, dir_fd=target)
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
                os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)

    def _subdirectory(self, source: int, target: int, name: str, place: str) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        inner_source = os.open(name, _OPEN_DIRECTORY, dir_fd=source)
        try:
            inner_target = os.open(name, _OPEN_DIRECTORY, dir_fd=target)
            try:
                self.directory(inner_source, inner_target, place)
                _metadata(inner_source, inner_target)
            finally:
                os.close(inner_target)
        finally:
            os.close(inner_source)

    def _file(self, source: int, target: int, name: str, place: str) -> None:
        reader = os.open(name, _OPEN_FILE, dir_fd=source)
        try:
            status = os.fstat(reader)
            if not stat.S_ISREG(status.st_mode):
                # swapped since it was listed: what it is now is not copied
                return
            key = (status.st_dev, status.st_ino)
            if status.st_nlink > 1:
                earlier = self._linked.setdefault(key, place)
                if earlier != place:
                    os.link(earlier, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
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
