"""The writable side of a container: overlay directories, what changed in them, and mounts without a place.

kernel, ``filesystems/overlayfs.rst``. A running container's overlay is mounted by the container itself, in
its own mount namespace; for what the daemon does to a stopped one (``cp``, ``diff``, ``export``) a mount is
made that is a descriptor only, attached to no path, and gone with it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from wharfie.errors import NotSupported
from wharfie.images import whiteout
from wharfie.linux import mount
from wharfie.linux import path as paths

# with these a file in the upper layer would lean on the lower ones, and a commit would lose it
_PLAIN = ("redirect_dir", "metacopy", "index")

MODIFIED, ADDED, DELETED = 0, 1, 2


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


def mount_detached(lower: Sequence[str], upper: str, work: str) -> int:
    """The container's root as a directory descriptor of a mount that is nowhere; closing it unmounts.

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
        for option in _PLAIN:
            mount.fsconfig_string(context, option, "off")
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


def size(upper: str) -> int:
    """Bytes of the files a container has written."""
    total = 0
    seen: set[int] = set()
    for _, found in _walk(upper):
        if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
            if found.st_nlink > 1:
                seen.add(found.st_ino)
            total += found.st_size
    return total


def _walk(top: str) -> Iterator[tuple[bytes, os.stat_result]]:
    """Everything below ``top`` in order, relative, no link followed; what vanishes meanwhile is left out."""
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _walk_at(root, b"")
    finally:
        os.close(root)


def _walk_at(directory: int, prefix: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    for name in sorted(os.fsencode(name) for name in os.listdir(directory)):
        path = prefix + b"/" + name
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield path, found
        if stat.S_ISDIR(found.st_mode):
            try:
                child = os.open(
                    name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
                )
            except OSError:
                continue
            try:
                yield from _walk_at(child, path)
            finally:
                os.close(child)


def changes(lower: Sequence[str], upper: str) -> list[tuple[int, str]]:
    """What a container changed: kind and absolute path, in order, as ``docker diff`` tells it."""
    below = _Below(lower)
    found: list[tuple[int, str]] = []
    try:
        for path, status in _walk(upper):
            shown = os.fsdecode(path)
            if whiteout.is_mark(status):
                found.append((DELETED, shown))
                continue
            old = below.find(path)
            if old is None:
                found.append((ADDED, shown))
            elif not (stat.S_ISDIR(status.st_mode) and _same(status, old)):
                # a directory is in the upper layer also because something in it changed
                found.append((MODIFIED, shown))
            elif stat.S_ISDIR(status.st_mode):
                found.append((MODIFIED, shown))
    finally:
        below.close()
    return found


def _same(new: os.stat_result, old: os.stat_result) -> bool:
    return (new.st_mode, new.st_uid, new.st_gid, new.st_mtime_ns) == (
        old.st_mode,
        old.st_uid,
        old.st_gid,
        old.st_mtime_ns,
    )


class _Below:
    """Looks names up in a stack of layers, as overlayfs does."""

    def __init__(self, lower: Sequence[str]) -> None:
        self._layers = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lower]

    def find(self, path: bytes) -> os.stat_result | None:
        """What the layers together have at ``path``."""
        relative = path.lstrip(b"/")
        for layer in self._layers:
            hidden = False
            parts = relative.split(b"/")
            for depth in range(1, len(parts) + 1):
                try:
                    fd = paths.openat2(
                        layer,
                        b"/".join(parts[:depth]),
                        os.O_PATH | os.O_NOFOLLOW,
                        paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
                        if depth < len(parts)
                        else paths.RESOLVE_BENEATH,
                    )
                except OSError:
                    break
                try:
                    status = os.fstat(fd)
                    if whiteout.is_mark(status):
                        return None
                    if depth == len(parts):
                        return status
                    if not stat.S_ISDIR(status.st_mode):
                        return None
                    hidden = hidden or whiteout.is_opaque(fd)
                finally:
                    os.close(fd)
            if hidden:
                return None
        return None

    def close(self) -> None:
        """Let go of the layers."""
        for fd in self._layers:
            os.close(fd)
