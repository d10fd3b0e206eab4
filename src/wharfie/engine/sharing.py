"""Shared memory that other containers may join (``--ipc shareable``): a tmpfs on the host, as with Docker.

A mount in a container's own namespace could not be given to another one; this one lies in the container's run
directory and is gone when the container stops.
"""

from __future__ import annotations

import errno
import os

from wharfie.linux import mount


def directory(run_directory: str) -> str:
    """Where a container's shared memory is mounted."""
    return f"{run_directory}/shm"


def provide(run_directory: str, size: int) -> str:
    """Mount shared memory for a container that is about to start; its directory. Raises OSError."""
    path = directory(run_directory)
    os.makedirs(path, 0o700, exist_ok=True)
    flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
    mount.mount("shm", path, "tmpfs", flags, f"mode=1777,size={size}")
    return path


def unmount(run_directory: str) -> None:
    """Unmount it; containers that joined keep their view until they end. Raises OSError."""
    try:
        # MNT_DETACH (umount2(2)): it may still be in use
        mount.umount2(directory(run_directory), 2)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
