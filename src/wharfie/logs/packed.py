"""An older part of a log, compressed: written once, and read in order only.

A gzip file as Docker names it (``path.1.gz``). Which file it was made of is in the header's comment (RFC
1952, FCOMMENT), with its length and the time of its last entry: a reader that has the plain file open goes on
behind it, and one that wants later entries does not look inside.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from typing import NamedTuple

from wharfie.logs.decode import time_of_line
from wharfie.support.flate import flate

BLOCK = 256 * 1024
_LEVEL = 2
_HEAD = b"\x1f\x8b\x08\x10" + bytes(4) + b"\x00\x03"
_HEAD_LIMIT = 512
_GZIP = 16 + 15
"""Window bits of a whole gzip file; negative for deflate alone."""


class Origin(NamedTuple):
    """A file that nobody writes to any more: the number alone is soon another file's."""

    inode: int
    modified_ns: int
    size: int


def origin_of(fd: int) -> Origin:
    """Of an open plain file."""
    found = os.fstat(fd)
    return Origin(found.st_ino, found.st_mtime_ns, found.st_size)


def pack(source: int, target: int) -> None:
    """Write what is in the file ``source``, which nobody writes to any more. Raises OSError."""
    last = _last_time(source)
    comment = " ".join(map(str, (*origin_of(source), last))).encode()
    _write(target, _HEAD + comment + b"\0")
    deflate = flate.compressobj(_LEVEL, 8, -15)
    check = offset = 0
    while data := os.pread(source, BLOCK, offset):
        offset += len(data)
        check = flate.crc32(data, check)
        _write(target, deflate.compress(data))
    _write(target, deflate.flush() + struct.pack("<LL", check & 0xFFFFFFFF, offset & 0xFFFFFFFF))


def _last_time(source: int) -> int:
    size = os.fstat(source).st_size
    lines = os.pread(source, BLOCK, max(0, size - BLOCK)).splitlines()
    return (time_of_line(lines[-1]) or 0) if lines else 0


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class PackedPart:
    """One such file, open; it has the interface of a plain part. Offsets are those of the plain text."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.origin: Origin | None = None
        """What it was made of, where its maker says so."""
        self._length = self._last_ns = -1
        head = os.pread(fd, _HEAD_LIMIT, 0)
        if head.startswith(_HEAD):
            words = head[len(_HEAD) :].partition(b"\0")[0].split()
            if len(words) == 4 and all(word.isdigit() for word in words):
                self.origin = Origin(*map(int, words[:3]))
                self._length, self._last_ns = self.origin.size, int(words[3])

    def size(self) -> int:
        """Its length, which never changes; more than any where it is not known."""
        return self._length if self._length >= 0 else 1 << 62

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def blocks(self, offset: int, size: int = BLOCK) -> Iterator[tuple[bytes, int]]:
        """Whole entries from ``offset`` on, as (block, offset behind it); without a torn last line."""
        if 0 <= self._length <= offset:
            return
        rest, at = b"", 0
        for piece in self._pieces(size):
            at += len(piece)
            if at <= offset:
                continue
            rest += piece[max(0, offset - (at - len(piece))) :]
            end = rest.rfind(b"\n") + 1
            if end:
                yield rest[:end], at - len(rest) + end
                rest = rest[end:]
        self._length = at

    def _pieces(self, size: int) -> Iterator[bytes]:
        """The plain text, piece by piece; up to where it is broken."""
        inflate = flate.decompressobj(_GZIP)
        waiting, offset = b"", 0
        while not inflate.eof:
            if not waiting:
                waiting = os.pread(self.fd, BLOCK, offset)
                offset += len(waiting)
            try:
                piece = inflate.decompress(waiting, size)
            except flate.error:
                return
            waiting = inflate.unconsumed_tail
            if piece:
                yield piece
            elif not waiting and offset >= os.fstat(self.fd).st_size:
                return

    def offset_of_time(self, time_ns: int) -> Generator[bytes, None, int]:
        """An entry shortly before the first one of that time or later; yields between two blocks."""
        if 0 < self._last_ns < time_ns:
            return self._length
        before = 0
        for block, end in self.blocks(0):
            found = time_of_line(block[: block.find(b"\n") + 1])
            if found is not None and found >= time_ns:
                break
            before = end - len(block)
            yield b""
        return before

    def offset_of_last(self, lines: int) -> Generator[bytes, None, tuple[int, int]]:
        """Where the last ``lines`` entries begin, and how many there are if fewer; yields between blocks."""
        total = 0
        for block, _ in self.blocks(0):
            total += block.count(b"\n")
            yield b""
        skipped = total - lines
        if skipped <= 0:
            return 0, total
        for block, end in self.blocks(0):
            count = block.count(b"\n")
            if count >= skipped:
                at = 0
                for _ in range(skipped):
                    at = block.find(b"\n", at) + 1
                return end - len(block) + at, lines
            skipped -= count
            yield b""
        return 0, total
