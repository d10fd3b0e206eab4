"""Who a container's process is: ``name|uid[:group|gid]`` by the container's own /etc/passwd and /etc/group.

Both files belong to the image, so to a stranger: they are opened without following links out of the root,
must be regular, are read up to a limit, and a number beyond the range of ids is refused and never wrapped to
0. The rules (a number is always an id; an unknown one is fine and gets group 0) are Docker's.
"""

from __future__ import annotations

import _stat as stat
import posix as os

from wharfie.linux.path import open_in_root
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.processplan import MAX_ID

_LIMIT = 4 << 20


class Identity:
    """A resolved user."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def _read(root: int, path: str) -> str:
    """The content of a database file, "" where there is none."""
    try:
        # O_NONBLOCK: the open of a FIFO must not wait for a writer
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise LaunchError(f"{path} in the container is not a regular file")
        parts, left = [], _LIMIT + 1
        while left > 0 and (part := os.read(fd, min(left, 65536))):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(fd)
    if left <= 0:
        raise LaunchError(f"{path} in the container is larger than {_LIMIT} bytes")
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _number(text: str) -> int | None:
    """The id that ``text`` spells, None if it is no number; raises LaunchError beyond the range."""
    if not text or not text.isascii() or not text.isdigit():
        return None
    if len(text) > 10 or int(text) > MAX_ID:
        raise LaunchError(f"uids and gids must be in range 0-{MAX_ID}")
    return int(text)


def _entries(content: str, fields: int) -> list[list[str]]:
    found = []
    for line in content.split("\n"):
        parts = line.strip().split(":")
        if len(parts) >= fields and not line.startswith("#"):
            found.append(parts)
    return found


def _entry_id(text: str) -> int:
    """An id out of a database; a nonsensical one matches nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1


def _find_user(root: int, name: str) -> tuple[int, int, str, str]:
    """(uid, gid, login name, home) of the user part; raises LaunchError."""
    wanted = _number(name)
    for parts in _entries(_read(root, "/etc/passwd"), 4):
        uid, gid = _entry_id(parts[2]), _entry_id(parts[3])
        if (uid == wanted) if wanted is not None else (parts[0] == name):
            if not (0 <= uid <= MAX_ID and 0 <= gid <= MAX_ID):
                raise LaunchError(f"uids and gids must be in range 0-{MAX_ID}")
            return uid, gid, parts[0], parts[5] if len(parts) > 5 else ""
    if wanted is None:
        raise LaunchError(f"unable to find user {name}: no matching entries in passwd file")
    return wanted, 0, "", ""


def _find_group(groups: list[list[str]], name: str, unable: str = "unable") -> int:
    wanted = _number(name)
    for parts in groups:
        gid = _entry_id(parts[2])
        if (gid == wanted) if wanted is not None else (parts[0] == name):
            if not 0 <= gid <= MAX_ID:
                raise LaunchError(f"uids and gids must be in range 0-{MAX_ID}")
            return gid
    if wanted is None:
        raise LaunchError(f"{unable} to find group {name}: no matching entries in group file")
    return wanted


def resolve(root: int, text: str, additional: list[str]) -> Identity:
    """Resolve ``name|uid[:group|gid]`` and further groups inside ``root``; raises LaunchError (125)."""
    name, colon, group = text.partition(":")
    uid, gid, login, home = _find_user(root, name or "0")
    groups: list[list[str]] = []
    if login or group or additional:
        groups = _entries(_read(root, "/etc/group"), 3)
    if colon and group:
        gid = _find_group(groups, group)
        memberships = []
    else:
        memberships = [
            _entry_id(parts[2])
            for parts in groups
            if login and len(parts) > 3 and login in parts[3].split(",") and _entry_id(parts[2]) <= MAX_ID
        ]
    # the primary group is told again, so that dropping it does not give access (CVE-2022-36109)
    found = [gid]
    for number in [*memberships, *(_find_group(groups, item, "Unable") for item in additional)]:
        if number not in found and number >= 0:
            found.append(number)
    return Identity(uid, gid, found, home or "/")


def home_of(root: int, uid: int) -> str:
    """The home directory of a user by number, "/" where none is written down."""
    for parts in _entries(_read(root, "/etc/passwd"), 6):
        if _entry_id(parts[2]) == uid:
            return parts[5] or "/"
    return "/"
