"""Reading tar headers: ustar, pax and GNU, from a stream, telling every byte that is not a file's content.

tar(5) and pax(1). A reader hands out one :class:`Entry` after the other; the content of a regular file is
taken with :meth:`TarReader.content` before the next. All other bytes (headers, padding, the end) are given to
``raw`` as they pass, so that the archive can be put together again byte for byte. Names are bytes: they need
not be UTF-8. Nothing here touches a file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from wharfie.errors import InvalidArgument
from wharfie.images import tarsparse
from wharfie.images.decompress import Read

BLOCK = 512
META_LIMIT = 1 << 20
"""Bytes of one pax header or one long name."""
GLOBALS_LIMIT = 1 << 16
"""Bytes of what pax headers say of all entries that follow."""
NAME_LIMIT = 4096
_SECONDS_LIMIT = 10**12

REGULAR, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_REGULAR_TYPES = (b"0", b"\0", b"7", b"S")
_XATTR = b"SCHILY.xattr."
_ZERO = bytes(BLOCK)


class BadArchive(InvalidArgument):
    """An archive that cannot be read, or must not be unpacked."""


@dataclass(slots=True)
class Entry:
    """One member of an archive, headers merged."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes of content in the archive."""
    mtime_ns: int
    link: bytes = b""
    major: int = 0
    minor: int = 0
    atime_ns: int | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    sparse: list[tuple[int, int]] | None = None
    """Offset and length of each piece that has data; None when the content is all there is."""
    real_size: int = 0
    """The file's length, holes included."""


