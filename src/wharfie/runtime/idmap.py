"""Id-mapped layers: a container with a user namespace sees its image's files as its own.

The store keeps the files as the image has them (uid 0 is 0 on disk); each layer is mounted by way of the
container's mapping (mount_setattr(2), MOUNT_ATTR_IDMAP) before the overlay is put together, so nothing is
copied or chowned. The upper and the work directory must come from one mount: their parent's.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.linux import credentials, mount
from wharfie.linux.fd import close_all
from wharfie.linux.process import CLONE_NEWUSER, fork_into, pidfd_send_signal, wait_pidfd
from wharfie.spec.mounts import OVERLAY_OFF
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def write_maps(pid: int, uids: list[dict[str, int]], gids: list[dict[str, int]]) -> None:
    """Write the id maps of a process's new user namespace (user_namespaces(7)); raises OSError."""
    write_map(pid, "uid", uids)
    write_map(pid, "gid", gids)


def write_map(pid: int, kind: str, mappings: list[dict[str, int]]) -> None:
    """Write one of them, "uid" or "gid"; raises OSError."""
    lines = [f"{item['containerID']} {item['hostID']} {item['size']}\n" for item in mappings]
    write_file(f"/proc/{pid}/{kind}_map", "".join(lines))


def write_file(path: str, text: str) -> None:
    """Write a file of procfs, which takes all in one call; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def user_namespace(uids: list[dict[str, int]], gids: list[dict[str, int]]) -> int:
    """A descriptor of a user namespace with these maps; nobody is in it. Raises OSError."""
    reader, writer = os.pipe()
    try:
        pid, pidfd = fork_into(lambda: os.read(reader, 1), CLONE_NEWUSER)
        try:
            write_maps(pid, uids, gids)
            return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            pidfd_send_signal(pidfd, 9)
            wait_pidfd(pidfd)
            os.close(pidfd)
    finally:
        close_all((reader, writer))


def mapped_tree(path: str, userns: int) -> int:
    """A detached mount of ``path`` with ids translated; raises OSError where its file system cannot."""
    tree = mount.open_tree(mount.AT_FDCWD, path, mount.OPEN_TREE_CLONE)
    try:
        mount.mount_setattr(tree, set_=mount.ATTR_IDMAP, userns=userns)
    except BaseException:
        os.close(tree)
        raise
    return tree


def map_tree(
    tree: int, mapping: tuple[list[dict[str, int]], list[dict[str, int]]], *, recursive: bool
) -> None:
    """Translate the ids of a detached mount, with ``recursive`` of all below it; raises OSError."""
    userns = user_namespace(*mapping)
    try:
        flags = mount.AT_EMPTY_PATH | (mount.AT_RECURSIVE if recursive else 0)
        mount.mount_setattr(tree, flags=flags, set_=mount.ATTR_IDMAP, userns=userns)
    finally:
        os.close(userns)


class _FileOwner:
    """Act on files as a mapped user for a moment, with all capabilities.

    Overlay keeps the credentials it was made with and makes its work files by them; our own ids have no place
    in the mapping (EOVERFLOW). Leaving fsuid 0 takes the file capabilities away (capabilities(7)).
    """

    __slots__ = ("_ids", "_sets")

    def __init__(self, ids: tuple[int, int]) -> None:
        self._ids = ids

    def __enter__(self) -> None:
        self._sets = credentials.capget()
        credentials.set_file_owner(*self._ids)
        credentials.capset(*self._sets)

    def __exit__(self, *_details: object) -> None:
        credentials.set_file_owner(os.geteuid(), os.getegid())
        credentials.capset(*self._sets)


def mapped_overlay(rootfs: dict[str, Any], userns: int, userns_root: tuple[int, int]) -> int:
    """A detached overlay of id-mapped layers; ``userns_root`` is the host's id of root."""
    trees: list[int] = []
    context = mount.fsopen("overlay")
    try:
        mount.fsconfig_string(context, "source", "overlay")
        for layer in rootfs["lower"]:
            trees.append(mapped_tree(layer, userns))
            mount.fsconfig_string(context, "lowerdir+", f"/proc/self/fd/{trees[-1]}")
        parent = paths.dirname(rootfs["upper"])
        writable = rootfs.get("disk", -1)
        if writable < 0:
            trees.append(mapped_tree(parent, userns))
            writable = trees[-1]
        else:
            mount.mount_setattr(writable, set_=mount.ATTR_IDMAP, userns=userns)
        for key, name in (("upperdir", "upper"), ("workdir", "work")):
            relative = paths.relpath(rootfs[name], parent)
            mount.fsconfig_string(context, key, f"/proc/self/fd/{writable}/{relative}")
        for option in OVERLAY_OFF:
            mount.fsconfig_string(context, option, "off")
        with _FileOwner(userns_root):
            mount.fsconfig_create(context)
        return mount.fsmount(context)
    finally:
        os.close(context)
        close_all(trees)


def root_of(mappings: list[dict[str, int]]) -> int:
    """The host's id of id 0 inside; raises OSError (EINVAL) where there is none."""
    for item in mappings:
        if item["containerID"] == 0 and item["size"] > 0:
            return item["hostID"]
    raise OSError(errno.EINVAL, "id 0 is not mapped")
