"""Walking down a tree of directories, however deep it is, with few descriptors and no recursion.

A container can nest directories thousands deep, past PATH_MAX, past any recursion limit and past the number
of files a process may open. So a walk holds the descriptors of its lowest :data:`KEPT` levels only; the way
back to a level above those is ``..``, which is believed only if it is the very directory that was left
(somebody may move directories meanwhile).
"""

from __future__ import annotations

import _stat as stat
import errno
import posix as os

from wharfie.support import paths

KEPT = 32
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Descent:
    """A place in a tree: ``fd`` is the directory we are in. To be closed, wherever it is."""

    __slots__ = ("_above", "fd")

    def __init__(self, fd: int) -> None:
        """Begin in the open directory ``fd``, which this object takes."""
        self.fd = fd
        self._above: list[tuple[int, int, int]] = []
        """Descriptor (-1: closed), device and inode of the directories on the way here."""

    def enter(self, name: str | bytes) -> None:
        """Go down, never through a link; raises OSError, and then stays."""
        child = os.open(name, OPEN, dir_fd=self.fd)
        here = os.fstat(self.fd)
        self._above.append((self.fd, here.st_dev, here.st_ino))
        self.fd = child
        if len(self._above) > KEPT:
            fd, device, inode = self._above[-KEPT - 1]
            if fd >= 0:
                self._above[-KEPT - 1] = (-1, device, inode)
                os.close(fd)

    def leave(self) -> None:
        """Go back up; raises OSError (ESTALE) when the way up leads elsewhere by now."""
        fd, device, inode = self._above[-1]
        if fd < 0:
            fd = os.open("..", OPEN, dir_fd=self.fd)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != (device, inode):
                os.close(fd)
                raise OSError(errno.ESTALE, "a directory was moved while the tree was walked")
        del self._above[-1]
        os.close(self.fd)
        self.fd = fd

    def close(self) -> None:
        """Close all descriptors."""
        for fd in (self.fd, *(level[0] for level in self._above)):
            if fd >= 0:
                os.close(fd)
        self.fd, self._above = -1, []


def names(fd: int) -> list[bytes]:
    """The names in a directory, the last one first: to be popped in the order of their bytes."""
    return sorted(map(paths.fsencode, os.listdir(fd)), reverse=True)


def walk(top: str) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything below ``top`` in order, with its path from there on, no link followed.

    What vanishes meanwhile is left out. Raises OSError for ``top`` itself, and as :meth:`Descent.leave`.
    """
    descent = Descent(os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    prefix = b"/"
    levels = [(0, names(descent.fd))]
    try:
        while levels:
            length, left = levels[-1]
            if not left:
                levels.pop()
                prefix = prefix[:length]
                if levels:
                    descent.leave()
                continue
            name = left.pop()
            try:
                found = os.stat(name, dir_fd=descent.fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield prefix + name, found
            if stat.S_ISDIR(found.st_mode):
                try:
                    descent.enter(name)
                except OSError:
                    continue
                levels.append((len(prefix), names(descent.fd)))
                prefix += name + b"/"
    finally:
        descent.close()
