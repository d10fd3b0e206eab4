"""What ``os`` and ``os.path`` have that ``posix`` has not, for cold modules: importing ``os`` costs 1 ms.

``os`` is mostly ``posix`` under another name, but it loads the abstract classes of collections, ``stat`` and
``posixpath`` first. So modules of the start path say ``import posix as os`` and take the rest from here
(environment variables from ``support/environment.py``). Each function does what its namesake does, for
strings.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_KIND, _DIRECTORY, _FILE = 0o170000, 0o040000, 0o100000
"""Of a mode (inode(7))."""
_MOST_LINKS = 40
"""That the kernel follows (path_resolution(7))."""


def fsencode(name: str | bytes) -> bytes:
    """A name as the kernel has it."""
    return name.encode(_ENCODING, _ERRORS) if isinstance(name, str) else name


def exists(path: str) -> bool:
    """Whether there is something, links followed."""
    return _mode(path) is not None


def isdir(path: str) -> bool:
    """Whether it is a directory, links followed."""
    return (_mode(path) or 0) & _KIND == _DIRECTORY


def isfile(path: str) -> bool:
    """Whether it is a regular file, links followed."""
    return (_mode(path) or 0) & _KIND == _FILE


def lexists(path: str) -> bool:
    """Whether there is something, be it a link that leads nowhere."""
    try:
        posix.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _mode(path: str) -> int | None:
    try:
        return posix.stat(path).st_mode
    except (OSError, ValueError):  # ValueError: a name that cannot be
        return None


def samestat(one: posix.stat_result, other: posix.stat_result) -> bool:
    """Whether both are of the same file."""
    return one.st_ino == other.st_ino and one.st_dev == other.st_dev


def split(path: str) -> tuple[str, str]:
    """(all up to the last slash, what follows it)."""
    cut = path.rfind("/") + 1
    head = path[:cut]
    return head.rstrip("/") or head, path[cut:]


def dirname(path: str) -> str:
    """All up to the last slash."""
    return split(path)[0]


def basename(path: str) -> str:
    """What follows the last slash."""
    return split(path)[1]


def join(directory: str, *names: str) -> str:
    """The names below a directory, from the last absolute one on."""
    path = directory
    for name in names:
        if name.startswith("/"):
            path = name
        elif not path or path.endswith("/"):
            path += name
        else:
            path = f"{path}/{name}"
    return path


def normpath(path: str) -> str:
    """Without "." and "..", and one slash where there are more (two at the beginning are kept)."""
    root = path[: len(path) - len(path.lstrip("/"))]
    if len(root) > 2:
        root = "/"
    kept: list[str] = []
    for name in path.split("/"):
        if name == ".." and (kept[-1:] == [".."] or (not kept and not root)):
            kept.append(name)
        elif name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(name)
    return root + "/".join(kept) or "."


def abspath(path: str) -> str:
    """Normalised, from the working directory on."""
    return normpath(path if path.startswith("/") else join(posix.getcwd(), path))


def realpath(path: str) -> str:
    """Absolute and without links; names that there are not are taken as they are."""
    rest = (path if path.startswith("/") else join(posix.getcwd(), path)).split("/")[::-1]
    place = ""
    links = 0
    while rest:
        name = rest.pop()
        if name == "..":
            place = place.rpartition("/")[0]
        elif name not in ("", "."):
            try:
                target = posix.readlink(f"{place}/{name}")
            except OSError:  # no link, or not there
                place = f"{place}/{name}"
                continue
            links += 1
            if links > _MOST_LINKS:
                import os  # they lead in a circle

                return os.path.realpath(path)
            if target.startswith("/"):
                place = ""
            rest += target.split("/")[::-1]
    return place or "/"


def relpath(path: str, start: str) -> str:
    """The way from ``start`` to ``path``."""
    here, there = _names(abspath(start)), _names(abspath(path))
    same = _common([here, there])
    return "/".join([".."] * (len(here) - same) + there[same:]) or "."


def commonpath(paths: Sequence[str]) -> str:
    """The directory that all absolute paths share."""
    names = [_names(path) for path in paths]
    return "/" + "/".join(names[0][: _common(names)])


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _common(paths: list[list[str]]) -> int:
    """How many names at the beginning are the same."""
    first, last = min(paths), max(paths)
    for position, name in enumerate(first):
        if last[position : position + 1] != [name]:
            return position
    return len(first)


def makedirs(path: str, mode: int = 0o777, *, exist_ok: bool = False) -> None:
    """Make a directory of this mode and those above it; raises OSError."""
    parent, name = split(path)
    if not name:
        parent, name = split(parent)
    if parent and name and not exists(parent):
        try:
            makedirs(parent, exist_ok=exist_ok)
        except FileExistsError:
            pass  # somebody else made it meanwhile
        if name == ".":  # "new/." is there once "new" is
            return
    try:
        posix.mkdir(path, mode)
    except OSError:
        # whatever the error: a read-only file system may say so before it says that it is there
        if not exist_ok or not isdir(path):
            raise
