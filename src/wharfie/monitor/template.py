"""A monitor made ahead of need, around descriptors that lead nowhere.

What a monitor consists of is the same for most containers: two pipes, a log file, a link. So the spawner
makes it, and a monitor that was forked from there only puts its own descriptors in the places of the others.
Made anew in each, the same objects would cost 400 KiB: nearly each type, function and name that is looked at
for the first time lies on a page of its own.
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux.fd import close_all
from wharfie.monitor.launched import USUAL
from wharfie.monitor.monitor import Monitor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.monitor.launched import Told

_SOCKETS = ("listener", "link")


class Template:
    """A monitor of a container with pipes for its output, no input, and a log."""

    __slots__ = ("_monitor", "_places")

    def __init__(self) -> None:
        places: dict[str, int] = {}
        for name in USUAL:
            places[name] = _socket_of_a_pair() if name in _SOCKETS else _end_of_a_pipe()
        self._places = tuple(places.values())
        self._monitor = Monitor(places)

    def become(self, told: Told, fds: list[int]) -> Monitor:
        """The monitor of the container that ``launching.py`` tells of; only in a process of its own."""
        _, names, mounts, pid, directory, log, stdin_once, own_pids, oom_urgent, attachments = told
        if not names:
            streams = fds[len(self._places) :]
            for number, place in enumerate(self._places):
                os.dup2(fds[number], place, False)
                os.close(fds[number])
            monitor = self._monitor
        else:
            self.close()
            streams = fds[len(names) :]
            monitor = Monitor(dict(zip(names, fds, strict=False)), stdin_once=stdin_once)
        if mounts:
            monitor.mounts = streams.pop(0)
        monitor.begin(pid, directory, log, attachments, streams, own_pids=own_pids, oom_urgent=oom_urgent)
        return monitor

    def close(self) -> None:
        """Close the places."""
        close_all(self._places)


def _end_of_a_pipe() -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.close(writer)
    return reader


def _socket_of_a_pair() -> int:
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    place, other = _socket.socketpair(_socket.AF_UNIX, kind)
    other.close()
    return place.detach()
