"""Trees of files as data, to be compared whole: every name with all that a layer can say of it."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wharfie.linux import mount

_RECENT = 3600
_OVERLAY = ("trusted.overlay.", "user.overlay.")


def tree(top: str | bytes) -> dict[bytes, dict[str, Any]]:
    """Everything below ``top`` and itself: kind, mode, owner, times, links, devices, attributes, content."""
    found: dict[bytes, dict[str, Any]] = {}
    inodes: dict[int, list[bytes]] = {}
    root = os.fsencode(top)
    for directory, names, files in os.walk(root):
        names.sort()
        for name in [b"", *sorted(files), *(one for one in names if os.path.islink(directory + b"/" + one))]:
            path = os.path.join(directory, name) if name else directory
            shown = path[len(root) :] or b"/"
            status = os.lstat(path)
            found[shown] = _described(path, status)
            if not stat.S_ISDIR(status.st_mode):
                inodes.setdefault(status.st_ino, []).append(shown)
    for same in inodes.values():
        for name in same:
            found[name]["same as"] = [other for other in same if other != name]
    return found


def _described(path: bytes, status: os.stat_result) -> dict[str, Any]:
    about: dict[str, Any] = {
        "kind": stat.S_IFMT(status.st_mode),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": (status.st_uid, status.st_gid),
        "mtime": status.st_mtime_ns if time.time() - status.st_mtime > _RECENT else "when it was unpacked",
        "xattrs": {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
            if not name.startswith(_OVERLAY)
        },
    }
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            about["content"] = (status.st_size, hashlib.file_digest(file, "sha256").hexdigest())
    if stat.S_ISLNK(status.st_mode):
        about["link"] = os.readlink(path)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        about["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
    return about


def difference(
    ours: dict[bytes, dict[str, Any]], theirs: dict[bytes, dict[str, Any]], *, top: bool = True
) -> list[str]:
    """What differs, one line a name; empty for equal trees. Without ``top`` the root itself may differ."""
    lines = []
    for name in sorted(ours.keys() | theirs.keys()):
        if name == b"/" and not top:
            continue
        left, right = ours.get(name), theirs.get(name)
        if left != right:
            keys = sorted({*(left or {}), *(right or {})})
            parts = [
                f"{key} {(left or {}).get(key)!r} / {(right or {}).get(key)!r}"
                for key in keys
                if (left or {}).get(key) != (right or {}).get(key)
            ]
            lines.append(f"{name!r}: {'; '.join(parts)}")
    return lines


@contextmanager
def mounted(layers: list[str]) -> Iterator[str]:
    """Overlayfs layers (topmost first) as one tree, at no path; where it can be read."""
    if len(layers) == 1:
        yield layers[0]
        return
    context = mount.fsopen("overlay")
    try:
        for layer in layers:
            mount.fsconfig_string(context, "lowerdir+", layer)
        mount.fsconfig_create(context)
        root = mount.fsmount(context, 0)
    finally:
        os.close(context)
    try:
        yield f"/proc/self/fd/{root}/."
    finally:
        os.close(root)


def of_graph(data: dict[str, str]) -> dict[bytes, dict[str, Any]]:
    """The tree of an image by what its inspection says of overlay2's directories."""
    with mounted([data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))]) as top:
        return tree(top)
