"""Decompression, always inside this process and in bounded steps.

A program found in an image or in a container never decompresses anything (CVE-2026-41567), and no step yields
more than :data:`STEP` bytes, however small the input (bombs are cut off by the reader's limits, not by memory
running out). The format is told by its first bytes, as Docker does; media types lie.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

import zstandard

from wharfie.errors import InvalidArgument
from wharfie.support.flate import flate

STEP = 1 << 20
WINDOW_LIMIT = 1 << 27
"""Bytes of memory that a zstd or xz stream may ask for."""
LONGEST_MAGIC = 6

_BROKEN = (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError)

Read = Callable[[], bytes]
"""The next piece of a stream, empty at its end."""


class BadCompression(InvalidArgument):
    """A stream that does not decompress."""


def kind_of(head: bytes) -> str:
    """``gzip``, ``zstd``, ``bzip2``, ``xz``, or empty when the data is not compressed."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    # a skippable frame (zstd:chunked begins with none, some tools write one first) is zstd as well
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return "zstd"
    if head.startswith(b"BZh"):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return ""


def opened(read: Read) -> tuple[str, Read]:
    """The kind of the stream, and a reader of what it holds."""
    head = b""
    while len(head) < LONGEST_MAGIC:
        piece = read()
        if not piece:
            break
        head += piece
    kind = kind_of(head)
    source = _Prefixed(head, read)
    if kind == "zstd":
        return kind, _zstd(source)
    if kind == "gzip":
        return kind, _members(source, _gzip_member, zlib_style=True)
    if kind == "bzip2":
        return kind, _members(source, bz2.BZ2Decompressor, zlib_style=False)
    if kind == "xz":
        return kind, _members(source, _xz_member, zlib_style=False)
    return kind, source


class _Prefixed:
    """Bytes already read, then the rest."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head = head
        self._read = read

    def __call__(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._read()


def _gzip_member() -> Any:
    return flate.decompressobj(16 + zlib.MAX_WBITS)


def _xz_member() -> Any:
    return lzma.LZMADecompressor(memlimit=WINDOW_LIMIT)


def _members(source: Read, member: Callable[[], Any], *, zlib_style: bool) -> Read:
    """One member after the other: gzip, bzip2 and xz files may be strung together."""
    current = member()
    waiting = b""
    ended = False  # between members
    pending = False  # zlib may hold output back although it took all input

    def read() -> bytes:
        nonlocal current, waiting, ended, pending
        while True:
            hungry = not pending if zlib_style else current.needs_input
            if not waiting and (ended or hungry):
                waiting = source()
                if not waiting:
                    if not ended:
                        raise BadCompression("the compressed stream ends too early")
                    return b""
            if ended:
                waiting = waiting.lstrip(b"\0")  # tape blocks are filled up with zeros
                if not waiting:
                    continue
                current, ended = member(), False
            try:
                data: bytes = current.decompress(waiting, STEP)
            except (*_BROKEN, flate.error) as error:
                raise BadCompression(f"the compressed stream is broken: {error}") from error
            ended, pending = current.eof, len(data) >= STEP
            waiting = b""
            if ended:
                waiting = current.unused_data
            elif zlib_style:
                waiting = current.unconsumed_tail
            if data:
                return data

    return read


def _zstd(source: Read) -> Read:
    stream = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT).stream_reader(
        cast("IO[bytes]", _File(source)), read_across_frames=True
    )

    def read() -> bytes:
        try:
            return stream.read(STEP)
        except zstandard.ZstdError as error:
            raise BadCompression(f"the compressed stream is broken: {error}") from error

    return read


class _File:
    """What zstandard wants to read from."""

    def __init__(self, source: Read) -> None:
        self._source = source
        self._held = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._held:
            self._held = memoryview(self._source())
        piece = self._held[:size] if size >= 0 else self._held
        self._held = self._held[len(piece) :]
        return bytes(piece)
