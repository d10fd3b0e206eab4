"""The files of one log, oldest first, and where in them a reader has to begin.

``path`` is written to, ``path.1`` was before it, and so on; older ones may be compressed (``path.1.gz``). A
file is known by its inode, for rotation renames it under its readers.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

from wharfie.logs.decode import time_of_line
from wharfie.logs.packed import Origin, PackedPart, origin_of

BLOCK = 256 * 1024
_NEAR = 64 * 1024
PARTS_LIMIT = 1000


class PlainPart:
    """One open file of the log."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.inode = os.fstat(fd).st_ino

    @property
    def origin(self) -> Origin | None:
        """What tells it from others, once nobody writes to it."""
        return origin_of(self.fd)

    def size(self) -> int:
        """Its length now."""
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def blocks(self, offset: int, size: int = BLOCK) -> Iterator[tuple[bytes, int]]:
        """Whole entries from ``offset`` on, as (block, offset behind it); without a torn last line."""
        length = size
        while True:
            block = os.pread(self.fd, length, offset)
            end = block.rfind(b"\n") + 1
            if end:
                offset += end
                length = size
                yield block[:end], offset
            elif len(block) == length:
                length *= 2
            else:
                return

    def offset_of_time(self, time_ns: int) -> Generator[bytes, None, int]:
        """An entry shortly before the first one of that time or later, found by bisection, at once."""
        yield from ()
        low, high = 0, self.size()
        while high - low > _NEAR:
            middle = (low + high) // 2
            start, line = self._entry_after(middle, high)
            found = time_of_line(line) if line else None
            if found is None or found >= time_ns:
                high = middle
            else:
                low = start
        return low

    def _entry_after(self, offset: int, limit: int) -> tuple[int, bytes]:
        text = os.pread(self.fd, min(limit - offset, 1 << 20), offset)
        start = text.find(b"\n") + 1
        end = text.find(b"\n", start) + 1
        return (offset + start, text[start:end]) if start and end else (limit, b"")

    def offset_of_last(self, lines: int) -> Generator[bytes, None, tuple[int, int]]:
        """Where the last ``lines`` entries begin, and how many there are if fewer; found at once."""
        yield from ()
        end = self.size()
        found = 0
        while end > 0:
            start = max(0, end - _NEAR)
            text = os.pread(self.fd, end - start, start)
            at = len(text)
            # the newline that ends the last entry does not begin another
            while (at := text.rfind(b"\n", 0, at)) >= 0:
                if found == lines:
                    return start + at + 1, lines
                found += 1
            end = start
        return 0, found


Part = PlainPart | PackedPart


def open_parts(path: str) -> list[Part]:
    """All files of the log that are there, oldest first."""
    parts: list[Part] = []
    missing = 0
    # the newest first: one that a rotation moves meanwhile is met twice rather than never
    for number in range(PARTS_LIMIT):
        part = _opened(path, number)
        if part is None:
            # a monitor that was killed while it renamed them leaves one name out
            missing += number > 0
            if missing > 1:
                break
        elif any(_same(part, known) for known in parts):
            part.close()
        else:
            missing = 0
            parts.append(part)
    parts.reverse()
    return parts


def _opened(path: str, number: int) -> Part | None:
    # while one takes the other's place both are there: the plain one first, then the other is surely there
    for suffix in ("", ".gz") if number else ("",):
        try:
            fd = os.open(f"{path}.{number}{suffix}" if number else path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        return PackedPart(fd) if suffix else PlainPart(fd)
    return None


def _same(one: Part, other: Part) -> bool:
    """Whether both hold the same entries."""
    if isinstance(one, PlainPart) and isinstance(other, PlainPart):
        return one.inode == other.inode
    return one.origin is not None and one.origin == other.origin


def newer_parts(path: str, than: Part) -> list[Part]:
    """The files after ``than``, oldest first; all there are if it was removed meanwhile."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return []
    if isinstance(than, PlainPart) and found.st_ino == than.inode:
        return []
    parts = open_parts(path)
    known = max((index for index, part in enumerate(parts) if _same(part, than)), default=-1) + 1
    for part in parts[:known]:
        part.close()
    return parts[known:]


def begin_at_tail(parts: list[Part], lines: int) -> Generator[bytes, None, tuple[int, int]]:
    """The (index, offset) where the last ``lines`` entries of the whole log begin; yields while it takes."""
    for index in range(len(parts) - 1, -1, -1):
        offset, found = yield from parts[index].offset_of_last(lines)
        if found >= lines:
            return index, offset
        lines -= found
    return 0, 0
