"""``COPY``: files go from one root into another, both known by descriptors, as Docker lays them out.

A source that is a directory gives its content; a file goes to the destination, or into it if that is a
directory (it ends with a slash, exists as one, or there are several sources). What is made on the way belongs
to root, or to ``--chown``. Names of one file in a directory stay names of one file.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from dataclasses import dataclass

from wharfie.build.content import Excluded, Found, entries
from wharfie.build.errors import BuildFailed
from wharfie.images.unpack import allowed_attribute
from wharfie.linux import path as paths
from wharfie.support.faults import point

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 24
_SMALL = 1 << 17


@dataclass(frozen=True, slots=True)
class Manner:
    """How files arrive."""

    owner: tuple[int, int] | None = None
    """None: as in the source; what is made on the way is root's."""
    mode: Mode | None = None
    latest: int | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """``--chmod``: a number, or changes like ``u+x,go-w``."""

    text: str

    def apply(self, mode: int, *, directory: bool) -> int:
        """The mode that follows; raises BuildFailed."""
        if self.text and all(char in "01234567" for char in self.text) and int(self.text, 8) <= 0o7777:
            return int(self.text, 8)
        for change in self.text.split(","):
            mode = _changed(mode, change, directory, self.text)
        return mode


_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


def _changed(mode: int, change: str, directory: bool, whole: str) -> int:
    at = next((index for index, char in enumerate(change) if char in "+-="), -1)
    who, what = change[:at] or "a", change[at + 1 :]
    if at < 0 or set(who) - set(_WHO) or set(what) - {*_WHAT, "X"}:
        raise BuildFailed(
            f"invalid chmod parameter: '{whole}'. it should be octal string and between 0 and 07777"
        )
    bits = 0
    for char in what:
        if char == "X":
            bits |= 0o111 if directory or mode & 0o111 else 0
        else:
            bits |= _WHAT[char]
    mask = 0
    for char in who:
        mask |= _WHO[char]
    bits &= mask
    if change[at] == "+":
        return mode | bits
    if change[at] == "-":
        return mode & ~bits
    return (mode & ~mask) | bits


