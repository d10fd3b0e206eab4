"""Whether mounts can travel between the host and a bind mount (mount_namespaces(7), "Shared subtrees")."""

from __future__ import annotations

import os

from wharfie.errors import InternalError

_SHARED = frozenset({"shared", "rshared"})
_SLAVE = frozenset({"slave", "rslave"})


class NotShared(InternalError):
    """The source of a bind mount lies on a mount that passes nothing on."""


def check(source: str, propagation: str) -> None:
    """Raises NotShared, in Docker's words, where the propagation asked for would do nothing."""
    if propagation not in _SHARED | _SLAVE:
        return
    real = os.path.realpath(source)
    place, fields = _mount_of(real)
    kinds = {field.partition(":")[0] for field in fields}
    if propagation in _SHARED and "shared" not in kinds:
        raise NotShared(f"path {source} is mounted on {place} but it is not a shared mount")
    if propagation in _SLAVE and not kinds & {"shared", "master"}:
        raise NotShared(f"path {source} is mounted on {place} but it is not a shared or slave mount")


def _mount_of(path: str) -> tuple[str, list[str]]:
    """Where the mount is that a path lies on, and its optional fields (proc_pid_mountinfo(5))."""
    found: tuple[str, list[str]] = ("/", [])
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before = line.partition(" - ")[0].split(" ")
            place = _plain(before[4])
            # of several at one place the last one is on top
            if f"{path}/".startswith(place.rstrip("/") + "/") and len(place) >= len(found[0]):
                found = place, before[6:]
    return found


def _plain(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
