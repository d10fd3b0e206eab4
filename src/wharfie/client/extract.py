"""Takes a tar stream that came out of a container apart, never outside the directory it is meant for.

What is in the stream is the container's doing, so nothing in it is believed (the class of CVE-2018-15664):
every name is walked one component at a time from the directory's descriptor with ``O_NOFOLLOW``, so neither
``..`` nor an absolute name nor a link planted by an earlier entry, or by somebody else meanwhile, leads out
of it. See openat(2).
"""

from __future__ import annotations

import os
import stat
import tarfile
from typing import IO

from wharfie.client.errors import BadArchive

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY = 1 << 20


class UnsafeArchive(BadArchive):
    """The stream tries to leave its directory."""


def components(name: str) -> list[str]:
    """A name inside the archive, in parts; raises UnsafeArchive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise UnsafeArchive(f"the archive holds the unsafe name {name!r}: nothing more was extracted")
    return parts


class Extractor:
    """Extracts below one directory; the archive's first component is replaced."""

    def __init__(self, root: int, prefix: list[str], *, owners: bool, whole: bool = False) -> None:
        """``root`` is the directory's descriptor, ``prefix`` what stands for the archive's topmost name.

        An empty prefix puts the topmost directory's contents into ``root``. ``owners`` keeps user and group.
        ``whole``: the names have nothing at their beginning that would be replaced.
        """
        self._root = root
        self._prefix = prefix
        self._owners = owners
        self._strip = 0 if whole else -1
        self._directories: list[tuple[list[str], tarfile.TarInfo]] = []
        self.size = 0

    def run(self, stream: IO[bytes]) -> None:
        """Extract everything; raises UnsafeArchive or BadArchive."""
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_COPY) as archive:
                for entry in archive:
                    self._entry(archive, entry)
        except tarfile.TarError as error:
            raise BadArchive(f"the archive cannot be read: {error}") from None
        # the times of directories last: making files in them changes them
        for path, entry in reversed(self._directories):
            self._finish_directory(path, entry)

    def _place(self, name: str) -> list[str]:
        parts = components(name)
        if self._strip < 0:
            self._strip = min(len(parts), 1)
        return self._prefix + parts[self._strip :]

    def _entry(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = self._place(entry.name)
        if not path:
            return
        parent = self._open(path[:-1])
        try:
            if entry.isdir():
                self._directory(parent, path, entry)
            else:
                self._clear(parent, path)
                self._make(archive, entry, parent, path)
        except OSError as error:
            raise BadArchive(f"cannot extract {'/'.join(path)}: {error.strerror}") from None
        finally:
            os.close(parent)

    def _open(self, path: list[str]) -> int:
        """A descriptor of a directory below the root, made where it is missing."""
        fd = os.dup(self._root)
        for part in path:
            try:
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=fd)
                    below = os.open(part, _DIRECTORY, dir_fd=fd)
            except OSError as error:
                raise UnsafeArchive(f"{'/'.join(path)} leads through {part!r}: {error.strerror}") from None
            finally:
                os.close(fd)
            fd = below
        return fd

    @staticmethod
    def _clear(parent: int, path: list[str]) -> None:
        """Take away what has the name now, so that no link is ever written through."""
        try:
            os.unlink(path[-1], dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            raise BadArchive(f"cannot overwrite directory {'/'.join(path)!r} with non-directory") from None

    def _directory(self, parent: int, path: list[str], entry: tarfile.TarInfo) -> None:
        try:
            # no access for others until its mode is known to be whole
            os.mkdir(path[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(path[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                raise BadArchive(
                    f"cannot overwrite non-directory {'/'.join(path)!r} with directory"
                ) from None
        self._directories.append((path, entry))

    def _finish_directory(self, path: list[str], entry: tarfile.TarInfo) -> None:
        fd = self._open(path)
        try:
            self._attributes(fd, entry)
        finally:
            os.close(fd)

    def _attributes(self, fd: int, entry: tarfile.TarInfo) -> None:
        if self._owners:
            os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode & 0o7777)
        else:
            # set-user-id would mean this user now
            os.fchmod(fd, entry.mode & 0o1777)
        os.utime(fd, (entry.mtime, entry.mtime))

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, path: list[str]) -> None:
        name = path[-1]
        if entry.isreg():
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent)
            try:
                source = archive.extractfile(entry)
                assert source is not None
                while data := source.read(_COPY):
                    self.size += len(data)
                    view = memoryview(data)
                    while view:
                        view = view[os.write(fd, view) :]
                self._attributes(fd, entry)
            finally:
                os.close(fd)
            return
        if entry.islnk():
            target = self._place(entry.linkname)
            directory = self._open(target[:-1])
            try:
                os.link(target[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(directory)
            return
        if entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.isfifo():
            os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
        elif entry.ischr() or entry.isblk():
            kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(
                name, kind | (entry.mode & 0o777), os.makedev(entry.devmajor, entry.devminor), dir_fd=parent
            )
        else:
            raise BadArchive(f"cannot extract {'/'.join(path)}: unknown kind of file")
        if self._owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
