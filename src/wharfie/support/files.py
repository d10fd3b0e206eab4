"""Files that are whole or not there.

A reader, or a restart after a power cut, sees the old content or the new one: write beside, fsync, rename
(rename(2) is atomic within a directory).
"""

from __future__ import annotations

import posix as os

from wharfie.support import paths, trees
from wharfie.support.ids import random_hex


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def atomic_write(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Put ``data`` at ``path`` in one step.

    ``sync=False`` leaves out the fsync, for files that need not survive a power cut (those on a tmpfs).
    Raises OSError; nothing is left beside ``path`` then.
    """
    temporary = f"{path}.{random_hex(8)}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def unlink(name: str, directory: int) -> None:
    """Remove a file of an open directory; that there is none is no error."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return


def read_file(path: str, limit: int = 1 << 20) -> bytes:
    """The content of a small file; raises OSError, or ValueError when it is longer than ``limit`` bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        left = limit + 1
        while left > 0:
            part = os.read(fd, min(left, 1 << 16))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        if left <= 0:
            raise ValueError(f"{path} is longer than {limit} bytes")
        return b"".join(parts)
    finally:
        os.close(fd)


def remove_tree(path: str) -> None:
    """Remove ``path`` and all below it, never following a link and never leaving the tree.

    Works through directory descriptors, so a name swapped for a link meanwhile cannot lead it astray; any
    depth will do. What is gone already is no error. Raises OSError for the first thing that cannot be
    removed, after having removed all the rest.
    """
    parent, name = paths.split(path.rstrip("/"))
    parent_fd = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    problems: list[OSError] = []
    try:
        if not _unlink(parent_fd, name, problems):
            _empty(parent_fd, name, problems)
            _rmdir(parent_fd, name, problems)
    finally:
        os.close(parent_fd)
    if problems:
        raise problems[0]


def _unlink(at: int, name: str | bytes, problems: list[OSError]) -> bool:
    """Remove what is no directory; False when it is one."""
    try:
        os.unlink(name, dir_fd=at)
    except FileNotFoundError:
        return True
    except OSError as error:
        # unlink(2): a directory gives EISDIR on Linux, EPERM on some file systems
        if isinstance(error, (IsADirectoryError, PermissionError)):
            return False
        problems.append(error)
    return True


def _rmdir(at: int, name: str | bytes, problems: list[OSError]) -> None:
    try:
        os.rmdir(name, dir_fd=at)
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(error)


def _enter(descent: trees.Descent, name: str, problems: list[OSError]) -> bool:
    try:
        descent.enter(name)
    except OSError as error:
        problems.append(error)
        return False
    return True


def _empty(at: int, name: str, problems: list[OSError]) -> None:
    """Remove everything in a directory."""
    try:
        descent = trees.Descent(os.open(name, trees.OPEN, dir_fd=at))
    except OSError as error:
        problems.append(error)
        return
    try:
        way: list[str] = []
        levels = [os.listdir(descent.fd)]
        while True:
            left = levels[-1]
            if left:
                entry = left.pop()
                if not _unlink(descent.fd, entry, problems) and _enter(descent, entry, problems):
                    way.append(entry)
                    levels.append(os.listdir(descent.fd))
                continue
            levels.pop()
            if not levels:
                return
            descent.leave()
            _rmdir(descent.fd, way.pop(), problems)
    except OSError as error:
        problems.append(error)
    finally:
        descent.close()
