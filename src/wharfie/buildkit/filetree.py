"""A directory of ours that is made to be what a client lists: files that are the same stay.

The list comes in the order of a walk, each directory before what is in it, names sorted. Nothing in it is
believed: a path is relative, clean, listed once and behind its directory; whatever is written is opened below
the root without following any link (openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), and new.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import Any

from wharfie.errors import InvalidArgument
from wharfie.linux import path as paths

ENTRIES = 2_000_000
_NAME, _PATH = 255, 4096
_BELOW = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
# bits of Go's os.FileMode, as they travel
_DIRECTORY, _LINK, _DEVICE, _PIPE, _SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_SETUID, _SETGID, _STICKY, _IRREGULAR = 1 << 23, 1 << 22, 1 << 20, 1 << 19
_KIND = _DIRECTORY | _LINK | _DEVICE | _PIPE | _SOCKET | _IRREGULAR


class BadListing(InvalidArgument):
    """What a client lists or sends is no tree of files."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file, as its client describes it."""

    mode: int
    size: int
    modified: int
    link: bytes
    attributes: tuple[tuple[str, bytes], ...] = ()

    @property
    def directory(self) -> bool:
        """Whether it holds others."""
        return self.mode & _KIND == _DIRECTORY

    @property
    def symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode & _KIND == _LINK

    @property
    def pipe(self) -> bool:
        """Whether it is a FIFO."""
        return self.mode & _KIND == _PIPE

    @property
    def content(self) -> bool:
        """Whether it has bytes of its own: a regular file that is no further name of another."""
        return not self.mode & _KIND and not self.link

    @property
    def further(self) -> bool:
        """Whether it is a further name of a file."""
        return not self.mode & _KIND and bool(self.link)

    @property
    def permissions(self) -> int:
        """As chmod(2) has them."""
        found = self.mode & 0o777
        for bit, value in ((_SETUID, stat.S_ISUID), (_SETGID, stat.S_ISGID), (_STICKY, stat.S_ISVTX)):
            found |= value if self.mode & bit else 0
        return found


Listing = dict[bytes, Item]


class Reader:
    """Reads a list, entry by entry."""

    def __init__(self) -> None:
        self.listing: Listing = {}

    def add(self, entry: Any) -> tuple[bytes, Item] | None:
        """One entry; None for what is left out. Raises BadListing."""
        path = bytes(entry.path)
        item = Item(
            entry.mode, entry.size, entry.modified, bytes(entry.link),
            tuple(sorted((name, bytes(value)) for name, value in entry.attributes.items() if _wanted(name))),
        )  # fmt: skip
        self._check(path)
        kind = item.mode & _KIND
        if kind & _DEVICE:
            raise BadListing(f"{_text(path)}: device nodes cannot be sent")
        if kind & (_SOCKET | _IRREGULAR):
            return None
        if item.further:
            other = self.listing.get(item.link)
            if other is None:
                item = replace(item, link=b"")  # that name is left out: the bytes are sent by this one
            elif not other.content:
                raise BadListing(f"{_text(path)} is a further name of {_text(item.link)}, which is no file")
        if len(self.listing) >= ENTRIES:
            raise BadListing(f"more than {ENTRIES} files cannot be sent")
        self.listing[path] = item
        return path, item

    def _check(self, path: bytes) -> None:
        parts = path.split(b"/")
        if len(path) > _PATH or any(part in (b"", b".", b"..") or len(part) > _NAME for part in parts):
            raise BadListing(f"{_text(path)} is no path of a file below a directory")
        if b"\0" in path or path in self.listing:
            raise BadListing(f"{_text(path)} cannot be listed")
        above = self.listing.get(path.rpartition(b"/")[0])
        if len(parts) > 1 and (above is None or not above.directory):
            raise BadListing(f"{_text(path)} is listed without its directory")


class Tree:
    """The directory; all methods are for a thread."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._above: tuple[bytes, int] | None = None

    def close(self) -> None:
        """Let go of it."""
        self._leave()
        os.close(self._root)

    def arrange(self, new: Listing, old: Listing) -> None:
        """All but content and further names: what is gone goes, directories, links and pipes come.

        ``old``: what is here.
        """
        for path in reversed(old):
            if new.get(path) != old[path] and not (
                path in new and new[path].directory and old[path].directory
            ):
                self._remove(path, old[path])
        for path, item in new.items():
            if old.get(path) == item:
                continue
            parent, name = self._parent(path)
            if item.directory:
                if not _both_directories(path, new, old):
                    os.mkdir(name, 0o700, dir_fd=parent)
            elif item.symlink:
                os.symlink(item.link, name, dir_fd=parent)
                self._described(parent, name, item)
            elif item.pipe:
                os.mkfifo(name, item.permissions, dir_fd=parent)
                os.chmod(name, item.permissions, dir_fd=parent)  # whatever umask(2) says
                self._described(parent, name, item)
        self._leave()

    def create(self, path: bytes) -> int:
        """A new file, to be written."""
        parent, name = self._parent(path)
        return os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
        )

    def finish(self, fd: int, item: Item) -> None:
        """It is written."""
        try:
            os.fchmod(fd, item.permissions)
            for name, value in item.attributes:
                try:
                    os.setxattr(fd, name, value)
                except OSError:
                    continue  # this file system, or kernel, has no such attribute
            os.utime(fd, ns=(item.modified, item.modified))
        finally:
            os.close(fd)

    def complete(self, new: Listing, old: Listing) -> None:
        """Further names, then modes and times of directories, the deepest first."""
        for path, item in new.items():
            if item.further and (old.get(path) != item or old.get(item.link) != new[item.link]):
                if path in old and old[path] == item:
                    self._remove(path, item)
                self._link(path, item.link)
        for path in reversed(new):
            item = new[path]
            if item.directory:
                parent, name = self._parent(path)
                os.chmod(name, item.permissions, dir_fd=parent)
                self._described(parent, name, item)
        self._leave()

    def _link(self, path: bytes, first: bytes) -> None:
        above, old = os.path.split(first)
        source = paths.openat2(self._root, above or b".", os.O_PATH | os.O_DIRECTORY, _BELOW)
        try:
            parent, name = self._parent(path)
            os.link(old, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _described(self, parent: int, name: bytes, item: Item) -> None:
        os.utime(name, ns=(item.modified, item.modified), dir_fd=parent, follow_symlinks=False)

    def _remove(self, path: bytes, item: Item) -> None:
        parent, name = self._parent(path)
        if item.directory:
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        above, _, name = path.rpartition(b"/")
        if not above:
            return self._root, name
        if self._above is None or self._above[0] != above:
            self._leave()
            # O_RDONLY would need the directory to be readable by its mode: as root it always is
            self._above = (above, paths.openat2(self._root, above, os.O_PATH | os.O_DIRECTORY, _BELOW))
        return self._above[1], name

    def _leave(self) -> None:
        if self._above is not None:
            os.close(self._above[1])
            self._above = None


def _both_directories(path: bytes, new: Listing, old: Listing) -> bool:
    return path in old and path in new and old[path].directory and new[path].directory


def _wanted(name: str) -> bool:
    return name.startswith("user.") or name == "security.capability"


def _text(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
