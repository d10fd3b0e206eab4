"""Looking for files below a directory, and what they are, for keys of the cache: never when they were made.

All paths are resolved by the kernel with the directory as root: what a context or an image has in it leads
nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from wharfie.build.arrival import Known
from wharfie.linux import path as paths
from wharfie.support.ignore import Matcher, compiled
from wharfie.support.trees import Descent, names

_WILD = frozenset("*?[\\")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """One file or directory that a source of ``COPY`` stands for."""

    path: str
    """From the root, without a slash at its beginning; empty for the root itself."""
    directory: bool


def match(root: int, pattern: str) -> list[Found]:
    """What a source names, links followed inside the root; empty if nothing. Raises BadPattern."""
    cleaned = posixpath.normpath("/" + pattern).lstrip("/")
    if not set(pattern) & _WILD:
        found = _look(root, cleaned)
        return [found] if found else []
    here = [""]
    for part in cleaned.split("/"):
        rule = compiled(part) if set(part) & _WILD else None
        following = []
        for above in here:
            if rule is None:
                following.append(f"{above}/{part}" if above else part)
                continue
            following += [f"{above}/{name}" if above else name for name in _listed(root, above) if rule(name)]
        here = following
    found_all = [_look(root, path) for path in here]
    return [found for found in found_all if found]


def _listed(root: int, path: str) -> list[str]:
    try:
        fd = paths.open_in_root(root, path or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def _look(root: int, path: str) -> Found | None:
    try:
        fd = paths.open_in_root(root, path or ".")
    except OSError:
        return None
    try:
        return Found(path, stat.S_ISDIR(os.fstat(fd).st_mode))
    finally:
        os.close(fd)


class Excluded:
    """``--exclude`` of ``COPY`` and ``ADD``."""

    def __init__(self, patterns: list[str]) -> None:
        """Raises BadPattern."""
        self._rules = Matcher([posixpath.normpath(pattern).lstrip("/") for pattern in patterns])
        self.any = bool(patterns)

    def hides(self, path: str) -> bool:
        """Whether a path, seen from the source, is left out."""
        return self.any and self._rules.matches(path)


def digest(root: int, found: list[Found], excluded: Excluded, files: Known | None = None) -> str:
    """One digest for all that is found: names, kinds, modes, owners, links, attributes and content.

    ``files``: content that is known, by inode.
    """
    files = files or {}
    whole = hashlib.sha256()
    for item in found:
        whole.update(f"source {posixpath.basename(item.path)}\n".encode("utf-8", "surrogateescape"))
        if item.directory:
            fd = paths.open_in_root(root, item.path or ".", os.O_RDONLY | os.O_DIRECTORY)
            _directory(whole, fd, excluded, files)
        elif not excluded.hides(posixpath.basename(item.path)):
            _single(whole, root, item.path, files)
    return whole.hexdigest()


def way(root: int, path: str) -> str:
    """A digest of a path and of the directories on it, which ``--parents`` makes anew."""
    whole = hashlib.sha256(path.encode("utf-8", "surrogateescape"))
    above = posixpath.dirname(path)
    while above:
        fd = paths.open_in_root(root, above)
        try:
            whole.update(_described(os.fstat(fd)))
        finally:
            os.close(fd)
        above = posixpath.dirname(above)
    return whole.hexdigest()


def _single(whole: hashlib._Hash, root: int, path: str, files: Known) -> None:
    found = paths.open_in_root(root, path)
    try:
        status = os.fstat(found)
        whole.update(_described(status))
    finally:
        os.close(found)
    if stat.S_ISREG(status.st_mode):
        fd = paths.open_regular(root, path)
        try:
            _attributes(whole, fd)
            whole.update(of_file(fd, files))
        finally:
            os.close(fd)


def of_file(fd: int, files: Known) -> bytes:
    """Digest of a file's content."""
    if files:
        found = os.fstat(fd)
        size, known = files.get(found.st_ino, (-1, b""))
        if size == found.st_size:
            return known
    content = hashlib.sha256()
    while piece := os.read(fd, _CHUNK):
        content.update(piece)
    return content.digest()


def _described(found: os.stat_result) -> bytes:
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    device = found.st_rdev if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) else 0
    return f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {size} {device}\n".encode()


def _attributes(whole: hashlib._Hash, fd: int) -> None:
    for name in sorted(os.listxattr(fd)):
        if name == "security.capability" or name.startswith("user."):
            whole.update(name.encode() + b"=" + os.getxattr(fd, name) + b"\n")


def _directory(whole: hashlib._Hash, top: int, excluded: Excluded, files: Known) -> None:
    """Takes ``top``."""
    whole.update(_described(os.fstat(top)))
    for path, directory, name, found in entries(top):
        if excluded.hides(os.fsdecode(path)):
            continue
        whole.update(b"%d " % len(path) + path + b"\n" + _described(found))
        if stat.S_ISLNK(found.st_mode):
            whole.update(os.readlink(name, dir_fd=directory) + b"\n")
        elif stat.S_ISREG(found.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                _attributes(whole, fd)
                whole.update(of_file(fd, files))
            finally:
                os.close(fd)


def entries(top: int) -> Iterator[tuple[bytes, int, bytes, os.stat_result]]:
    """All below an open directory, which is taken, in order: path, its directory, name, what it is."""
    descent = Descent(top)
    prefix = b""
    levels = [(0, names(descent.fd))]
    try:
        while levels:
            length, left = levels[-1]
            if not left:
                levels.pop()
                prefix = prefix[:length]
                if levels:
                    descent.leave()
                continue
            name = left.pop()
            found = os.stat(name, dir_fd=descent.fd, follow_symlinks=False)
            yield prefix + name, descent.fd, name, found
            if stat.S_ISDIR(found.st_mode):
                descent.enter(name)
                levels.append((len(prefix), names(descent.fd)))
                prefix += name + b"/"
    finally:
        descent.close()


def is_wild(pattern: str) -> bool:
    """Whether a source is a pattern."""
    return bool(set(pattern) & _WILD)
