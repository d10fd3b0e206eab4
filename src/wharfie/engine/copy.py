"""``docker cp``: what a path in a container is, an archive of it, and archives unpacked below it.

Every path is resolved by the kernel with the container's root as root (openat2(2), RESOLVE_IN_ROOT), and what
is found is used through its descriptor: a directory that a process inside swaps for a link meanwhile leads
nowhere (CVE-2018-15664). Docker's rule for links: those on the way are followed, the last name is not, unless
a slash or ``/.`` follows it; the target of an extraction is followed to its end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wharfie.errors import Forbidden, InvalidArgument, NotFound
from wharfie.images import decompress
from wharfie.images.limits import Budget
from wharfie.images.pack import Packer
from wharfie.images.pipe import InwardPipe, PipeBroken, Produced, ended, in_thread
from wharfie.images.tar import TarReader
from wharfie.images.unpack import Rules, Unpacker
from wharfie.linux import path as paths
from wharfie.support.faults import point
from wharfie.support.files import remove_tree
from wharfie.support.tasks import spawn
from wharfie.support.units import format_time

# os.FileMode of Go, which the path's stat carries
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class PathNotFound(NotFound):
    """The container has no such file."""


class NotADirectory(InvalidArgument):
    """An archive was to be unpacked into something that is no directory."""


class ReadOnly(Forbidden):
    """The file system, or the mount, is read-only."""


def _absolute(path: str) -> str:
    """The path from the root on, cleaned, with a trailing ``/`` or ``/.`` kept."""
    if "\0" in path or len(os.fsencode(path)) > 4096:
        raise InvalidArgument("the path in the container is too long or has a NUL in it")
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/.") or path == ".":
        return cleaned.rstrip("/") + "/."
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _base(absolute: str) -> str:
    """The name an archive of the path begins with (Go's filepath.Base)."""
    return absolute.rstrip("/").rpartition("/")[2] or "/"


@contextmanager
def _found(root: int, absolute: str) -> Iterator[tuple[int, str]]:
    """The directory that a path's last name is in, and that name; ``.`` where a slash ends the path."""
    above, _, name = absolute.rpartition("/")
    if name in ("", "."):
        above, name = absolute, "."
    try:
        parent = paths.open_in_root(root, above or "/", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise _missing(error, absolute) from error
    try:
        yield parent, name
    finally:
        os.close(parent)


def _missing(error: OSError, path: str) -> Exception:
    if error.errno in _MISSING:
        return PathNotFound(f"Could not find the file {path} in container")
    return error


def stat_path(root: int, path: str) -> dict[str, Any]:
    """Docker's PathStat: name, size, mode (Go's bits), mtime, linkTarget; raises PathNotFound."""
    absolute = _absolute(path)
    with _found(root, absolute) as (parent, name):
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            target = _target(root, parent, name) if stat.S_ISLNK(found.st_mode) else ""
        except OSError as error:
            raise _missing(error, absolute) from error
    return {
        "name": _base(absolute),
        "size": found.st_size,
        "mode": go_mode(found.st_mode),
        "mtime": format_time(found.st_mtime_ns),
        "linkTarget": target,
    }


def _target(root: int, parent: int, name: str) -> str:
    """Where a link leads, seen from the container's root; as the link says it where that is nothing yet."""
    text = os.readlink(name, dir_fd=parent)
    here = os.readlink(f"/proc/self/fd/{parent}")
    top = os.readlink(f"/proc/self/fd/{root}").rstrip("/")
    inside = here[len(top) :] if here.startswith(top) else here
    return posixpath.normpath(posixpath.join("/", inside.lstrip("/"), text))


def go_mode(mode: int) -> int:
    """A mode in the bits of Go's os.FileMode."""
    bits = sum(go for bit, go in _GO_BITS.items() if mode & bit)
    return stat.S_IMODE(mode) & 0o777 | bits | _GO_KINDS.get(stat.S_IFMT(mode), 0)


def get_archive(root: int, path: str) -> Produced:
    """An archive of a path, which begins with its last name; raises PathNotFound at the first step."""
    absolute = _absolute(path)
    return Produced(f"archive of {absolute}", lambda write: _pack(root, absolute, write))


def _pack(root: int, absolute: str, write: Callable[[bytes], None]) -> None:
    packer = Packer(write)
    with _found(root, absolute) as (parent, name):
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                packer.entry(parent, os.fsencode(name), os.fsencode(_base(absolute)))
                packer.end()
                return
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            directory = os.open(name, flags, dir_fd=parent)
        except OSError as error:
            raise _missing(error, absolute) from error
    try:
        packer.directory(directory, os.fsencode(_base(absolute)))
        packer.end()
    finally:
        os.close(directory)


async def put_archive(
    root: int,
    path: str,
    stream: AsyncIterator[bytes],
    *,
    no_overwrite_dir_non_dir: bool = False,
    owner: tuple[int, int] | None = None,
    with_root: bool = False,
) -> None:
    """Unpack an archive, compressed or not, below a directory of the container.

    ``owner``: everything unpacked belongs to it, whatever the archive says. ``with_root``: what the archive
    says of its top is done to the directory.

    Raises:
        PathNotFound, NotADirectory, ReadOnly: the place is no good.
        CannotOverwrite, BadArchive, ArchiveTooBig: the archive is not.
    """
    absolute = _absolute(path)
    target = await asyncio.to_thread(_open_target, root, absolute)
    pipe = InwardPipe()
    feeder = spawn(f"copy to {absolute}", pipe.feed(stream))
    rules = Rules(owner=owner, keep_kind=no_overwrite_dir_non_dir, root=with_root)

    def work() -> None:
        try:
            _unpack(target, pipe, rules)
        except OSError as error:
            if error.errno == errno.EROFS:
                raise ReadOnly("container rootfs is marked read-only") from error
            raise
        finally:
            pipe.abandon()
            os.close(target)

    worker = in_thread(f"unpack to {absolute}", work)
    try:
        await asyncio.shield(worker)
    finally:
        feeder.cancel()
        pipe.close(PipeBroken("the copy was given up"))
        await ended(feeder, worker)


def _open_target(root: int, absolute: str) -> int:
    try:
        fd = paths.open_in_root(root, absolute, os.O_PATH)
    except OSError as error:
        raise _missing(error, absolute) from error
    if not paths.is_directory(fd):
        os.close(fd)
        raise NotADirectory("extraction point is not a directory")
    return fd


def _unpack(target: int, pipe: InwardPipe, rules: Rules) -> None:
    _, read = decompress.opened(pipe.read)
    reader = TarReader(read)
    unpacker = Unpacker(target, rules, _displace, Budget(target))
    try:
        for entry in reader:
            unpacker.add(entry, reader.content())
            point("an entry of an archive is unpacked")
        reader.rest()
        unpacker.finish()
    finally:
        unpacker.close()


def _displace(parent: int, name: bytes, path: bytes) -> None:
    """What an entry replaces goes away, a directory with all that is in it."""
    remove_tree(f"/proc/self/fd/{parent}/{os.fsdecode(name)}")
