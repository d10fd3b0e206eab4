"""A file of a web server, read as it comes (``ADD`` and build contexts by address, ``import`` of one)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wharfie.errors import InvalidArgument, NotFound, Unavailable, WharfieError

LIMIT = 8 << 30
_PIECE = 1 << 20
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


def redacted(text: str) -> str:
    """A text with addresses as it may be shown: without their names and passwords."""
    return _CREDENTIALS.sub("xxxxx:xxxxx@", text)


@dataclass(frozen=True, slots=True)
class WebFile:
    """What a server answered."""

    pieces: AsyncIterator[bytes]
    size: int
    """Bytes that it says will come; 0 if it does not say."""
    changed: str
    """The header ``Last-Modified``, or nothing."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[WebFile]:
    """Ask for a file; it must be read before this ends.

    Raises:
        Unavailable: the server cannot be reached, or breaks off.
        NotFound, InvalidArgument: it has no such file, or refuses; the file is longer than :data:`LIMIT`.
    """
    import aiohttp  # loaded by the first that needs it

    wait = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    shown = redacted(url)

    async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        size = 0
        async for piece in answer.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > LIMIT:
                raise InvalidArgument(f"{shown} is longer than {LIMIT} bytes")
            yield piece

    try:
        async with aiohttp.ClientSession(timeout=wait, trust_env=True) as session, session.get(url) as answer:
            if answer.status >= 400:
                raise _refused(
                    answer.status, f"failed to GET {shown} with status {answer.status} {answer.reason}"
                )
            size, changed = answer.content_length or 0, answer.headers.get("Last-Modified", "")
            yield WebFile(pieces(answer), size, changed)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = redacted(str(error)) or type(error).__name__
        raise Unavailable(f"failed to fetch {shown}: {why}") from error


def _refused(status: int, message: str) -> WharfieError:
    if status in (404, 410):
        return NotFound(message)
    return Unavailable(message) if status >= 500 else InvalidArgument(message)
