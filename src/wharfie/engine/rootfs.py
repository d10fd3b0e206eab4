"""A container's root directory as a descriptor, for those who read and write in it from outside.

A running one's is its live root. A stopped one's overlay is mounted anew; if it has volumes or binds, these
are mounted in it too, as Docker does, so that a copy reaches them. That takes a mount namespace of its own
(``volumes/elsewhere.py``); a descriptor keeps the namespace, and with its end everything in it is unmounted.

An overlay that ends has all of its disk written, whatever else waits there. This one does not (it is
``volatile``): who wrote in it calls :func:`settle`, which waits for these files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from wharfie.engine import trees, writable
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.writable import Writable
from wharfie.errors import InternalError
from wharfie.images import snapshots
from wharfie.linux import mount
from wharfie.linux import path as paths
from wharfie.linux.fd import close_all, sync_filesystem
from wharfie.support.files import remove_tree
from wharfie.support.trees import walk
from wharfie.volumes import elsewhere
from wharfie.volumes.model import MountPoint

_Opener = Callable[[], int] | None
_SHOWN = ("bind", "volume", "image")
_COARSE = 5
"""CLOCK_REALTIME_COARSE of clock_gettime(2): what files are stamped with is never before it."""
_MANY = 64
"""Files that are waited for one by one."""


@contextmanager
def rootfs_fd(context: Context, container: Container) -> Iterator[int]:
    """The live root with all its mounts, or, when it does not run, what its next start would see there."""
    if container.status.running and container.status.pid:
        live = os.open(f"/proc/{container.status.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield live
        finally:
            os.close(live)
        return
    fds: list[int] = []
    scratch = context.images.layers.temporary("copy")
    with context.images.keeping():  # what is looked for as left over meanwhile is not this
        try:
            image = context.images.by_id(container.image_id)
            with writable.opened(container) as own:
                fds.append(_mounted(container, image.lower, own, scratch))
            points = [point for point in container.record.mounts if point.type in _SHOWN]
            if points or container.host_config.readonly_rootfs:
                # the database is the event loop's: what is asked of it is asked here
                opened = [(point, trees.opener(context, point)) for point in points]
                elsewhere.in_scratch(partial(_furnish, fds, container, opened))
            yield fds[0]
        finally:
            close_all(fds)
            with suppress(FileNotFoundError):
                remove_tree(scratch)


def _mounted(container: Container, lower: Sequence[str], own: Writable, scratch: str) -> int:
    """A volatile overlay spoils its work directory for the next one: it gets ``scratch`` where it can."""
    if not writable.size_of(container):  # a disk of its own is soon written, and gone with the mount
        os.mkdir(scratch, 0o700)
        with suppress(OSError):  # the kernel has no such overlays, or tmp is another mount
            return snapshots.mount_detached(lower, own.upper, scratch, volatile=True)
    return snapshots.mount_detached(lower, own.upper, own.work)


def now() -> int:
    """A time, for :func:`settle`."""
    return time.clock_gettime_ns(_COARSE)


def settle(container: Container, since: int) -> None:
    """In a thread: what was written in a stopped container since then is on the disk for good."""
    if container.status.running or writable.size_of(container):
        return
    changed = [
        path
        for path, found in [(b"/", os.stat(container.upper)), *walk(container.upper)]
        if found.st_ctime_ns >= since and (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))
    ]
    if len(changed) > _MANY:
        sync_filesystem(container.upper)
        return
    top = os.open(container.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in changed:
            _sync(top, path.lstrip(b"/") or b".")
    finally:
        os.close(top)


def _sync(top: int, path: bytes) -> None:
    straight = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
    try:
        fd = paths.openat2(top, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, straight)
    except FileNotFoundError:
        return  # removed meanwhile
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
