"""A container's root directory as a descriptor, for those who read and write in it from outside.

A running one's is its live root. A stopped one's overlay is mounted anew; if it has volumes or binds, these
are mounted in it too, as Docker does, so that a copy reaches them. That takes a mount namespace of its own
(``volumes/elsewhere.py``); a descriptor keeps the namespace, and with its end everything in it is unmounted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from wharfie.engine import trees, writable
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.errors import InternalError
from wharfie.images import snapshots
from wharfie.linux import mount
from wharfie.linux import path as paths
from wharfie.linux.fd import close_all
from wharfie.volumes import elsewhere
from wharfie.volumes.model import MountPoint

_Opener = Callable[[], int] | None
_SHOWN = ("bind", "volume", "image")


@contextmanager
def rootfs_fd(context: Context, container: Container) -> Iterator[int]:
    """The live root with all its mounts, or, when it does not run, what its next start would see there."""
    fds: list[int] = []
    try:
        if container.status.running and container.status.pid:
            live = f"/proc/{container.status.pid}/root"
            fds.append(os.open(live, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        else:
            image = context.images.by_id(container.image_id)
            with writable.opened(container) as own:
                fds.append(snapshots.mount_detached(image.lower, own.upper, own.work))
            points = [point for point in container.record.mounts if point.type in _SHOWN]
            if points or container.host_config.readonly_rootfs:
                # the database is the event loop's: what is asked of it is asked here
                opened = [(point, trees.opener(context, point)) for point in points]
                elsewhere.in_scratch(partial(_furnish, fds, container, opened))
        yield fds[0]
    finally:
        close_all(fds)


def _furnish(fds: list[int], container: Container, points: Sequence[tuple[MountPoint, _Opener]]) -> None:
    """Give the detached root in ``fds`` its mounts, in this namespace, which is added to ``fds``."""
    fds.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
    place = os.open(container.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mount.move_mount(fds[0], place)
    finally:
        os.close(place)
    for point, opens in sorted(points, key=lambda item: item[0].destination.count("/")):
        _attach(fds[0], point, opens)
    if container.host_config.readonly_rootfs:
        mount.mount_setattr(fds[0], set_=mount.ATTR_RDONLY)


def _attach(root: int, point: MountPoint, opens: _Opener) -> None:
    try:
        tree = _tree(point, opens)
        try:
            if paths.is_directory(tree):
                target = paths.make_directories(root, point.destination)
            else:
                target = paths.make_file(root, point.destination)
            try:
                mount.move_mount(tree, target)
            finally:
                os.close(target)
        finally:
            os.close(tree)
    except OSError as error:
        raise InternalError(
            f"mounting {point.source} at {point.destination} of a stopped container failed: {error.strerror}"
        ) from error


def _tree(point: MountPoint, opens: _Opener) -> int:
    """A detached copy of what is mounted."""
    if opens is None:
        flags = mount.OPEN_TREE_CLONE | (mount.AT_RECURSIVE if point.recursive else 0)
        tree = mount.open_tree(mount.AT_FDCWD, point.source, flags)
    else:
        tree = opens()
    try:
        attributes = mount.ATTR_NODEV | mount.ATTR_NOSUID | (0 if point.rw else mount.ATTR_RDONLY)
        whole = mount.AT_EMPTY_PATH | mount.AT_RECURSIVE
        mount.mount_setattr(tree, flags=whole, set_=attributes, propagation=mount.MS_PRIVATE)
    except BaseException:
        os.close(tree)
        raise
    return tree
