"""Entries of an archive become files below a directory descriptor, and nowhere else.

Each entry's parent is resolved by the kernel with the target as root (openat2(2)); the last name is made new
or replaced, never followed. Parents that are links inside the target are followed inside it, as in Docker. A
name that climbs out with ``..`` is refused. Docker's order per file: content, owner, mode, attributes, times;
the times of directories come last, because their entries change them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from wharfie.errors import InvalidArgument
from wharfie.images import tar, whiteout
from wharfie.images.directories import DirectoryCache, clean
from wharfie.images.limits import Budget
from wharfie.images.tar import BadArchive, Entry

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HIGHEST_ID = (1 << 32) - 2
# what the file system says to names, links and numbers that make no sense
_OF_THE_ARCHIVE = frozenset(
    {
        errno.EINVAL,
        errno.ENAMETOOLONG,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMLINK,
        errno.ENOENT,
        errno.ERANGE,
        errno.E2BIG,
    }
)
_NO_ATTRIBUTES = (errno.ENOTSUP, errno.ENODATA, errno.EPERM)


class CannotOverwrite(InvalidArgument):
    """A directory would be replaced by a file, or the other way round, and that was not allowed."""


class Displacer(Protocol):
    """Takes away what an entry replaces."""

    def __call__(self, parent: int, name: bytes, path: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How an archive is unpacked."""

    layer: bool = False
    """``.wh.`` names are whiteouts, and ``root`` is implied."""
    root: bool = False
    """The entry for the root itself counts."""
    owner: tuple[int, int] | None = None
    """Everything belongs to this one, whatever the archive says."""
    keep_kind: bool = False
    """Docker's noOverwriteDirNonDir."""


