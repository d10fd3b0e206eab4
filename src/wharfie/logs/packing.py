"""Compresses the older parts of a log, beside the monitor that writes and rotates it.

Compressing takes as long as it takes; only while the new file takes its name the names are locked, and a
monitor that wants to rotate then does so with its next chunk. By then rotation may have given the part
another name, or removed it: it is known by its inode. Killed at any step nothing is lost: the part is there
as it was, or in both forms, and the next look finishes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from wharfie.logs.jsonfile import lock_names
from wharfie.logs.packed import pack
from wharfie.logs.parts import PARTS_LIMIT

Wanted = Callable[[], int]
"""The number from which on parts may be compressed, asked for anew each time."""


def pack_parts(path: str, first: Wanted) -> None:
    """Compress each part of the log at ``path`` that is not yet. Raises OSError."""
    while (number := _next(path, first())) is not None:
        try:
            source = os.open(f"{path}.{number}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # rotated meanwhile
        try:
            _pack(path, source)
        finally:
            os.close(source)


def number_of(path: str, inode: int) -> int | None:
    """Which part of the log has this inode now; 0 is the one that is written to."""
    missing = 0
    for number in range(PARTS_LIMIT):
        try:
            if os.stat(f"{path}.{number}" if number else path).st_ino == inode:
                return number
            missing = 0
        except FileNotFoundError:
            if os.path.exists(f"{path}.{number}.gz"):
                continue
            missing += 1
            if missing > 1:
                break
    return None


def _next(path: str, first: int) -> int | None:
    """The newest part that is plain: it will be there longest."""
    missing = 0
    for number in range(max(first, 1), PARTS_LIMIT):
        if os.path.exists(f"{path}.{number}"):
            return number
        missing = 0 if os.path.exists(f"{path}.{number}.gz") else missing + 1
        if missing > 1:
            break
    return None


def _pack(path: str, source: int) -> None:
    beside = f"{path}.packing"
    inode = os.fstat(source).st_ino
    target = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        try:
            pack(source, target)
            # the part is removed next: a power cut must not find both empty
            os.fsync(target)
        finally:
            os.close(target)
        names = lock_names(path)
        try:
            number = number_of(path, inode)
            if number:
                os.rename(beside, f"{path}.{number}.gz")
                os.unlink(f"{path}.{number}")
        finally:
            os.close(names)
    finally:
        try:
            os.unlink(beside)
        except FileNotFoundError:
            pass  # it has its name
