"""How a container's first process comes into being, by the namespaces it is to be in.

Mostly by one clone3(2). A pid namespace to join is where the caller's children are born for a moment. A user
namespace to join has to be entered before the new namespaces are made, or these would belong to another one
and be out of the container's reach; that is a step of no return, so a stand-in takes it::

    caller ── fork ── stand-in: cgroup ─> joined namespaces ─> user namespace ── clone3(CLONE_PARENT) ── ends
    caller <── process id and pidfd
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux import credentials, process
from wharfie.linux.fd import recv_fds, send_fds
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import describe
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.entry import Entry
    from wharfie.runtime.sources import Sources


def give_birth(
    child: Callable[[], object], flags: int, sources: Sources, entry: Entry, *, unprivileged: bool = False
) -> tuple[int, int]:
    """Run ``child`` in new namespaces (``flags``) and those to join; (pid, pidfd) of it.

    It is not dumpable, unless it has a new user namespace of an ``unprivileged`` caller, who could not write
    the id maps then.
    """
    # a process that has changed its user is not dumpable until its next execve
    credentials.set_dumpable(bool(unprivileged and flags & process.CLONE_NEWUSER))
    if sources.user_namespace >= 0:
        return _through_stand_in(child, flags, sources, entry, unprivileged=unprivileged)
    if sources.pid_namespace < 0:
        return process.fork_into(child, flags, cgroup=entry.clone_fd)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # this changes where children are born, not the caller's own namespace (pid_namespaces(7))
        process.setns(sources.pid_namespace, process.CLONE_NEWPID)
        try:
            return process.fork_into(child, flags, cgroup=entry.clone_fd)
        finally:
            process.setns(own, process.CLONE_NEWPID)
    finally:
        os.close(own)


def _through_stand_in(
    child: Callable[[], object], flags: int, sources: Sources, entry: Entry, *, unprivileged: bool
) -> tuple[int, int]:
    outer, inner = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    stand_in = -1
    try:
        try:

            def work() -> None:
                outer.close()
                _stand_in(child, flags, sources, entry, inner, first=unprivileged)

            _, stand_in = process.fork_into(work, cgroup=entry.clone_fd)
        finally:
            inner.close()
        data, fds = recv_fds(outer, 65536, 1)
    finally:
        outer.close()
        if stand_in >= 0:
            process.wait_pidfd(stand_in)
            os.close(stand_in)
    message: dict[str, Any] = json.loads(data) if data else {"error": "the stand-in has died"}
    if "error" in message:
        raise LaunchError(message["error"])
    return message["born"], fds[0]


def _stand_in(
    child: Callable[[], object],
    flags: int,
    sources: Sources,
    entry: Entry,
    sock: _socket.socket,
    *,
    first: bool,
) -> None:
    """``first``: the user namespace comes before the others, over which only it gives any right."""
    doing = "entering the container's cgroup"
    try:
        entry.enter()
        if first:
            doing = "joining the user namespace"
            process.setns(sources.user_namespace, process.CLONE_NEWUSER)
            credentials.set_dumpable(False)
        doing = "joining namespaces"
        for fd, kind in sources.spaces:
            process.setns(fd, kind)
        if sources.pid_namespace >= 0:
            process.setns(sources.pid_namespace, process.CLONE_NEWPID)
        if not first:
            doing = "joining the user namespace"
            process.setns(sources.user_namespace, process.CLONE_NEWUSER)
            credentials.set_dumpable(False)
        doing = "making the container's process"
        # a sibling of ours: the caller's child, or that of the caller's parent as asked
        born = process.fork_into(child, flags | process.CLONE_PARENT)
        send_fds(sock, json.dumps({"born": born[0]}).encode(), born[1:])
    except OSError as error:
        sock.send(json.dumps({"error": f"error {doing}: {describe(error)}"}).encode())
    os._exit(0)
