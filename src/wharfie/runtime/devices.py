"""The container's /dev: nodes and links, all made relative to descriptors."""

from __future__ import annotations

import posix as os

from wharfie.linux import mount, path
from wharfie.linux.mount import AT_FDCWD, OPEN_TREE_CLONE
from wharfie.runtime.launch import LaunchError
from wharfie.spec.devices import KERNEL_CORE, LINKS
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.plan import Device


def make_devices(root: int, dev: int, devices: list[Device], *, bind: bool) -> None:
    """Make the nodes below ``root`` (``dev`` is its /dev) and the usual links.

    ``bind``: in a user namespace mknod(2) is denied, the host's nodes are bound instead. The umask must be 0.
    Raises OSError, LaunchError.
    """
    for device in devices:
        directory, name = path.split_in_root(device.path)
        parent = dev if directory == "/dev" else path.make_directories(root, directory)
        try:
            if bind:
                _bind_node(parent, name, device)
            else:
                _make_node(parent, name, device)
        finally:
            if parent != dev:
                os.close(parent)
    for name, target in LINKS:
        if target == KERNEL_CORE and not paths.lexists(KERNEL_CORE):
            continue
        try:
            os.symlink(target, name, dir_fd=dev)
        except FileExistsError:
            continue


def _make_node(parent: int, name: str, device: Device) -> None:
    try:
        os.mknod(name, device.mode, device.device, dir_fd=parent)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (found.st_mode & 0o170000, found.st_rdev) != (device.mode & 0o170000, device.device):
            raise LaunchError(f"{device.path} exists in the image and is another file") from None
        return
    if device.uid or device.gid:
        os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)


def _bind_node(parent: int, name: str, device: Device) -> None:
    tree = mount.open_tree(AT_FDCWD, device.path, OPEN_TREE_CLONE)
    try:
        if os.fstat(tree).st_rdev != device.device:
            raise LaunchError(f"{device.path} is another device on the host")
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=parent))
        except FileExistsError:
            pass
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            mount.move_mount(tree, place)
        finally:
            os.close(place)
    finally:
        os.close(tree)
