"""The writable side of a container: its overlay directories, and mounts without a place.

kernel, ``filesystems/overlayfs.rst``. A running container's overlay is mounted by the container itself, in
its own mount namespace; for what the daemon does to a stopped one (``cp``, ``diff``, ``export``) a mount is
made that is a descriptor only, attached to no path, and gone with it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from wharfie.errors import NotSupported
from wharfie.linux import mount
from wharfie.spec.mounts import OVERLAY_OFF


def prepare(container_dir: str, lower: Sequence[str] = ()) -> tuple[str, str]:
    """Make ``upper`` and ``work`` in a container's directory; their paths.

    The root directory gets owner and mode of the topmost layer's, since in an overlay the upper one counts.
    """
    upper, work = os.path.join(container_dir, "upper"), os.path.join(container_dir, "work")
    owner, mode = (0, 0), 0o755
    if lower:
        found = os.stat(lower[0])
        owner, mode = (found.st_uid, found.st_gid), stat.S_IMODE(found.st_mode)
    for path in (upper, work):
        os.mkdir(path, 0o700)
    os.chown(upper, *owner)
    os.chmod(upper, mode)
    return upper, work


def mount_detached(lower: Sequence[str], upper: str, work: str, *, volatile: bool = False) -> int:
    """The container's root as a directory descriptor of a mount that is nowhere; closing it unmounts.

    ``volatile``: closing it does not write the whole file system to the disk, nor does fsync(2) in it do
    anything; ``work`` cannot be used again. For what is thrown away, or synced by the caller.

    Raises:
        NotSupported: the kernel has no overlayfs, or cannot take so many layers.
        OSError: a directory is missing.
    """
    try:
        context = mount.fsopen("overlay")
    except OSError as error:
        raise NotSupported(f"this kernel cannot mount overlay file systems: {error.strerror}") from error
    try:
        _add_layers(context, lower)
        if upper:
            mount.fsconfig_string(context, "upperdir", upper)
            mount.fsconfig_string(context, "workdir", work)
        for option in OVERLAY_OFF:
            mount.fsconfig_string(context, option, "off")
        if volatile:
            mount.fsconfig_flag(context, "volatile")
        mount.fsconfig_create(context)
        return mount.fsmount(context, mount.ATTR_NODEV | mount.ATTR_NOSUID)
    finally:
        os.close(context)


def mount_read_only(lower: Sequence[str], upper: str) -> int:
    """The same to read only, as a second view of a container that may be running; closing it unmounts."""
    if not lower:  # overlayfs wants two directories; a single one needs no overlay
        return os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return mount_detached([upper, *lower], "", "")


def _add_layers(context: int, lower: Sequence[str]) -> None:
    """One ``lowerdir+`` a layer (kernel 6.5); before that one option with all, of 255 bytes at most."""
    try:
        for directory in lower:
            mount.fsconfig_string(context, "lowerdir+", directory)
        return
    except OSError as error:
        if error.errno != errno.EINVAL or not lower:
            raise
    prefix = os.path.commonpath(lower) if len(lower) > 1 else os.path.dirname(lower[0])
    joined = ":".join(path.replace("\\", "\\\\").replace(":", "\\:") for path in lower)
    if len(joined) > 255:
        raise NotSupported(
            f"this kernel cannot mount {len(lower)} layers below {prefix}; a kernel from 6.5 on can"
        )
    mount.fsconfig_string(context, "lowerdir", joined)
