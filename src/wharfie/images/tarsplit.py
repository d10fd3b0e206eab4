"""What a layer's archive holds beside the files' content, kept so that the same bytes can be made again.

A layer is on disk once: its files in ``diff/``, and in ``split`` (zstd) the sequence::

    R length:u32 bytes                        headers, padding, the end of the archive, word for word
    F length:u32 path size:u64                here comes the content of a file of the layer
    D length:u32 path number:u32              the archive overwrote what it had put at this path before: that
                                              is now replaced/<number>, and only the bytes above refer to it

Numbers are big-endian. A file that was overwritten is found by the first ``D`` after its ``F`` that names it
or a directory above it.
"""

from __future__ import annotations

import os
import struct
import sys
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from wharfie.errors import InternalError
from wharfie.linux import path

CHUNK = 1 << 20
_RAW_LIMIT = 1 << 16
_LENGTH = struct.Struct(">cI")
_SIZE = struct.Struct(">Q")
_COUNT = struct.Struct(">I")

Moved = dict[bytes, list[tuple[int, int]]]
"""By path: at which records of ``split`` something there was overwritten, and what it is called since."""


class SplitWriter:
    """Writes ``split`` while a layer is unpacked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False)
        self._raw: list[bytes] = []
        self._held = 0

    def raw(self, data: bytes) -> None:
        """These bytes are in the archive and in no file."""
        self._raw.append(data)
        self._held += len(data)
        if self._held >= _RAW_LIMIT:
            self._flush()

    def file(self, name: bytes, size: int) -> None:
        """Here the archive has the content of a file."""
        self._flush()
        self._stream.write(_LENGTH.pack(b"F", len(name)) + name + _SIZE.pack(size))

    def displaced(self, name: bytes, number: int) -> None:
        """What was at ``name`` is now kept as ``replaced/<number>``."""
        self._flush()
        self._stream.write(_LENGTH.pack(b"D", len(name)) + name + _COUNT.pack(number))

    def _flush(self) -> None:
        if self._raw:
            data = b"".join(self._raw)
            self._raw, self._held = [], 0
            self._stream.write(_LENGTH.pack(b"R", len(data)) + data)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._stream.flush(zstandard.FLUSH_FRAME)


def _records(file: BinaryIO) -> Iterator[tuple[bytes, bytes, int]]:
    stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)

    def exactly(size: int) -> bytes:
        data: bytes = stream.read(size)
        while len(data) < size:
            more: bytes = stream.read(size - len(data))
            if not more:
                raise InternalError(
                    "the record of a layer's archive is cut off; remove the image and pull it again"
                )
            data += more
        return data

    while head := stream.read(1):
        (length,) = _COUNT.unpack(exactly(4))
        data = exactly(length)
        number = 0
        if head == b"F":
            (number,) = _SIZE.unpack(exactly(8))
        elif head == b"D":
            (number,) = _COUNT.unpack(exactly(4))
        yield head, data, number


def assemble(layer_directory: str) -> Iterator[bytes]:
    """The archive of a layer, byte for byte as it came.

    Raises:
        InternalError: a file of the layer is not what it was.
    """
    with open(os.path.join(layer_directory, "split"), "rb") as file:
        moved: Moved = {}
        for index, (kind, name, number) in enumerate(_records(file)):
            if kind == b"D":
                moved.setdefault(name, []).append((index, number))
        file.seek(0)
        root = os.open(layer_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for index, (kind, data, number) in enumerate(_records(file)):
                if kind == b"R":
                    yield data
                elif kind == b"F":
                    yield from _content(root, _location(data, index, moved), number)
        finally:
            os.close(root)


def archive_size(layer_directory: str) -> int:
    """How long the archive of a layer is, as :func:`assemble` gives it."""
    with open(os.path.join(layer_directory, "split"), "rb") as file:
        return sum(
            len(data) if kind == b"R" else number if kind == b"F" else 0
            for kind, data, number in _records(file)
        )


def _location(name: bytes, index: int, moved: Moved) -> bytes:
    first: tuple[int, bytes] | None = None
    prefix = name
    while prefix and moved:
        times = moved.get(prefix, [])
        at = bisect_right(times, (index, sys.maxsize))
        if at < len(times) and (first is None or times[at][0] < first[0]):
            first = times[at][0], b"replaced/%d" % times[at][1] + name[len(prefix) :]
        prefix = prefix.rpartition(b"/")[0]
    return first[1] if first else b"diff/" + name


def _content(root: int, name: bytes, size: int) -> Iterator[bytes]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = path.openat2(root, name, flags, resolve=path.RESOLVE_BENEATH | path.RESOLVE_NO_SYMLINKS)
    try:
        while size:
            piece = os.read(fd, min(size, CHUNK))
            if not piece:
                raise InternalError(
                    f"the layer's file {os.fsdecode(name)} is shorter than it was; pull the image again"
                )
            size -= len(piece)
            yield piece
    finally:
        os.close(fd)
