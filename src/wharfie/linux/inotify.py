"""Notice of changes to files (inotify(7)).

A user has few instances (128 by default), so a process makes one and shares it; watches are plenty.
"""

from __future__ import annotations

import posix as os
import struct

from wharfie.linux.libc import Int, String, UInt, cstring, failure, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MODIFY = 0x2
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000

_init = function("inotify_init1", Int)
_add = function("inotify_add_watch", Int, String, UInt)
_remove = function("inotify_rm_watch", Int, Int)
_EVENT = struct.Struct("=iIII")


def inotify_init() -> int:
    """A new instance: a non-blocking, close-on-exec descriptor. Raises OSError (EMFILE: too many)."""
    fd = _init(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise failure()
    return fd


def inotify_add_watch(fd: int, path: str | bytes, mask: int) -> int:
    """Watch ``path``; the same watch again for a file that is watched already."""
    watch = _add(fd, cstring(path), mask)
    if watch < 0:
        raise failure(path)
    return watch


def inotify_rm_watch(fd: int, watch: int) -> None:
    """End a watch; raises OSError when the kernel has ended it before."""
    if _remove(fd, watch) < 0:
        raise failure()


def read_events(fd: int) -> Iterator[tuple[int, int, bytes]]:
    """What happened since: (watch, mask, name in a watched directory); nothing if there is nothing."""
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return
    at = 0
    while at < len(data):
        watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield watch, mask, data[at : at + length].rstrip(b"\0")
        at += length
