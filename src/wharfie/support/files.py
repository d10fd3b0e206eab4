"""Files that are whole or not there.

A reader, or a restart after a power cut, sees the old content or the new one: write beside, fsync, rename
(rename(2) is atomic within a directory).
"""

from __future__ import annotations

import os

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

    Works through directory descriptors, so a name swapped for a link meanwhile cannot lead it astray.
    What is gone already is no error. Raises OSError for the first thing that cannot be removed, after having
    removed all the rest.
    """
    parent, name = os.path.split(path.rstrip("/"))
    parent_fd = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    problems: list[OSError] = []
    try:
        _remove_at(parent_fd, name, problems)
    finally:
        os.close(parent_fd)
    if problems:
        raise problems[0]


def _remove_at(parent_fd: int, name: str, problems: list[OSError]) -> None:
    try:
        os.unlink(name, dir_fd=parent_fd)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        # unlink(2): a directory gives EISDIR on Linux, EPERM on some file systems
        if not isinstance(error, (IsADirectoryError, PermissionError)):
            problems.append(error)
            return
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    except OSError as error:
        problems.append(error)
        return
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries]
        for child in names:
            _remove_at(fd, child, problems)
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=parent_fd)
    except FileNotFoundError:
        return
    except OSError as error:
        problems.append(error)
