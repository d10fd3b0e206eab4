"""The three ways in which GNU tar describes a file with holes.

GNU tar manual, "Storing Sparse Files": the old header type ``S``, pax versions 0.0 and 0.1 (the map in the
pax header) and 1.0 (the map in front of the content).
"""

from __future__ import annotations

from collections.abc import Callable

from wharfie.errors import InvalidArgument

PIECES_LIMIT = 1 << 16
"""Pieces of one file."""


class BadSparseMap(InvalidArgument):
    """A map of pieces that makes no sense."""


def _octal(text: bytes) -> int:
    if text[0] & 0x80:
        return int.from_bytes(text, "big") & ((1 << (8 * len(text) - 1)) - 1)
    try:
        return int(text.strip(b" \0") or b"0", 8)
    except ValueError:
        raise BadSparseMap("the archive has a damaged sparse map") from None


def _pairs(block: bytes, start: int, count: int) -> list[tuple[int, int]]:
    found = []
    for at in range(start, start + 24 * count, 24):
        if block[at] == 0:
            break
        found.append((_octal(block[at : at + 12]), _octal(block[at + 12 : at + 24])))
    return found


def old_gnu(block: bytes) -> tuple[list[tuple[int, int]], bool]:
    """The pieces in a header of type ``S``, and whether another block of them follows."""
    return _pairs(block, 386, 4), block[482] != 0


def old_gnu_more(block: bytes) -> tuple[list[tuple[int, int]], bool]:
    """The pieces in a block that follows."""
    return _pairs(block, 0, 21), block[504] != 0


def pax_pieces(pax: dict[bytes, bytes], listed: list[tuple[bytes, bytes]]) -> list[tuple[int, int]]:
    """The pieces in a pax header: version 0.1 (one comma list), or 0.0 (repeated pairs)."""
    if b"GNU.sparse.map" in pax:
        numbers = [_decimal(text) for text in pax[b"GNU.sparse.map"].split(b",") if text]
    else:
        wanted = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers = [_decimal(value) for key, value in listed if key in wanted]
    return _paired(numbers)


def read_version_1(next_block: Callable[[], bytes], block_size: int) -> tuple[list[tuple[int, int]], int]:
    """The pieces in front of the content, one decimal number a line, and how many bytes they took."""
    text = bytearray()
    lines = taken = 0
    wanted = 1
    while True:
        block = next_block()
        text += block
        taken += block_size
        lines += block.count(b"\n")
        if wanted == 1 and lines:
            count = _decimal(bytes(text[: text.index(b"\n")]))
            if count > PIECES_LIMIT:
                raise BadSparseMap("the archive has a sparse file of too many pieces")
            wanted = 1 + 2 * count
        if lines >= wanted:
            return _paired([_decimal(line) for line in bytes(text).split(b"\n")[1:wanted]]), taken


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise BadSparseMap("the archive has a damaged sparse map")
    return int(text)


def _paired(numbers: list[int]) -> list[tuple[int, int]]:
    if len(numbers) % 2 or len(numbers) > 2 * PIECES_LIMIT:
        raise BadSparseMap("the archive has a damaged sparse map")
    return list(zip(numbers[::2], numbers[1::2], strict=True))