class TarReader:
    """The entries of one stream."""

    def __init__(
        self, read: Read, raw: Callable[[bytes], None] | None = None, *, unpadded: bool = False
    ) -> None:
        """``unpadded``: the last content need not be padded, as docker's command line leaves a context."""
        self._read = read
        self._raw = raw if raw is not None else _ignore
        self._held = b""
        self._at = 0
        self._left = 0
        self._padding = 0
        self._unpadded = unpadded
        self._globals: dict[bytes, bytes] = {}
        self._globals_size = 0

    def __iter__(self) -> Iterator[Entry]:
        """Each entry in turn; content that was not taken is passed to ``raw``.

        Raises:
            BadArchive: a header is damaged, or the archive ends inside of an entry.
        """
        while True:
            entry = self._next()
            if entry is None:
                return
            yield entry

    def content(self) -> Iterator[bytes]:
        """The content of the present entry, in pieces."""
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def rest(self) -> None:
        """Take what follows the end marker, so that the whole stream has been seen."""
        while True:
            if self._at < len(self._held):
                self._raw(self._held[self._at :])
            self._held, self._at = self._read(), 0
            if not self._held:
                return

    def _some(self, most: int) -> bytes:
        if self._at >= len(self._held):
            self._held, self._at = self._read(), 0
            if not self._held:
                raise BadArchive("the archive ends too early: unexpected EOF")
        piece = self._held[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def _exactly(self, size: int) -> bytes:
        piece = self._some(size) if size else b""
        if len(piece) == size:
            return piece
        parts = [piece]
        size -= len(piece)
        while size:
            piece = self._some(size)
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)

    def _skip_content(self) -> None:
        for piece in self.content():
            self._raw(piece)
        if self._padding:
            padding, self._padding = self._padding, 0
            if self._unpadded and self._at >= len(self._held):
                self._held, self._at = self._read(), 0
                if not self._held:
                    return
            self._raw(self._exactly(padding))

    def _header(self) -> bytes | None:
        """The next header block; None at the end of the archive (zeros, or nothing at all)."""
        if self._at >= len(self._held):
            self._held, self._at = self._read(), 0
            if not self._held:
                return None
        block = self._exactly(BLOCK)
        self._raw(block)
        if block == _ZERO:
            return None
        _verify(block)
        return block

    def _meta(self, size: int) -> bytes:
        """Content of a pax header or long name, which is metadata and goes to ``raw``."""
        if size > META_LIMIT:
            raise BadArchive(f"the archive has a header of {size} bytes; the limit is {META_LIMIT}")
        data = self._exactly(size)
        self._raw(data)
        if size % BLOCK:
            self._raw(self._exactly(BLOCK - size % BLOCK))
        return data

    def _next(self) -> Entry | None:
        self._skip_content()
        pax: dict[bytes, bytes] = {}
        sparse_map: list[tuple[bytes, bytes]] = []
        name = link = None
        while True:
            block = self._header()
            if block is None:
                return None
            kind = block[156:157]
            if kind == b"x":
                pax, sparse_map = parse_pax(self._meta(_number(block[124:136])))
            elif kind == b"g":
                self._say_of_all(parse_pax(self._meta(_number(block[124:136])))[0])
            elif kind == b"L":
                name = self._meta(_number(block[124:136])).split(b"\0", 1)[0]
            elif kind == b"K":
                link = self._meta(_number(block[124:136])).split(b"\0", 1)[0]
            else:
                break
        entry = _entry(block, {**self._globals, **pax}, name, link)
        self._left = entry.size
        self._padding = -entry.size % BLOCK
        if kind == b"S":
            self._old_gnu_sparse(block, entry)
        elif any(key.startswith(b"GNU.sparse.") for key in pax):
            self._pax_sparse(entry, pax, sparse_map)
        return entry

    def _say_of_all(self, records: dict[bytes, bytes]) -> None:
        for key, value in records.items():
            self._globals_size += len(value) - len(self._globals.get(key, b""))
            self._globals_size += 0 if key in self._globals else len(key)
            if self._globals_size > GLOBALS_LIMIT:
                raise BadArchive(f"the archive has global headers of more than {GLOBALS_LIMIT} bytes")
            self._globals[key] = value

    def _old_gnu_sparse(self, block: bytes, entry: Entry) -> None:
        pieces, extended = tarsparse.old_gnu(block)
        while extended:
            more = self._exactly(BLOCK)
            self._raw(more)
            found, extended = tarsparse.old_gnu_more(more)
            pieces += found
            if len(pieces) > tarsparse.PIECES_LIMIT:
                raise BadArchive("the archive has a sparse file of too many pieces")
        self._set_sparse(entry, pieces, _number(block[483:495]))

    def _pax_sparse(self, entry: Entry, pax: dict[bytes, bytes], listed: list[tuple[bytes, bytes]]) -> None:
        if pax.get(b"GNU.sparse.major") == b"1":
            pieces, taken = tarsparse.read_version_1(lambda: self._raw_block(entry), BLOCK)
            entry.size -= taken
            self._left = entry.size
        else:
            pieces = tarsparse.pax_pieces(pax, listed)
        size = pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b"0"
        self._set_sparse(entry, pieces, _decimal(size))
        if pax.get(b"GNU.sparse.name"):
            entry.name = _checked(pax[b"GNU.sparse.name"])

    def _raw_block(self, entry: Entry) -> bytes:
        if self._left < BLOCK:
            raise BadArchive("the archive has a damaged sparse map")
        self._left -= BLOCK
        block = self._exactly(BLOCK)
        self._raw(block)
        return block

    @staticmethod
    def _set_sparse(entry: Entry, pieces: list[tuple[int, int]], real_size: int) -> None:
        end = total = 0
        for offset, length in pieces:
            if offset < end or length < 0 or offset + length > real_size:
                raise BadArchive("the archive has a damaged sparse map")
            end, total = offset + length, total + length
        if total != entry.size:
            raise BadArchive("the archive has a sparse map that does not fit its content")
        entry.sparse, entry.real_size, entry.kind = pieces, real_size, REGULAR


