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
    uid, gid = _number(name), 0
    for line in _lines(root, "/etc/passwd"):
        fields = line.split(":")
        numbers = [_number(field) for field in fields[2:4]]
        if len(numbers) < 2 or min(numbers) < 0:
            continue
        if fields[0] == name or (uid >= 0 and numbers[0] == uid):
            uid, gid = numbers
            break
    if group:
        gid = _group(root, group)
    if uid < 0:
        raise NoSuchUser(f"unable to find user {name}: no matching entries in passwd file")
    if max(uid, gid) > _HIGHEST:
        raise NoSuchUser(f"uids and gids must be in range 0-{_HIGHEST}")
    return uid, gid


def _group(root: int, group: str) -> int:
    if _number(group) >= 0:
        return _number(group)
    for line in _lines(root, "/etc/group"):
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] == group and _number(fields[2]) >= 0:
            return _number(fields[2])
    raise NoSuchUser(f"unable to find group {group}: no matching entries in group file")


def _number(text: str) -> int:
    """An id, however long; -1 for what is none."""
    if not (text.isascii() and text.isdigit()):
        return -1
    return int(text) if len(text) <= 20 else _HIGHEST + 1


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
