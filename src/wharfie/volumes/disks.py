"""A directory with a size of its own: a sparse file with ext4 in it, mounted from a loop device.

::

    make     mkfs.ext4 once per size ─▶ <volumes>/.templates/<bytes>.ext4 ─▶ its few blocks copied
    mount    loop device (the file's own one, if it has one) ─▶ a mount without a place, as a descriptor

It works on every file system that a data root may lie on, and a full disk says ENOSPC like any other. What is
freed inside is given back to the host (``discard`` punches holes). Whoever holds a mount of it keeps device
and file system; with the last one the kernel takes both down, so a killed daemon leaves nothing to clean up.
"""

from __future__ import annotations

import errno
import os
import subprocess
import threading

from wharfie.errors import InternalError, InvalidArgument
from wharfie.linux import loop, mount
from wharfie.support.faults import point
from wharfie.support.ids import random_hex
from wharfie.support.units import parse_size

SMALLEST = 1 << 20
LARGEST = 16 << 40
FILE = "disk.ext4"
TEMPLATES = ".templates"
"""In the directory of volumes."""
_SEARCH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_KEPT_TEMPLATES = 16
_SLACK = 2 << 20
# the number of free blocks of a new file system, in its superblock: ext4's on-disk format
_SUPERBLOCK, _LOG_BLOCK_SIZE, _FREE_LOW, _FREE_HIGH = 1024, 0x18, 0x0C, 0x158
_CHUNK = 16 << 20
_lock = threading.Lock()


class DiskError(InternalError):
    """A file system of a size of its own cannot be made or mounted."""


def read_size(text: str) -> int:
    """``10G`` and its like as bytes; raises InvalidArgument for what cannot be a disk's size."""
    try:
        size = parse_size(text)
    except ValueError:
        raise InvalidArgument(f"invalid size: '{text}'") from None
    if not SMALLEST <= size <= LARGEST:
        raise InvalidArgument(f"invalid size: '{text}': it must be between 1MB and 16TB")
    return size


def make(path: str, size: int, templates: str) -> None:
    """Make a disk at ``path`` with room for ``size`` bytes; blocks. Raises DiskError, nothing is left."""
    try:
        template = _template(size, templates)
        try:
            _copy(template, path)
        finally:
            os.close(template)
    except OSError as error:
        raise DiskError(f"making a file system of {size} bytes failed: {error.strerror or error}") from error


def _template(size: int, directory: str) -> int:
    """An open file with a new file system for so many bytes."""
    path = os.path.join(directory, f"{size}.ext4")
    with _lock:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            os.makedirs(directory, 0o700, exist_ok=True)
        draft = f"{path}.{random_hex(8)}.tmp"
        try:
            # ext4 keeps a fiftieth, up to 16 MiB, from its users; a first one tells what else it needs
            wanted = size + min(size // 49, 16 << 20)
            free = _format(draft, wanted + _SLACK)
            if free != wanted:
                _format(draft, _SLACK + 2 * wanted - free)
            point("a disk's template is drafted")
            os.rename(draft, path)
        finally:
            if os.path.lexists(draft):
                os.unlink(draft)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        _forget_old(directory)
        return fd


def _format(path: str, size: int) -> int:
    """Make a file system in a new file of ``size`` bytes; how many bytes of it are free."""
    with open(path, "wb") as file:
        file.truncate(-(-size // 4096) * 4096)
    # nothing is reserved for root: that is who a container's processes are. Inode tables and journal are
    # zeros in a sparse file already
    words = ["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-O", "^resize_inode", "-E"]
    words += ["lazy_itable_init=1,lazy_journal_init=1,nodiscard", path]
    try:
        done = subprocess.run(
            words, env={"PATH": _SEARCH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True
        )
    except FileNotFoundError:
        raise DiskError("mkfs.ext4 is not installed; install it with: apt-get install e2fsprogs") from None
    if done.returncode:
        raise DiskError(f"mkfs.ext4 failed: {done.stderr.decode(errors='replace').strip()}")
    with open(path, "rb") as file:
        file.seek(_SUPERBLOCK)
        block = file.read(1024)
    free = int.from_bytes(block[_FREE_LOW : _FREE_LOW + 4], "little")
    free |= int.from_bytes(block[_FREE_HIGH : _FREE_HIGH + 4], "little") << 32
    return free << (10 + block[_LOG_BLOCK_SIZE])


def _forget_old(directory: str) -> None:
    entries = [entry for entry in os.scandir(directory) if entry.name.endswith(".ext4")]
    entries.sort(key=lambda entry: entry.stat().st_mtime_ns)
    for entry in entries[:-_KEPT_TEMPLATES]:
        os.unlink(entry.path)


def _copy(source: int, path: str) -> None:
    """A sparse copy: only what was written of the template is written again."""
    size = os.fstat(source).st_size
    draft = f"{path}.{random_hex(8)}.tmp"
    target = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(target, size)
        at = 0
        while at < size:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            end = os.lseek(source, at, os.SEEK_HOLE)
            while at < end:
                at += os.pwrite(target, os.pread(source, min(end - at, _CHUNK), at), at)
        point("a disk is drafted")
        os.rename(draft, path)
        point("a disk is there")
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(target)


def open_mount(path: str) -> int:
    """A mount of a disk as a descriptor: closing it unmounts; blocks. Raises DiskError."""
    try:
        with _lock:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                device, name = loop.open_device(file, path)
            finally:
                os.close(file)
            try:
                options = (("source", name), ("discard", None), ("noinit_itable", None))
                made = mount.new_filesystem("ext4", options)
            finally:
                os.close(device)
            _remove_lost_found(made)
            return made
    except OSError as error:
        raise DiskError(f"mounting the disk {path} failed: {error.strerror or error}") from error


def _remove_lost_found(root: int) -> None:
    """An empty disk is an empty directory; fsck(8) makes its directory anew should it ever need it."""
    place = f"/proc/self/fd/{root}/lost+found"
    try:
        # the first inode that a new file system gives away
        if os.lstat(place).st_ino == 11:
            os.rmdir(place)
    except OSError:
        return
