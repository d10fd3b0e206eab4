"""A container's root directory as a descriptor, for those who read and write in it from outside.

A running one's is its live root. A stopped one's overlay is mounted anew; if it has volumes or binds, these
are mounted in it too, as Docker does, so that a copy reaches them. That takes a mount namespace of its own,
made by a thread that lives no longer than the work (unshare(2), CLONE_NEWNS: the other threads stay where
they are); a descriptor keeps the namespace, and with its end everything in it is unmounted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.errors import InternalError
from wharfie.images import snapshots
from wharfie.linux import mount, process
from wharfie.linux import path as paths
from wharfie.linux.fd import close_all
from wharfie.volumes.model import MountPoint


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
            fds.append(snapshots.mount_detached(image.lower, container.upper, container.work))
            points = [point for point in container.record.mounts if point.type in ("bind", "volume")]
            if points or container.host_config.readonly_rootfs:
                _furnish(fds, container, points)
        yield fds[0]
    finally:
        close_all(fds)


def _furnish(fds: list[int], container: Container, points: Sequence[MountPoint]) -> None:
    """Give the detached root in ``fds`` its mounts, in a namespace that is added to ``fds``."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            process.unshare(process.CLONE_NEWNS)
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
            fds.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
            place = os.open(container.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                mount.move_mount(fds[0], place)
            finally:
                os.close(place)
            for point in sorted(points, key=lambda point: point.destination.count("/")):
                _attach(fds[0], point)
            if container.host_config.readonly_rootfs:
                mount.mount_setattr(fds[0], set_=mount.ATTR_RDONLY)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=work, name=f"root of {container.short_id}")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]


def _attach(root: int, point: MountPoint) -> None:
    try:
        tree = _tree(point)
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


def _tree(point: MountPoint) -> int:
    """A detached copy of what is mounted; a subpath is resolved inside its volume."""
    flags = mount.OPEN_TREE_CLONE | (mount.AT_RECURSIVE if point.recursive else 0)
    if point.subpath:
        top = os.open(point.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            inner = paths.open_in_root(top, point.subpath)
        finally:
            os.close(top)
        try:
            tree = mount.open_tree(inner, b"", flags | mount.AT_EMPTY_PATH)
        finally:
            os.close(inner)
    else:
        tree = mount.open_tree(mount.AT_FDCWD, point.source, flags)
    try:
        attributes = mount.ATTR_NODEV | mount.ATTR_NOSUID | (0 if point.rw else mount.ATTR_RDONLY)
        whole = mount.AT_EMPTY_PATH | mount.AT_RECURSIVE
        mount.mount_setattr(tree, flags=whole, set_=attributes, propagation=mount.MS_PRIVATE)
    except BaseException:
        os.close(tree)
        raise
    return tree
