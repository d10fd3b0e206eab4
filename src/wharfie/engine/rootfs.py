"""A container's root directory as a descriptor, for those who read and write in it from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.images import snapshots


@contextmanager
def rootfs_fd(context: Context, container: Container) -> Iterator[int]:
    """The live root with all its mounts, or, when it does not run, its overlay mounted at no path."""
    if container.status.running and container.status.pid:
        fd = os.open(f"/proc/{container.status.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        image = context.images.by_id(container.image_id)
        fd = snapshots.mount_detached(image.lower, container.upper, container.work)
    try:
        yield fd
    finally:
        os.close(fd)
