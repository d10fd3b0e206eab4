"""A tree becomes an archive: for export, for copies out of a container, and for the layer of a commit.

Walked through directory descriptors, so that a directory swapped for a link meanwhile leads nowhere. The
order is that of the names' bytes: the same tree gives the same archive. What vanishes during the walk is left
out; a file that shrinks is filled up with zeros, since its length has been told already.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from wharfie.images import tar, tarheader, whiteout
from wharfie.images.tar import Entry
from wharfie.images.unpack import allowed_attribute
from wharfie.support.trees import Descent, names

CHUNK = 1 << 20
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a fifo put in the file's place must not hold us up
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHAR,
    stat.S_IFBLK: tar.BLOCKDEV,
    stat.S_IFIFO: tar.FIFO,
}

Write = Callable[[bytes], None]


class Packer:
    """Writes one archive with ``write``; ``layer``: overlayfs marks become ``.wh.`` names.

    ``without``: absolute paths that are left out. ``latest``: no time is later than this, in nanoseconds
    (reproducible-builds.org, SOURCE_DATE_EPOCH).
    """

    def __init__(
        self,
        write: Write,
        *,
        layer: bool = False,
        without: frozenset[bytes] = frozenset(),
        latest: int | None = None,
    ) -> None:
        self._write = write
        self._layer = layer
        self._without = without
        self._latest = latest
        self._links: dict[tuple[int, int], bytes] = {}
        self._held: list[bytes] = []
        self._size = 0

    def tree(self, directory: int, prefix: bytes = b"") -> None:
        """All that is in an open directory (not O_PATH), named below ``prefix``; not the directory itself."""
        descent = Descent(os.open(".", _OPEN_DIRECTORY, dir_fd=directory))
        levels = [(len(prefix), names(descent.fd))]
        try:
            while levels:
                left = levels[-1][1]
                if left:
                    name = left.pop()
                    if self._entry(descent, name, prefix + name):
                        prefix += name + b"/"
                        levels.append((len(prefix), names(descent.fd)))
                    continue
                levels.pop()
                if levels:
                    prefix = prefix[: levels[-1][0]]
                    descent.leave()
        finally:
            descent.close()

    def entry(self, parent: int, name: bytes, shown: bytes) -> None:
        """One name of an open directory that is no directory itself, called ``shown`` in the archive."""
        descent = Descent(os.dup(parent))
        try:
            self._entry(descent, name, shown)
        finally:
            descent.close()

    def _entry(self, descent: Descent, name: bytes, shown: bytes) -> bool:
        """One name where ``descent`` is; whether it is a directory, which ``descent`` is in then."""
        parent = descent.fd
        if self._without and b"/" + shown in self._without:
            return False
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                descent.enter(name)
                self._head(descent.fd, shown + b"/")
                return True
            if stat.S_ISREG(found.st_mode):
                self._file(parent, name, shown)
            elif self._layer and whiteout.is_mark(found):
                above, _, last = shown.rpartition(b"/")
                self._mark(above + b"/" if above else b"", whiteout.PREFIX + last)
            elif stat.S_IFMT(found.st_mode) in _KINDS:
                link = os.readlink(name, dir_fd=parent) if stat.S_ISLNK(found.st_mode) else b""
                self._put(tarheader.header(self._described(found, shown, {}, link)))
        except FileNotFoundError:
            return False
        return False

    def root(self, directory: int) -> None:
        """The entry for the top itself."""
        self._put(tarheader.header(self._described(os.fstat(directory), b"./", _attributes(directory))))
        if self._layer and whiteout.is_opaque(directory):
            self._mark(b"", whiteout.OPAQUE)

    def directory(self, fd: int, shown: bytes) -> None:
        """An open directory (not O_PATH), called ``shown``, with all that is below it."""
        prefix = shown if shown.endswith(b"/") else shown + b"/"
        self._head(fd, prefix)
        self.tree(fd, prefix)

    def _head(self, fd: int, shown: bytes) -> None:
        """The entry for a directory itself; ``shown`` ends with a slash."""
        self._put(tarheader.header(self._described(os.fstat(fd), shown, _attributes(fd))))
        if self._layer and whiteout.is_opaque(fd):
            self._mark(shown, whiteout.OPAQUE)

    def end(self) -> None:
        """Finish the archive."""
        self._put(tarheader.END)
        self.flush()

    def flush(self) -> None:
        """Write what is held back."""
        if self._held:
            data = b"".join(self._held)
            self._held, self._size = [], 0
            self._write(data)

    def _put(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size >= CHUNK:
            self.flush()

    def _mark(self, above: bytes, name: bytes) -> None:
        self._put(tarheader.header(Entry(above + name, tar.REGULAR, 0o600, 0, 0, 0, 0)))

    def _file(self, parent: int, name: bytes, shown: bytes) -> None:
        fd = os.open(name, _OPEN_FILE, dir_fd=parent)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return  # it was swapped after it was looked at
            key = (found.st_dev, found.st_ino)
            if found.st_nlink > 1 and key in self._links:
                entry = self._described(found, shown, {}, self._links[key])
                entry.kind = tar.HARDLINK
                self._put(tarheader.header(entry))
                return
            if found.st_nlink > 1:
                self._links[key] = shown
            entry = self._described(found, shown, _attributes(fd))
            entry.size = found.st_size
            self._put(tarheader.header(entry))
            self._content(fd, found.st_size, shown)
        finally:
            os.close(fd)

    def _content(self, fd: int, size: int, _shown: bytes) -> None:
        left = size
        while left:
            piece = os.read(fd, min(left, CHUNK)) or bytes(min(left, CHUNK))
            left -= len(piece)
            self._put(piece)
        self._put(tarheader.padding(size))

    def _described(
        self, found: os.stat_result, name: bytes, xattrs: dict[bytes, bytes], link: bytes = b""
    ) -> Entry:
        return Entry(
            name=name,
            kind=_KINDS[stat.S_IFMT(found.st_mode)],
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            size=0,
            mtime_ns=found.st_mtime_ns if self._latest is None else min(found.st_mtime_ns, self._latest),
            link=link,
            major=os.major(found.st_rdev),
            minor=os.minor(found.st_rdev),
            xattrs=xattrs,
        )


def _attributes(fd: int) -> dict[bytes, bytes]:
    try:
        names = os.listxattr(fd)
    except OSError:
        return {}
    found = {}
    for name in names:
        key = os.fsencode(name)
        if allowed_attribute(key):
            try:
                found[key] = os.getxattr(fd, name)
            except OSError:
                continue  # removed meanwhile
    return found


def pack_root(
    directory: int,
    write: Write,
    *,
    layer: bool = False,
    without: frozenset[bytes] = frozenset(),
    latest: int | None = None,
    with_root: bool = False,
) -> None:
    """In a thread: the whole tree below an open directory (O_PATH will do) as one archive.

    The directory itself is told of in a layer only, as Docker does, and with ``with_root``. ``without`` and
    ``latest``: as for :class:`Packer`.
    """
    top = os.open(".", _OPEN_DIRECTORY, dir_fd=directory)
    try:
        packer = Packer(write, layer=layer, without=without, latest=latest)
        if layer or with_root:
            packer.root(top)
        packer.tree(top)
        packer.end()
    finally:
        os.close(top)
