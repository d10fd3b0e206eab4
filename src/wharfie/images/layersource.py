"""A layer as a blob to be pushed: the compressed archive that came, or one made anew from the files.

Made anew it is read as often as an upload needs: the same files give the same bytes each time (within one
daemon; another version of the compressor may give others, which is why the digest is remembered after a push
and not computed before it).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from wharfie.images import tarsplit
from wharfie.images.pipe import Produced
from wharfie.support.flate import flate

_LEVEL = 2
_PIECE = 1 << 20

Count = Callable[[int], None]


class FileSource:
    """A blob that is kept as it came."""

    def __init__(self, path: str, digest: str, size: int, count: Count) -> None:
        self._path = path
        self._count = count
        self.digest = digest
        self.size = size

    async def read(self, start: int) -> AsyncIterator[bytes]:
        """From ``start`` on."""
        fd = await asyncio.to_thread(os.open, self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := await asyncio.to_thread(os.pread, fd, _PIECE, start):
                start += len(piece)
                self._count(start)
                yield piece
        finally:
            os.close(fd)


class MadeSource:
    """A layer's archive put together from its files, as gzip or as it is."""

    def __init__(self, directory: str, *, compressed: bool, count: Count) -> None:
        self._directory = directory
        self._compressed = compressed
        self._count = count
        self.digest = ""
        self.size = 0

    async def read(self, start: int) -> AsyncIterator[bytes]:
        """From ``start`` on; digest and size are known at the end."""
        total, size = hashlib.sha256(), 0

        def work(write: Callable[[bytes], None]) -> None:
            for piece in self.pieces():
                total.update(piece)
                write(piece)

        async with aclosing(Produced("pack layer", work)) as pieces:
            async for piece in pieces:
                skip = min(len(piece), max(0, start - size))
                size += len(piece)
                if skip < len(piece):
                    self._count(size)
                    yield piece[skip:]
        self.digest, self.size = "sha256:" + total.hexdigest(), size

    def pieces(self) -> Any:
        """In a thread: the blob."""
        archive = tarsplit.assemble(self._directory)
        if not self._compressed:
            yield from archive
            return
        deflate = flate.compressobj(_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        for piece in archive:
            if data := deflate.compress(piece):
                yield data
        yield deflate.flush()
