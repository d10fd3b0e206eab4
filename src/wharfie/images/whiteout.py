"""Deletions in a layer: ``.wh.`` names in archives, overlayfs marks on disk.

OCI image-spec, ``layer.md``, "Whiteouts"; kernel, ``filesystems/overlayfs.rst``: a character device 0/0 hides
a name of the layers below, and a directory with ``trusted.overlay.opaque=y`` hides all that they have in it.
"""

from __future__ import annotations

import os
import stat

from wharfie.images import tar
from wharfie.images.tar import BadArchive

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
_META = b".wh..wh."
ATTRIBUTE = "trusted.overlay.opaque"


def is_mark(found: os.stat_result) -> bool:
    """Whether this is a whiteout as overlayfs has it."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_whiteout(parent: int, name: bytes) -> bool:
    """Whether ``name`` is hidden by the layer it would be in."""
    return is_mark(os.stat(name, dir_fd=parent, follow_symlinks=False))


def is_opaque(directory: int) -> bool:
    """Whether a directory (open, O_PATH will do) hides what lower layers have in it."""
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", ATTRIBUTE) == b"y"
    except OSError:
        return False


def make_opaque(parent: int, name: bytes) -> None:
    """Hide what lower layers have in the directory ``name``."""
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.setxattr(f"/proc/self/fd/{fd}", ATTRIBUTE, b"y")
    finally:
        os.close(fd)


def apply(parent: int, name: bytes) -> None:
    """Do what the whiteout ``name`` of an archive says, in the directory ``parent``.

    It speaks of the layers below only: what the same archive puts at the name stays, and a directory becomes
    opaque.
    """
    if name == OPAQUE:
        os.setxattr(f"/proc/self/fd/{parent}", ATTRIBUTE, b"y")
        return
    if name.startswith(_META):
        return  # bookkeeping of aufs, no deletion
    hidden = name[len(PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise BadArchive(f'the archive has an invalid whiteout "{tar.shown(name)}"')
    try:
        os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(hidden, dir_fd=parent, follow_symlinks=False).st_mode):
            make_opaque(parent, hidden)
