"""Reading and writing control files.

A control file takes one write(2) with one whole value (cgroups(7)), so there is no buffering and no loop.
Paths are absolute and nothing is kept open between calls: a monitor is forked from the spawner and closes
what it does not know, and a walk below /sys/fs/cgroup costs less than a microsecond.
"""

from __future__ import annotations

import posix as os

from wharfie.runtime.cgroups.errors import CgroupFailure


def write(path: str, text: str) -> None:
    """Write one value; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Writer:
    """Writes values one after the other; a file that takes several in a row is opened once."""

    __slots__ = ("_fd", "_path")

    def __init__(self) -> None:
        self._path = ""
        self._fd = -1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, path: str, text: str) -> None:
        """Write one value; raises OSError."""
        if path != self._path:
            self._close()
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            self._path = path
        os.write(self._fd, text.encode())

    def _close(self) -> None:
        if self._path:
            self._path = ""
            os.close(self._fd)


def read(path: str) -> str:
    """The whole content, without the last newline; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts).decode("ascii", "replace").rstrip("\n")


def read_or(path: str, default: str) -> str:
    """As ``read``, or ``default`` where this kernel has no such file (or the group is gone)."""
    try:
        return read(path)
    except OSError:
        return default


def number(text: str, default: int = 0) -> int:
    """The number a control file holds; ``default`` for ``max`` and for nothing."""
    try:
        return int(text)
    except ValueError:
        return default


def flat_keyed(text: str) -> dict[str, int]:
    """``name value`` lines, as in memory.stat and cpu.stat."""
    result = {}
    for line in text.split("\n"):
        name, _, value = line.partition(" ")
        if value.isdigit():
            result[name] = int(value)
    return result


def oom_kills(path: str) -> int:
    """The ``oom_kill`` counter of memory.oom_control or memory.events; raises OSError."""
    _, found, rest = f"\n{read(path)}\n".partition("\noom_kill ")
    return int(rest.partition("\n")[0]) if found else 0


def children(path: str) -> list[str]:
    """Absolute paths of the groups right below ``path``; none when it is gone."""
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def processes(path: str, recursive: bool = True) -> list[int]:
    """Process ids in the group, and in those below it; none when it is gone."""
    found = []
    try:
        found = [int(word) for word in read(f"{path}/cgroup.procs").split()]
    except OSError:
        # ENODEV: removed meanwhile; EOPNOTSUPP: a threaded group of version 2, whose processes its root lists
        pass
    if recursive:
        for child in children(path):
            found += processes(child)
    return found


def make(base: str, path: str, made: list[str], inherit: Inherit | None = None) -> bool:
    """mkdir ``base + path`` with all its parents; what was made is appended to ``made``, outermost first.

    ``inherit(group)`` is called on each new group. Returns whether the group itself is new. Raises OSError.
    """
    full = base + path
    try:
        os.mkdir(full, 0o755)
    except FileExistsError:
        return False
    except FileNotFoundError:
        parent = path.rpartition("/")[0]
        if not parent:
            raise
        make(base, parent, made, inherit)
        return make(base, path, made, inherit)
    made.append(full)
    if inherit is not None:
        inherit(full)
    return True


def remove(path: str) -> None:
    """rmdir the group and all below it, innermost first; gone already is fine. Raises OSError (EBUSY)."""
    try:
        os.rmdir(path)
        return
    except FileNotFoundError:
        return
    except OSError:
        below = children(path)
        if not below:
            raise
    for child in below:
        remove(child)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass


def clean_path(path: str) -> str:
    """``path`` as ``/a/b``; the root of a hierarchy and ``..`` are not for containers."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\n" in path or "\0" in path:
        raise CgroupFailure(f'"{path}" cannot be the path of a container\'s control group.')
    return "/" + "/".join(parts)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Inherit = Callable[[str], None]
