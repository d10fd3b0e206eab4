"""The context of a build, packed as it is sent: what ``.dockerignore`` leaves out never travels.

Owners are root's and names in order, so that the same files make the same archive on every machine.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import time
from collections.abc import Iterator

from wharfie.client.errors import BadBuildContext
from wharfie.support.ignore import BadPattern, Matcher, read_patterns

_CHUNK = 1 << 20
_BLOCK = 512
_TICK = 2 * 10**9
_SIMPLE = 0o77777777777


def rules(directory: str, dockerfile: str) -> Matcher | None:
    """What holds for a directory: the Dockerfile's own ``.dockerignore``, or the directory's."""
    for path in (
        f"{dockerfile}.dockerignore" if dockerfile else "",
        os.path.join(directory, ".dockerignore"),
    ):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        try:
            return Matcher(read_patterns(text))
        except BadPattern as error:
            raise BadBuildContext(f"error reading {path}: {error}") from None
    return None


def pack(directory: str, ignored: Matcher | None, keep: set[str], extra: dict[str, bytes]) -> Iterator[bytes]:
    """The archive of a directory in pieces; ``keep``: paths sent in any case; ``extra``: more files."""
    held: list[bytes] = []
    size = 0
    links: dict[tuple[int, int], str] = {}
    for path, name, found in _walk(directory, ignored, keep):
        for piece in _entry(path, name, found, links):
            held.append(piece)
            size += len(piece)
            if size >= _CHUNK:
                yield b"".join(held)
                held, size = [], 0
    for name, data in extra.items():
        held += [_header(name, 0o644, len(data), 0, b"0"), data, bytes(-len(data) % _BLOCK)]
    yield b"".join([*held, bytes(2 * _BLOCK)])


def fingerprint(directory: str, ignored: Matcher | None, keep: set[str], name: str) -> str:
    """What tells this context from others, by names, sizes, times of change; empty if that is not certain.

    What was changed in the last seconds may change again within the same tick of the clock.
    """
    whole = hashlib.sha256(f"{os.path.realpath(directory)} {name}".encode("utf-8", "surrogateescape"))
    recent = time.time_ns() - _TICK
    for path, shown, found in _walk(directory, ignored, keep):
        if found.st_ctime_ns > recent:
            return ""
        link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
        line = (
            f"{shown}\0{found.st_mode} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} "
            f"{found.st_dev} {found.st_ino} {found.st_nlink} {link}\n"
        )
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _walk(
    directory: str, ignored: Matcher | None, keep: set[str]
) -> Iterator[tuple[str, str, os.stat_result]]:
    waiting = [(directory, "")]
    while waiting:
        place, prefix = waiting.pop()
        below = []
        try:
            with os.scandir(place) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            raise BadBuildContext(f"checking context: {error.strerror}: '{place}'") from None
        for entry in entries:
            name = prefix + entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if ignored is not None and name not in keep and ignored.matches(name):
                wanted = any(kept.startswith(name + "/") for kept in keep)
                if is_directory and (wanted or ignored.may_have_kept_below(name)):
                    below.append((entry.path, name + "/"))
                continue
            yield entry.path, name, entry.stat(follow_symlinks=False)
            if is_directory:
                below.append((entry.path, name + "/"))
        waiting += reversed(below)


def _entry(path: str, name: str, found: os.stat_result, links: dict[tuple[int, int], str]) -> Iterator[bytes]:
    mode, when = stat.S_IMODE(found.st_mode), found.st_mtime_ns
    if stat.S_ISDIR(found.st_mode):
        yield _header(name + "/", mode, 0, when, b"5")
    elif stat.S_ISLNK(found.st_mode):
        yield _header(name, 0o777, 0, when, b"2", os.readlink(path))
    elif stat.S_ISFIFO(found.st_mode):
        yield _header(name, mode, 0, when, b"6")
    elif stat.S_ISREG(found.st_mode):
        key = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and key in links:
            yield _header(name, mode, 0, when, b"1", links[key])
            return
        if found.st_nlink > 1:
            links[key] = name
        yield from _file(path, name, mode, when)


def _file(path: str, name: str, mode: int, when: int) -> Iterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise BadBuildContext(f"error checking context: can't read '{path}': {error.strerror}") from None
    try:
        left = size = os.fstat(fd).st_size
        yield _header(name, mode, size, when, b"0")
        while left:
            piece = os.read(fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK))
            left -= len(piece)
            yield piece
        yield bytes(-size % _BLOCK)
    finally:
        os.close(fd)


def _header(name: str, mode: int, size: int, when: int, kind: bytes, link: str = "") -> bytes:
    raw, target = name.encode("utf-8", "surrogateescape"), link.encode("utf-8", "surrogateescape")
    seconds = when // 10**9  # whole seconds, as docker's command line sends them
    if len(raw) > 100 or len(target) > 100 or size > _SIMPLE or not 0 <= seconds <= _SIMPLE:
        return _long(name, mode, size, when, kind, link)
    block = b"".join(
        (
            raw.ljust(100, b"\0"),
            b"%07o\0000000000\0000000000\0%011o\0%011o\0" % (mode, size, seconds),
            b"        ",
            kind,
            target.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(247),
        )
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _long(name: str, mode: int, size: int, when: int, kind: bytes, link: str) -> bytes:
    """A header that does not fit into the simple form."""
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.mtime, info.type, info.linkname = mode, size, when // 10**9, kind, link
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