class Copier:
    """Copies into ``target``, a descriptor of a root directory."""

    def __init__(self, target: int, manner: Manner) -> None:
        self._target = target
        self._manner = manner

    def put(self, root: int, found: list[Found], destination: str, excluded: Excluded, *, into: bool) -> None:
        """All sources to the destination; ``into``: that is a directory. Raises OSError, BuildFailed."""
        for item in found:
            if item.directory:
                self._tree(root, item, destination, excluded)
            else:
                name = posixpath.basename(item.path)
                if excluded.hides(name):
                    continue
                inside = into or self._is_directory(destination)
                self._single(root, item.path, posixpath.join(destination, name) if inside else destination)

    def put_with_parents(
        self, root: int, item: Found, pivot: str, destination: str, excluded: Excluded
    ) -> None:
        """``--parents``: the directories of the source, from the pivot on, are made in the destination."""
        kept = posixpath.relpath("/" + item.path, "/" + pivot) if pivot else item.path
        above = posixpath.dirname(kept)
        source = posixpath.dirname(item.path)
        target = posixpath.join(destination, above)
        parts = above.split("/") if above else []
        for depth in range(1, len(parts) + 1):
            origin = "/".join(source.split("/")[: len(source.split("/")) - len(parts) + depth])
            self._mirror(root, origin, posixpath.join(destination, *parts[:depth]))
        if item.directory:
            self._mirror(root, item.path, posixpath.join(destination, kept))
            self._tree(root, item, posixpath.join(destination, kept), excluded)
        elif not excluded.hides(posixpath.basename(item.path)):
            self._single(root, item.path, posixpath.join(target, posixpath.basename(item.path)))

    def write(self, content: bytes, path: str, when: int) -> None:
        """A file of this content."""
        parent, name = self._place(path)
        try:
            fd = _new(parent, name)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(fd, view) :]
                self._dress(fd, 0o644, None, (when, when), self._manner.owner or (0, 0))
            finally:
                os.close(fd)
        finally:
            os.close(parent)

    def make_directory(self, path: str) -> int:
        """The destination as a directory, made if it is missing."""
        try:
            return paths.make_directories(self._target, path, owner=self._manner.owner or (0, 0))
        except (NotADirectoryError, FileExistsError):
            raise BuildFailed(f"cannot copy to non-directory: {path}") from None

    def _is_directory(self, path: str) -> bool:
        try:
            fd = paths.open_in_root(self._target, path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return False
        os.close(fd)
        return True

    def _place(self, path: str) -> tuple[int, bytes]:
        """The directory of a path, and its last name; the last name may be a link inside the root."""
        for _ in range(16):
            parent, name = paths.split_in_root(path)
            if not name:
                raise BuildFailed(f"cannot copy to directory {path}")
            fd = self.make_directory(parent)
            try:
                link = os.readlink(name, dir_fd=fd)
            except OSError:
                return fd, os.fsencode(name)
            os.close(fd)
            path = posixpath.join(parent, link)
        raise BuildFailed(f"too many links at {path}")

    def _mirror(self, root: int, source: str, path: str) -> None:
        """A directory with owner and mode of another."""
        origin = paths.open_in_root(root, source, os.O_RDONLY | os.O_DIRECTORY)
        try:
            existed = self._is_directory(path)
            made = self.make_directory(path)
            try:
                if not existed:
                    self._dress_directory(made, os.fstat(origin))
            finally:
                os.close(made)
        finally:
            os.close(origin)

    def _single(self, root: int, source: str, path: str) -> None:
        try:
            fd = paths.open_regular(root, source)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise BuildFailed(f"cannot copy {source}: it is no regular file") from None
        try:
            parent, name = self._place(path)
            try:
                self._file(fd, parent, name)
            finally:
                os.close(parent)
        finally:
            os.close(fd)

    def _tree(self, root: int, item: Found, destination: str, excluded: Excluded) -> None:
        top = paths.open_in_root(root, item.path or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            existed = self._is_directory(destination)
            base = self.make_directory(destination)
            try:
                times: list[tuple[bytes, int]] = []
                if not existed and destination.strip("/"):
                    self._dress_directory(base, os.fstat(top), top=True)
                    times.append((b"", os.fstat(top).st_mtime_ns))
                self._fill(base, os.dup(top), excluded, times)
                for path, when in reversed(times):
                    self._set_times(base, path, when)
            finally:
                os.close(base)
        finally:
            os.close(top)

    def _fill(self, base: int, top: int, excluded: Excluded, times: list[tuple[bytes, int]]) -> None:
        """All that is below ``top``, which is taken; ``times`` gets directories and their times."""
        here, there = b"", base
        links: dict[tuple[int, int], bytes] = {}
        try:
            for path, directory, name, found in entries(top):
                if excluded.hides(os.fsdecode(path)):
                    continue
                point("a file is copied")
                above = path[: -len(name) - 1] if len(path) > len(name) else b""
                if above != here:
                    if there != base:
                        os.close(there)
                    here, there = b"", base
                    if above:
                        here, there = above, self._below(base, above)
                key = (found.st_dev, found.st_ino)
                if stat.S_ISREG(found.st_mode) and key in links:
                    _clear(there, name)
                    os.link(links[key], name, src_dir_fd=base, dst_dir_fd=there, follow_symlinks=False)
                    continue
                self._entry(directory, name, found, there)
                if stat.S_ISDIR(found.st_mode):
                    times.append((path, found.st_mtime_ns))
                elif found.st_nlink > 1:
                    links[key] = path
        finally:
            if there != base:
                os.close(there)

    def _below(self, base: int, path: bytes) -> int:
        try:
            return paths.openat2(
                base, path, os.O_PATH | os.O_DIRECTORY, paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
            )
        except FileNotFoundError:
            return paths.make_directories(base, os.fsdecode(path), owner=self._manner.owner or (0, 0))

    def _entry(self, source: int, name: bytes, found: os.stat_result, target: int) -> None:
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            _directory(target, name)
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
            try:
                self._dress_directory(fd, found)
            finally:
                os.close(fd)
        elif kind == stat.S_IFREG:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
            try:
                self._file(fd, target, name)
            finally:
                os.close(fd)
        elif kind == stat.S_IFLNK:
            _clear(target, name)
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, *self._owner(found), dir_fd=target, follow_symlinks=False)
            when = self._when(found.st_mtime_ns)
            os.utime(name, ns=(when, when), dir_fd=target, follow_symlinks=False)
        elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK):
            _clear(target, name)
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
            os.chown(name, *self._owner(found), dir_fd=target, follow_symlinks=False)

    def _file(self, source: int, parent: int, name: bytes) -> None:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise BuildFailed(f"cannot copy {os.fsdecode(name)}: it is no regular file")
        fd = _new(parent, name)
        try:
            _content(source, fd, found.st_size)
            times = found.st_atime_ns, found.st_mtime_ns
            self._dress(fd, stat.S_IMODE(found.st_mode), source, times, self._owner(found))
        finally:
            os.close(fd)

    def _owner(self, found: os.stat_result) -> tuple[int, int]:
        return self._manner.owner or (found.st_uid, found.st_gid)

    def _dress(
        self, fd: int, mode: int, source: int | None, times: tuple[int, int], owner: tuple[int, int]
    ) -> None:
        if owner != (0, 0):  # a new file is root's
            os.fchown(fd, *owner)
        if self._manner.mode is not None:
            mode = self._manner.mode.apply(mode, directory=False)
        os.fchmod(fd, mode)
        if source is not None:
            _copy_attributes(source, fd)
        when = self._when(times[1])
        os.utime(fd, ns=(when, when))

    def _dress_directory(self, fd: int, found: os.stat_result, *, top: bool = False) -> None:
        """``top``: it is the destination itself, which ``--chmod`` leaves as it is, as in Docker."""
        mode = stat.S_IMODE(found.st_mode)
        if self._manner.mode is not None and not top:
            mode = self._manner.mode.apply(mode, directory=True)
        name = f"/proc/self/fd/{fd}"
        os.chown(name, *self._owner(found))
        os.chmod(name, mode)

    def _set_times(self, base: int, path: bytes, when: int) -> None:
        when = self._when(when)
        fd = paths.openat2(base, path or b".", os.O_PATH | os.O_DIRECTORY, paths.RESOLVE_BENEATH)
        try:
            os.utime(f"/proc/self/fd/{fd}", ns=(when, when))
        finally:
            os.close(fd)

    def _when(self, when: int) -> int:
        return when if self._manner.latest is None else min(when, self._manner.latest)


def _content(source: int, fd: int, size: int) -> None:
    left = size
    within_kernel = size > _SMALL  # for a small file one read and one write are quicker
    while left > 0:
        if within_kernel:
            try:
                done = os.copy_file_range(source, fd, min(left, _CHUNK))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                within_kernel = False
                continue
        else:
            data = os.read(source, min(left, 1 << 20))
            done = len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        if not done:
            return
        left -= done


def _copy_attributes(source: int, fd: int) -> None:
    for name in os.listxattr(source):
        if allowed_attribute(os.fsencode(name)):
            os.setxattr(fd, name, os.getxattr(source, name))


def _new(parent: int, name: bytes) -> int:
    try:
        return os.open(name, _CREATE, 0o600, dir_fd=parent)
    except FileExistsError:
        _clear(parent, name)
        return os.open(name, _CREATE, 0o600, dir_fd=parent)


def _clear(parent: int, name: bytes) -> None:
    """A file may replace a file or link; never a directory."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        raise BuildFailed(f"cannot copy to directory {os.fsdecode(name)}: a file cannot replace it") from None


def _directory(parent: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise BuildFailed(f"cannot copy to non-directory: {os.fsdecode(name)}") from None
