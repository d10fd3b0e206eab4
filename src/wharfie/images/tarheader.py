"""Writing tar headers: ustar, with a pax header where ustar has no room (pax(1))."""

from __future__ import annotations

from wharfie.images.tar import BLOCK, BLOCKDEV, CHAR, REGULAR, Entry

_NAME, _LINK = 100, 100
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
END = bytes(2 * BLOCK)


def padding(size: int) -> bytes:
    """What follows content of this size."""
    return bytes(-size % BLOCK)


def header(entry: Entry) -> bytes:
    """The header blocks of an entry; its content, padded, comes next."""
    records: list[tuple[bytes, bytes]] = []
    prefix, name = _split(entry.name)
    if len(name) > _NAME or not name.isascii():
        records.append((b"path", entry.name))
        prefix, name = b"", name[:_NAME]
    link = entry.link
    if len(link) > _LINK or not link.isascii():
        records.append((b"linkpath", link))
        link = link[:_LINK]
    seconds, fraction = divmod(entry.mtime_ns, 10**9)
    if fraction or not 0 <= seconds <= _OCTAL_11:
        records.append((b"mtime", _time(entry.mtime_ns)))
        seconds = max(0, min(seconds, _OCTAL_11))
    numbers = {b"uid": entry.uid, b"gid": entry.gid}
    for key, value in numbers.items():
        if value > _OCTAL_7:
            records.append((key, b"%d" % value))
            numbers[key] = 0
    size = entry.size
    if size > _OCTAL_11:
        records.append((b"size", b"%d" % size))
        size = 0
    records += [(b"SCHILY.xattr." + key, value) for key, value in sorted(entry.xattrs.items())]
    block = _block(name, entry, numbers[b"uid"], numbers[b"gid"], size, seconds, link, prefix)
    return _pax(name, records) + block if records else block


def _split(name: bytes) -> tuple[bytes, bytes]:
    """A long name in two at a slash, as ustar stores it; the whole where that is not possible."""
    if len(name) <= _NAME or not name.isascii():
        return b"", name
    cut = name.find(b"/", len(name) - _NAME - 1, 156)
    if cut <= 0 or cut == len(name) - 1:
        return b"", name
    return name[:cut], name[cut + 1 :]


def _time(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    text = b"%d.%09d" % (seconds, fraction) if fraction else b"%d" % seconds
    return b"-" + text if nanoseconds < 0 else text


def _pax(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    carrier = Entry(b"PaxHeaders.0/" + name[-80:], b"x", 0o644, 0, 0, len(data), 0)
    return _block(carrier.name, carrier, 0, 0, len(data), 0, b"", b"") + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    """``length key=value\\n``, where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    digits = len(str(len(rest)))
    if len(str(len(rest) + digits)) > digits:
        digits += 1
    return b"%d" % (len(rest) + digits) + rest


def _block(
    name: bytes, entry: Entry, uid: int, gid: int, size: int, mtime: int, link: bytes, prefix: bytes
) -> bytes:
    kind = entry.kind
    device = (entry.major, entry.minor) if kind in (CHAR, BLOCKDEV) else (0, 0)
    block = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, uid, gid, size, mtime),
            b"        ",
            kind or REGULAR,
            link.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0%07o\0" % device,
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
