"""A user of a container, found from outside: the daemon reads the container's own files, never the host's.

passwd(5), group(5). The files are the image's: only regular ones are read, up to a size, and numbers are
checked (CVE-2024-9676, CVE-2024-40635).
"""

from __future__ import annotations

import os
import stat

from wharfie.errors import InvalidArgument
from wharfie.linux import path as paths

_LIMIT = 1 << 20
_HIGHEST = (1 << 31) - 1


class NoSuchUser(InvalidArgument):
    """The container has no such user or group."""


def owner_in(root: int, user: str) -> tuple[int, int]:
    """``name|uid[:group|gid]`` as numbers, by the files below ``root``; raises NoSuchUser."""
    name, _, group = user.partition(":")
    uid, gid = -1, 0
    if name.isdecimal():
        uid = int(name)
    for line in _lines(root, "/etc/passwd"):
        fields = line.split(":")
        if len(fields) < 4 or not (fields[2].isdecimal() and fields[3].isdecimal()):
            continue
        if fields[0] == name or (uid >= 0 and int(fields[2]) == uid):
            uid, gid = int(fields[2]), int(fields[3])
            break
    if group:
        gid = _group(root, group)
    if uid < 0:
        raise NoSuchUser(f"unable to find user {name}: no matching entries in passwd file")
    if max(uid, gid) > _HIGHEST:
        raise NoSuchUser(f"uids and gids must be in range 0-{_HIGHEST}")
    return uid, gid


def _group(root: int, group: str) -> int:
    if group.isdecimal():
        return int(group)
    for line in _lines(root, "/etc/group"):
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] == group and fields[2].isdecimal():
            return int(fields[2])
    raise NoSuchUser(f"unable to find group {group}: no matching entries in group file")


def _lines(root: int, path: str) -> list[str]:
    try:
        fd = paths.open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        return os.read(fd, _LIMIT).decode("utf-8", "replace").splitlines()
    finally:
        os.close(fd)