def shown(name: bytes) -> str:
    """A name for a message: in one line, whatever bytes it has."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def begins_archive(head: bytes) -> bool:
    """Whether these first bytes are those of a tar archive: a header, or the end of an empty one."""
    if len(head) < BLOCK:
        return False
    try:
        _verify(head[:BLOCK])
    except BadArchive:
        return False
    return True


def _ignore(_: bytes) -> None:
    return


def _verify(block: bytes) -> None:
    try:
        stated = int(block[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        raise BadArchive("invalid tar header") from None
    # the field itself counts as eight spaces
    total = sum(block) - sum(block[148:156]) + 256
    if stated != total:
        # some old programs summed signed bytes
        signed = total - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127)
        if stated != signed:
            raise BadArchive("invalid tar header")


def _number(text: bytes) -> int:
    """A numeric field: octal digits, or base 256 when the first bit is set (GNU)."""
    if text[0] & 0x80:
        value = int.from_bytes(text, "big") & ((1 << (8 * len(text) - 1)) - 1)
        if text[0] & 0x40:
            value -= 1 << (8 * len(text) - 1)
        return value
    try:
        return int(text.strip(b" \0") or b"0", 8)
    except ValueError:
        raise BadArchive("invalid tar header") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise BadArchive("invalid number in a pax header")
    return int(text)


def _time(text: bytes) -> int:
    """Nanoseconds from a pax time such as ``1700000000.25``."""
    whole, _, fraction = text.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 12 or (fraction and not fraction.isdigit()):
        raise BadArchive("invalid time in a pax header")
    nanoseconds = int(digits) * 10**9 + int((fraction + b"000000000")[:9])
    return -nanoseconds if whole.startswith(b"-") else nanoseconds


def _seconds(text: bytes) -> int:
    found = _number(text)
    if abs(found) >= _SECONDS_LIMIT:
        raise BadArchive("invalid time in a tar header")
    return found


def parse_pax(data: bytes) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """The records of a pax header, and its ``GNU.sparse.*`` ones in order (version 0.0 repeats them)."""
    records: dict[bytes, bytes] = {}
    sparse: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data) and data[at] != 0:
        space = data.find(b" ", at, at + 8)
        if space < 0 or not data[at:space].isdigit():
            raise BadArchive("invalid pax header")
        end = at + int(data[at:space])
        record = data[space + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end <= space or end > len(data) or record[-1:] != b"\n" or not equals:
            raise BadArchive("invalid pax header")
        records[key] = value
        if key.startswith(b"GNU.sparse."):
            sparse.append((key, value))
        at = end
    return records, sparse


def _checked(name: bytes) -> bytes:
    if b"\0" in name or len(name) > NAME_LIMIT:
        raise BadArchive("the archive has a name that is too long or has a NUL in it")
    return name


def _entry(block: bytes, pax: dict[bytes, bytes], name: bytes | None, link: bytes | None) -> Entry:
    kind = block[156:157]
    if name is None:
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and block[345]:
            name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    if link is None:
        link = block[157:257].split(b"\0", 1)[0]
    name = _checked(pax.get(b"path") or name)
    link = _checked(pax.get(b"linkpath") or link)
    size = _decimal(pax[b"size"]) if pax.get(b"size") else _number(block[124:136])
    if size < 0:
        raise BadArchive("invalid tar header")
    if kind in _REGULAR_TYPES:
        # before ustar, a directory was a file whose name ends in a slash
        kind = DIRECTORY if name.endswith(b"/") and kind == b"\0" else REGULAR
    if kind in (HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO):
        size = 0
    entry = Entry(
        name=name,
        kind=kind,
        mode=_number(block[100:108]) & 0o7777,
        uid=_decimal(pax[b"uid"]) if pax.get(b"uid") else _number(block[108:116]),
        gid=_decimal(pax[b"gid"]) if pax.get(b"gid") else _number(block[116:124]),
        size=size,
        mtime_ns=_time(pax[b"mtime"]) if pax.get(b"mtime") else _seconds(block[136:148]) * 10**9,
        link=link,
        atime_ns=_time(pax[b"atime"]) if pax.get(b"atime") else None,
        real_size=size,
    )
    if kind in (CHAR, BLOCKDEV):
        entry.major, entry.minor = _number(block[329:337]), _number(block[337:345])
    for key, value in pax.items():
        if key.startswith(_XATTR):
            entry.xattrs[key[len(_XATTR) :]] = value
    return entry
