"""Kernel parameters of a container: which ones belong to a namespace of its own, and how they are written.

They are written through a procfs of ours that nothing is mounted on and no link leads out of, never through
the container's /proc, which its image or its mounts may have redirected (CVE-2025-52881).
"""

from __future__ import annotations

import posix as os

from wharfie.linux.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from wharfie.linux.process import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWUTS
from wharfie.runtime.launch import LaunchError
from wharfie.spec.sysctls import IPC, UTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SAFE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV


def _namespace_of(name: str) -> int:
    if name in IPC or name.startswith("fs.mqueue."):
        return CLONE_NEWIPC
    if name.startswith("net."):
        return CLONE_NEWNET
    if name in UTS:
        return CLONE_NEWUTS
    return CLONE_NEWUSER if name.startswith("user.") else 0


def check_sysctls(sysctls: Sequence[tuple[str, str]], new: int, joined: Sequence[tuple[str, int]]) -> None:
    """Refuse a parameter that would be the host's; raises LaunchError."""
    owned = new
    for _path, flag in joined:
        owned |= flag
    for name, _value in sysctls:
        dotted = name.replace("/", ".")
        flag = _namespace_of(dotted)
        if ".." in dotted or not flag:
            raise LaunchError(f'sysctl "{name}" is not in a separate kernel namespace')
        if not owned & flag:
            raise LaunchError(f'sysctl "{name}" is not allowed in the hosts kernel namespace')


def write_proc(proc: int, path: str, value: str) -> None:
    """Write one file below our own procfs; raises OSError."""
    fd = openat2(proc, path, os.O_WRONLY | os.O_NOFOLLOW, SAFE)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def write_sysctls(proc: int, sysctls: Sequence[tuple[str, str]]) -> None:
    """Set the parameters; raises LaunchError."""
    for name, value in sysctls:
        # a name with slashes may have dots of its own in it (an interface's, sysctl(8))
        path = name if "/" in name else name.replace(".", "/")
        try:
            write_proc(proc, f"sys/{path}", value)
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise LaunchError(f'setting sysctl "{name}" to "{value}" failed: {reason}') from None
