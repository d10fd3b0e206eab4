"""The files of one log, oldest first, and where in them a reader has to begin.

``path`` is written to, ``path.1`` was before it, and so on. A file is known by its inode, for rotation
renames it under its readers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from wharfie.logs.decode import time_of_line

BLOCK = 256 * 1024
_NEAR = 64 * 1024
PARTS_LIMIT = 1000


class Part:
    """One open file of the log."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        found = os.fstat(fd)
        self.inode = (found.st_dev, found.st_ino)

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

    def offset_of_time(self, time_ns: int) -> int:
        """An entry shortly before the first one of that time or later, found by bisection."""
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

    def offset_of_last(self, lines: int) -> tuple[int, int]:
        """Where the last ``lines`` entries begin, and how many there are if fewer."""
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


def open_parts(path: str) -> list[Part]:
    """All files of the log that are there, oldest first."""
    parts: list[Part] = []
    seen: set[tuple[int, int]] = set()
    # the newest first: one that a rotation moves meanwhile is met twice rather than never
    for number in range(PARTS_LIMIT):
        try:
            fd = os.open(f"{path}.{number}" if number else path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if number:
                break
            continue
        part = Part(fd)
        if part.inode in seen:
            part.close()
            continue
        seen.add(part.inode)
        parts.append(part)
    parts.reverse()
    return parts


def newer_parts(path: str, than: Part) -> list[Part]:
    """The files after ``than``, oldest first; all there are if it was removed meanwhile."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return []
    if (found.st_dev, found.st_ino) == than.inode:
        return []
    parts = open_parts(path)
    inodes = [part.inode for part in parts]
    if than.inode in inodes:
        known = inodes.index(than.inode) + 1
        for part in parts[:known]:
            part.close()
        parts = parts[known:]
    return parts


def begin_at_tail(parts: list[Part], lines: int) -> tuple[int, int]:
    """The (index, offset) where the last ``lines`` entries of the whole log begin."""
    for index in range(len(parts) - 1, -1, -1):
        offset, found = parts[index].offset_of_last(lines)
        if found >= lines:
            return index, offset
        lines -= found
    return 0, 0
