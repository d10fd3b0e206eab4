"""Where the files are that a container has written: directories of ours, or a disk with a size of its own.

``--storage-opt size=10G`` gives a container a file with a file system in it (``volumes/disks.py``); upper and
work directory are in there. Nothing of it is mounted on the host: whoever looks at the files of such a
container opens the disk for as long as it looks, beside the container itself if that runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from wharfie.engine.container import Container
from wharfie.images import snapshots, written
from wharfie.volumes import disks
from wharfie.volumes.disks import DiskError


class Writable(NamedTuple):
    """Paths for this process, good as long as it is open."""

    upper: str
    work: str


def size_of(container: Container) -> int:
    """How much it may write, in bytes; 0 where nothing but the host's disk limits it."""
    return asked_size(container.host_config.storage_opt)


def asked_size(storage_opt: dict[str, str] | None) -> int:
    """The same, of what was asked for; raises InvalidArgument for what is no size."""
    text = (storage_opt or {}).get("size", "")
    return disks.read_size(text) if text not in ("", "0") else 0


def disk_of(container: Container) -> str:
    """The file of a container's disk."""
    return f"{container.directory}/{disks.FILE}"


@contextmanager
def opened(container: Container) -> Iterator[Writable]:
    """The directories of what it has written; raises DiskError."""
    if not size_of(container):
        yield Writable(container.upper, container.work)
        return
    disk = disks.open_mount(disk_of(container))
    try:
        yield Writable(f"/proc/self/fd/{disk}/upper", f"/proc/self/fd/{disk}/work")
    finally:
        os.close(disk)


def written_size(container: Container) -> int:
    """The bytes it has written; 0 while its disk cannot be mounted. Blocks."""
    try:
        with opened(container) as own:
            return written.size(own.upper)
    except (OSError, DiskError):
        return 0


def prepare(directory: str, lower: Sequence[str], size: int, templates: str) -> None:
    """Make them for a new container; blocks if there is a size. Raises OSError, DiskError."""
    if not size:
        written.furnish(snapshots.prepare(directory, lower)[0], lower)
        return
    path = f"{directory}/{disks.FILE}"
    disks.make(path, size, templates)
    disk = disks.open_mount(path)
    try:
        written.furnish(snapshots.prepare(f"/proc/self/fd/{disk}", lower)[0], lower)
    finally:
        os.close(disk)
