"""Work in a forked child, so that the memory it takes is given back when it is done.

Making a container or joining one touches a megabyte of the heap that a monitor otherwise shares with all
others (every look at a Python object writes its reference count). So a child does it and sends what it made:
pids and descriptors. The processes it made become the monitor's children when it ends: the monitor is their
nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import _socket
import os
import sys

from wharfie.errors import WharfieError
from wharfie.linux.fd import close_all
from wharfie.monitor import protocol
from wharfie.runtime.launch import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Made = tuple[dict[str, Any], list[int]]


class Aside:
    """What a child made: a message and descriptors. ``wait`` before the processes it made are waited for."""

    __slots__ = ("_pid", "fds", "made")

    def __init__(self, work: Callable[[], Made]) -> None:
        """Run ``work`` in a child until it has sent its result; raises LaunchError when it raised."""
        ours, theirs = _socketpair()
        try:
            self._pid = os.fork()
            if not self._pid:
                _child(work, theirs)
            theirs.close()
            received = protocol.receive(ours)
        finally:
            ours.close()
            theirs.close()
        if received is None:
            self.wait()
            raise LaunchError("the process that starts programs died")
        self.made, self.fds = received
        if "error" in self.made:
            self.wait()
            close_all(self.fds)
            raise LaunchError(self.made["error"], self.made["code"])

    def wait(self) -> None:
        """Wait for the child's end."""
        os.waitpid(self._pid, 0)


def _socketpair() -> tuple[_socket.socket, _socket.socket]:
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)


def _child(work: Callable[[], Made], sock: _socket.socket) -> None:
    status = 1
    try:
        try:
            made, fds = work()
        except (WharfieError, OSError, ValueError, KeyError) as error:
            made, fds = {"error": sentence(error), "code": getattr(error, "exit_code", 125)}, []
        protocol.send(sock, made, fds)
        status = 0
    except BaseException:
        # the hook written in C: nothing may be imported here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(status)


def sentence(error: BaseException) -> str:
    """What went wrong, for the client."""
    return str(error) if isinstance(error, (WharfieError, OSError)) else f"a request was wrong: {error!r}"
