"""A container's mounts that no path of the host stands for: opened as descriptors, for its start or a copy.

::

    volume with options, subpath   volumes/trees.py
    image                          its layers, read-only
    writable layer with a size     its disk (writable.py), as the one for "/"
    everything else                a path: the launch opens it itself, nothing is done here

What takes time (a server that is mounted, a file system that is made) is done by threads. A file system that
several containers share is opened by one start after the other: the second one finds the first one's mount.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from weakref import WeakValueDictionary

from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.writable import disk_of, size_of
from wharfie.errors import InvalidArgument
from wharfie.images import snapshots
from wharfie.linux import mount
from wharfie.linux.fd import close_all
from wharfie.volumes import disks, options, trees
from wharfie.volumes.model import MountPoint, Volume

MOST = 48
"""So many descriptors, and those of attached clients, go with one launch."""
_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def opener(context: Context, point: MountPoint) -> Callable[[], int] | None:
    """What opens the mount of a point, in a thread; None where a path of the host will do.

    Raises NotFound for an image that is gone; the opener raises WharfieError.
    """
    if point.type == "image":
        return partial(_image, context.images.by_id(point.image).lower, point)
    if point.type != "volume":
        return None
    volume = context.volumes.find(point.name)
    if volume is None or (not point.subpath and options.kind(volume.options) is options.Kind.PLAIN):
        return None
    return volume_opener(context, volume, point.subpath)


def volume_opener(context: Context, volume: Volume, subpath: str = "") -> Callable[[], int]:
    """What opens a mount of a volume, of any kind."""
    return partial(_volume, volume, users(context, volume), subpath)


def users(context: Context, volume: Volume) -> list[tuple[int, str]]:
    """Where running containers have a volume."""
    return [
        (container.status.pid, point.destination)
        for container in context.registry.all()
        if container.status.running and container.status.pid
        for point in container.record.mounts
        if point.type == "volume" and point.name == volume.name and not point.subpath
    ]


def _volume(volume: Volume, users: list[tuple[int, str]], subpath: str) -> int:
    tree = trees.open_volume(volume, users)
    return trees.within(tree, subpath, volume.mountpoint) if subpath else tree


def _image(lower: list[str], point: MountPoint) -> int:
    if len(lower) == 1:
        tree = mount.open_tree(mount.AT_FDCWD, lower[0], mount.OPEN_TREE_CLONE)
    else:
        tree = snapshots.mount_detached(lower, "", "")
    return trees.within(tree, point.subpath, point.source) if point.subpath else tree


@asynccontextmanager
async def opened(context: Context, container: Container) -> AsyncIterator[dict[str, int]]:
    """The mounts of a container that is about to start, by destination; raises WharfieError."""
    points = [point for point in container.record.mounts if opener(context, point) is not None]
    if len(points) > MOST:
        raise InvalidArgument(f"a container can have {MOST} mounts of images and volumes with options")
    found: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        stack.callback(lambda: close_all(found.values()))
        # in one order for all, so that no two starts wait for each other
        for name in sorted({point.name for point in points if point.type == "volume"}):
            await stack.enter_async_context(_locks.setdefault(name, asyncio.Lock()))
        for point in points:
            # asked again: a container with the same volume may have started meanwhile
            work = opener(context, point)
            if work is not None:
                found[point.destination] = await asyncio.to_thread(work)
        if size_of(container):
            found["/"] = await asyncio.to_thread(disks.open_mount, disk_of(container))
        yield found