class Unpacker:
    """Unpacks into ``root``, an O_PATH descriptor that stays the caller's."""

    def __init__(self, root: int, rules: Rules, displace: Displacer, budget: Budget) -> None:
        self._rules = rules
        self._displace = displace
        self._budget = budget
        self._directories = DirectoryCache(root, rules.owner, lambda: budget.entry(0), real=rules.layer)
        self._times: dict[bytes, int] = {}
        self.size = 0
        """Bytes of file content unpacked so far, holes included."""

    def add(self, entry: Entry, content: Iterable[bytes]) -> bytes:
        """Unpack one entry; the cleaned path of the file that now holds its content, or empty if none does.

        Raises:
            BadArchive: the entry is not allowed.
            CannotOverwrite: by the rules.
            OSError: the file system cannot, for reasons of its own.
        """
        try:
            return self._add(entry, content)
        except OSError as error:
            if error.errno not in _OF_THE_ARCHIVE:
                raise
            shown = tar.shown(entry.name)
            raise BadArchive(
                f'the archive\'s entry "{shown}" cannot be unpacked: {error.strerror}'
            ) from error

    def _add(self, entry: Entry, content: Iterable[bytes]) -> bytes:
        path = clean(entry.name)
        self._budget.entry(entry.real_size)
        if not path:
            if (self._rules.layer or self._rules.root) and entry.kind == tar.DIRECTORY:
                self._dress_directory(b"", entry)
            return b""
        directory, _, name = path.rpartition(b"/")
        if len(name) > 255:
            raise BadArchive(f"the archive has a file name of {len(name)} bytes; the limit is 255")
        parent, directory = self._directories.open(directory)
        path = directory + b"/" + name if directory else name
        if self._rules.layer and name.startswith(whiteout.PREFIX):
            whiteout.apply(parent, name)
            return b""
        if entry.kind == tar.REGULAR:
            self._file(parent, name, path, entry, content)
            return path
        if entry.kind == tar.DIRECTORY:
            self._make_directory(parent, name, path, entry)
        elif entry.kind == tar.HARDLINK:
            self._hardlink(parent, name, path, entry)
        elif entry.kind == tar.SYMLINK:
            self.size += len(entry.link)
            self._make_room(parent, name, path, entry)
            os.symlink(entry.link, name, dir_fd=parent)
            self._dress(parent, name, entry)
        elif entry.kind in (tar.CHAR, tar.BLOCKDEV, tar.FIFO):
            self._node(parent, name, path, entry)
        else:
            raise BadArchive(f"the archive has an entry of unknown type {entry.kind!r}")
        return b""

    def finish(self) -> None:
        """Set the directories' times; nothing may be added afterwards."""
        for path, when in self._times.items():
            try:
                fd = self._directories.open_existing(path)
            except OSError:
                continue  # replaced by a later entry
            try:
                os.utime(f"/proc/self/fd/{fd}", ns=(when, when))
            finally:
                os.close(fd)

    def close(self) -> None:
        """Close the descriptors held."""
        self._directories.close()

    def _owner(self, entry: Entry) -> tuple[int, int]:
        uid, gid = self._rules.owner or (entry.uid, entry.gid)
        # an id of 2^32 - 1 means "unchanged" to chown(2), and larger ones wrap around to root
        # (CVE-2024-40635)
        if not (0 <= uid <= _HIGHEST_ID and 0 <= gid <= _HIGHEST_ID):
            raise BadArchive(f"the archive has an owner out of range: {uid}:{gid}")
        return uid, gid

    def _make_room(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        is_directory = stat.S_ISDIR(found.st_mode)
        if self._rules.keep_kind and is_directory != (entry.kind == tar.DIRECTORY):
            old, new = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise CannotOverwrite(
                f'cannot overwrite {old} "{tar.shown(path)}" with {new} "{tar.shown(clean(entry.name))}"'
            )
        if not stat.S_ISREG(found.st_mode):
            self._directories.forget()
        self._displace(parent, name, path)

    def _file(self, parent: int, name: bytes, path: bytes, entry: Entry, content: Iterable[bytes]) -> None:
        uid, gid = self._owner(entry)
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._make_room(parent, name, path, entry)
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            if entry.sparse is not None:
                self._write_sparse(fd, entry, content)
            else:
                for piece in content:
                    self._budget.written(len(piece))
                    _write(fd, piece)
            os.fchown(fd, uid, gid)
            os.fchmod(fd, entry.mode)
            for key, value in entry.xattrs.items():
                _set_attribute(fd, key, value)
            os.utime(fd, ns=(entry.mtime_ns if entry.atime_ns is None else entry.atime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        self.size += entry.real_size

    def _write_sparse(self, fd: int, entry: Entry, content: Iterable[bytes]) -> None:
        waiting = b""
        pieces = iter(content)
        for offset, length in entry.sparse or ():
            os.lseek(fd, offset, os.SEEK_SET)
            while length:
                waiting = waiting or next(pieces)
                piece, waiting = waiting[:length], waiting[length:]
                self._budget.written(len(piece))
                _write(fd, piece)
                length -= len(piece)
        os.ftruncate(fd, entry.real_size)

    def _make_directory(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                opaque = self._rules.layer and whiteout.is_whiteout(parent, name)
                self._make_room(parent, name, path, entry)
                os.mkdir(name, 0o700, dir_fd=parent)
                if opaque:
                    whiteout.make_opaque(parent, name)
        self._dress_directory(path, entry)

    def _dress_directory(self, path: bytes, entry: Entry) -> None:
        uid, gid = self._owner(entry)
        fd = self._directories.open_existing(path)
        try:
            name = f"/proc/self/fd/{fd}"
            os.chown(name, uid, gid)
            os.chmod(name, entry.mode)
            for key, value in entry.xattrs.items():
                _set_attribute(name, key, value)
        finally:
            os.close(fd)
        self._times[path] = entry.mtime_ns

    def _hardlink(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        target = clean(entry.link)
        directory, _, last = target.rpartition(b"/")
        if not last:
            raise BadArchive(f'the archive has an invalid hard link "{tar.shown(entry.name)}"')
        if target == path:
            return
        names = f'"{tar.shown(entry.name)}" to "{tar.shown(target)}"'
        missing = f"the archive has a hard link {names}, which is missing"
        try:
            source = self._directories.open_existing(directory)
        except (FileNotFoundError, NotADirectoryError):
            raise BadArchive(missing) from None
        try:
            kind = os.stat(last, dir_fd=source, follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                raise BadArchive(f'the archive has a hard link to the directory "{tar.shown(target)}"')
            self._make_room(parent, name, path, entry)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            # as in Docker, what the link's own header says is from now on true of the file
            self._dress(parent, name, entry, link=stat.S_ISLNK(kind))
        except FileNotFoundError:
            raise BadArchive(missing) from None
        finally:
            os.close(source)

    def _node(self, parent: int, name: bytes, path: bytes, entry: Entry) -> None:
        self._make_room(parent, name, path, entry)
        kind = {tar.CHAR: stat.S_IFCHR, tar.BLOCKDEV: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}[entry.kind]
        if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
            raise BadArchive(f"the archive has a device with impossible numbers {entry.major}:{entry.minor}")
        os.mknod(name, kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        self._dress(parent, name, entry)

    def _dress(self, parent: int, name: bytes, entry: Entry, *, link: bool = False) -> None:
        """Owner, mode, attributes and times of what is neither new content nor a directory.

        ``link``: it is a further name of a symbolic link, whose times stay.
        """
        uid, gid = self._owner(entry)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != tar.SYMLINK or entry.xattrs:
            # O_PATH and /proc name the inode itself: no chmod(2) that could be led through a link
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                if not stat.S_ISLNK(os.fstat(fd).st_mode):
                    os.chmod(f"/proc/self/fd/{fd}", entry.mode)
                    for key, value in entry.xattrs.items():
                        _set_attribute(f"/proc/self/fd/{fd}", key, value)
            finally:
                os.close(fd)
        if not link:
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _write(fd: int, piece: bytes) -> None:
    done = os.write(fd, piece)
    if done != len(piece):
        view = memoryview(piece)[done:]
        while view:
            view = view[os.write(fd, view) :]


def allowed_attribute(key: bytes) -> bool:
    """Whether an archive may set it: never what overlayfs or a security module reads as an order."""
    if key.startswith(b"user."):
        return not key.startswith(b"user.overlay.")
    return key == b"security.capability" or key.startswith(b"system.posix_acl_")


def _set_attribute(target: int | str, key: bytes, value: bytes) -> None:
    if not allowed_attribute(key):
        return
    try:
        os.setxattr(target, key, value)
    except OSError as error:
        # as Docker: a file system without attributes is no reason to fail, nor is a node that may have none
        if error.errno not in _NO_ATTRIBUTES:
            raise
