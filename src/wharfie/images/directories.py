"""The directories an archive writes into, each opened once.

Archives come in order, so most entries share the parent of the one before; a small cache of descriptors saves
the resolution. It is emptied whenever something that may be on the way of a path is replaced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from wharfie.images import tar
from wharfie.images.tar import BadArchive
from wharfie.linux import path as paths

_STRAIGHT = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_CACHED = 64


def clean(name: bytes) -> bytes:
    """A name relative to the root, without ``.``, ``..`` and empty parts; empty for the root itself.

    Raises:
        BadArchive: it climbs out of the root.
    """
    if name and name[0] != 47 and b"/." not in name and b"//" not in name and name[0] != 46:
        return name.rstrip(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                shown = tar.shown(name)
                raise BadArchive(f'the archive has a name that leads out of its directory: "{shown}"')
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


class DirectoryCache:
    """Directories below ``root``; missing ones are made, for ``owner`` if one is given."""

    def __init__(
        self, root: int, owner: tuple[int, int] | None, made: Callable[[], None], *, real: bool
    ) -> None:
        """``made``: called before each directory that is made.

        ``real``: tell each path with the links on its way resolved (only where nobody else renames).
        """
        self._root = root
        self._owner = owner
        self._made = made
        self._wants_real = real
        self._stale = False
        self._prefix: bytes | None = None
        self._open: dict[bytes, tuple[int, bytes]] = {}

    def open(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor that stays the cache's, and the directory's path."""
        if self._stale:
            self.close()
            self._stale = False
        if not path:
            return self._root, b""
        found = self._open.get(path)
        if found is None:
            if len(self._open) >= _CACHED:
                self.close()
            found = self._resolve(path)
            self._open[path] = found
        return found

    def open_existing(self, path: bytes) -> int:
        """A descriptor of the caller's; raises FileNotFoundError rather than make anything."""
        return paths.open_in_root(self._root, path or b".", _DIRECTORY)

    def forget(self) -> None:
        """Resolve anew from the next :meth:`open` on, because something on the way is replaced."""
        self._stale = True

    def close(self) -> None:
        """Close all descriptors."""
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()

    def _resolve(self, path: bytes) -> tuple[int, bytes]:
        try:
            return paths.openat2(self._root, path, _DIRECTORY, _STRAIGHT), path
        except FileNotFoundError:
            return self._make(path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        try:
            fd = paths.open_in_root(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            return self._make(path)
        return fd, self._real(fd) if self._wants_real else path

    def _real(self, fd: int) -> bytes:
        """Where an open directory is, seen from the root."""
        if self._prefix is None:
            self._prefix = os.readlink(b"/proc/self/fd/%d" % self._root).rstrip(b"/") + b"/"
        return os.readlink(b"/proc/self/fd/%d" % fd)[len(self._prefix) :]

    def _make(self, path: bytes) -> tuple[int, bytes]:
        """What is missing of a path, each name in the directory before it: no way is gone twice."""
        above, _, name = path.rpartition(b"/")
        try:
            fd = paths.openat2(self._root, above or b".", _DIRECTORY, _STRAIGHT)
            way, real, names = above, above, [name]
        except OSError:
            fd, way, real, names = os.dup(self._root), b"", b"", path.split(b"/")
        try:
            for name in names:
                way = way + b"/" + name if way else name
                child, link = self._step(fd, name, way)
                os.close(fd)
                fd = child
                real = real + b"/" + name if real else name
                real = self._real(fd) if link and self._wants_real else real
        except BaseException:
            os.close(fd)
            raise
        return fd, real if self._wants_real else path

    def _step(self, parent: int, name: bytes, way: bytes) -> tuple[int, bool]:
        """A directory in another, made if it is missing; and whether a link leads to it."""
        try:
            return paths.openat2(parent, name, _DIRECTORY, _STRAIGHT), False
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            try:
                return paths.open_in_root(self._root, way, _DIRECTORY), True
            except FileNotFoundError:
                shown = tar.shown(way)
                raise BadArchive(f'the archive has an entry below "{shown}", which is no directory') from None
        self._made()
        os.mkdir(name, 0o755, dir_fd=parent)
        fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", 0o755)
            if self._owner is not None:
                os.chown(f"/proc/self/fd/{fd}", *self._owner)
        except BaseException:
            os.close(fd)
            raise
        return fd, False
