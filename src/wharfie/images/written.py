"""What a container has written into its upper directory: ``diff``, sizes, and a commit's layer.

Some of what is there the engine put there itself: places to mount its own files on, and the marks of Docker
that programs look for. Docker keeps these in a layer of their own below the container's; here they are told
from the container's by what they are, empty and at a known place, and left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from wharfie.images import whiteout
from wharfie.linux import path as paths
from wharfie.support.trees import walk

MODIFIED, ADDED, DELETED = 0, 1, 2

_MARK = b"/.dockerenv"
_MOUNT_TABLE = b"/etc/mtab"
_FILES = (_MARK, b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf", b"/dev/console")
_DIRECTORIES = (b"/dev/pts", b"/dev/shm", b"/dev", b"/proc", b"/sys", b"/etc")


def furnish(upper: str, lower: Sequence[str]) -> None:
    """Put Docker's marks into a new upper directory: ``/.dockerenv``, ``/etc/mtab`` where there is none."""
    below = Below(lower)
    try:
        if below.find(_MARK) is None:
            os.close(os.open(upper.encode() + _MARK, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755))
        etc = below.find(b"/etc")
        if etc is None or not stat.S_ISDIR(etc.st_mode) or below.find(_MOUNT_TABLE) is not None:
            return
        directory = upper.encode() + b"/etc"
        os.mkdir(directory, 0o700)
        os.symlink(b"/proc/mounts", upper.encode() + _MOUNT_TABLE)
        os.chown(directory, etc.st_uid, etc.st_gid)
        os.chmod(directory, stat.S_IMODE(etc.st_mode))
        os.utime(directory, ns=(etc.st_atime_ns, etc.st_mtime_ns))
    finally:
        below.close()


def of_engine(lower: Sequence[str], upper: str) -> frozenset[bytes]:
    """The absolute paths in an upper directory that the engine made and the container left as they were."""
    below, top = Below(lower), Below([upper])
    found: set[bytes] = set()
    try:
        for path in (*_FILES, _MOUNT_TABLE):
            status = top.find(path)
            if status is not None and _is_stub(path, status, upper) and below.find(path) is None:
                found.add(path)
        for path in _DIRECTORIES:
            status = top.find(path)
            if status is None or not stat.S_ISDIR(status.st_mode) or top.is_opaque(path):
                continue
            names = os.listdir(upper.encode() + path)
            if all(path + b"/" + name in found for name in names):
                old = below.find(path)
                if _like(status, old) if old is not None else _like(status, None):
                    found.add(path)
    finally:
        below.close()
        top.close()
    return frozenset(found)


def _is_stub(path: bytes, status: os.stat_result, upper: str) -> bool:
    if path == _MOUNT_TABLE:
        return stat.S_ISLNK(status.st_mode) and os.readlink(upper.encode() + path) == b"/proc/mounts"
    return stat.S_ISREG(status.st_mode) and not status.st_size and status.st_nlink == 1


def _like(new: os.stat_result, old: os.stat_result | None) -> bool:
    """Whether a directory has the mode and owner it had below, or those of one that a mount needed."""
    wanted = (old.st_mode, old.st_uid, old.st_gid) if old is not None else (stat.S_IFDIR | 0o755, 0, 0)
    return (new.st_mode, new.st_uid, new.st_gid) == wanted


def changes(lower: Sequence[str], upper: str) -> list[tuple[int, str]]:
    """What a container changed: kind and absolute path, in order, as ``docker diff`` tells it."""
    own = of_engine(lower, upper)
    below = Below(lower)
    found: list[tuple[int, str]] = []
    try:
        for path, status in walk(upper):
            shown = os.fsdecode(path)
            if path in own:
                continue
            if whiteout.is_mark(status):
                found.append((DELETED, shown))
            elif below.find(path) is None:
                found.append((ADDED, shown))
            else:
                # a directory is in the upper layer also because something in it changed
                found.append((MODIFIED, shown))
    finally:
        below.close()
    return found


def size(upper: str) -> int:
    """Bytes of the files a container has written."""
    total = 0
    seen: set[int] = set()
    for path, found in walk(upper):
        if path in (*_FILES, _MOUNT_TABLE) and _is_stub(path, found, upper):
            continue
        if not stat.S_ISDIR(found.st_mode) and found.st_ino not in seen:
            if found.st_nlink > 1:
                seen.add(found.st_ino)
            total += found.st_size
    return total


class Below:
    """Looks names up in a stack of layers, as overlayfs does."""

    def __init__(self, lower: Sequence[str]) -> None:
        self._layers = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lower]

    def find(self, path: bytes) -> os.stat_result | None:
        """What the layers together have at ``path``."""
        relative = path.lstrip(b"/")
        for layer in self._layers:
            hidden = False
            parts = relative.split(b"/")
            for depth in range(1, len(parts) + 1):
                try:
                    fd = paths.openat2(
                        layer,
                        b"/".join(parts[:depth]),
                        os.O_PATH | os.O_NOFOLLOW,
                        paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
                        if depth < len(parts)
                        else paths.RESOLVE_BENEATH,
                    )
                except OSError:
                    break
                try:
                    status = os.fstat(fd)
                    if whiteout.is_mark(status):
                        return None
                    if depth == len(parts):
                        return status
                    if not stat.S_ISDIR(status.st_mode):
                        return None
                    hidden = hidden or whiteout.is_opaque(fd)
                finally:
                    os.close(fd)
            if hidden:
                return None
        return None

    def is_opaque(self, path: bytes) -> bool:
        """Whether the topmost layer's directory at ``path`` hides what is below it."""
        fd = paths.openat2(
            self._layers[0], path.lstrip(b"/"), os.O_PATH | os.O_DIRECTORY, paths.RESOLVE_BENEATH
        )
        try:
            return whiteout.is_opaque(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the layers."""
        for fd in self._layers:
            os.close(fd)
