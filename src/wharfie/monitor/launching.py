"""A launch, whole, in the child that a monitor forks for it: its memory goes with it.

::

    spawner ──care, fds [document, link, stream...]──▶ this child        (the monitor only waits)
    child ──"started" on the link, then all of it, fds──▶ monitor
          ──"failed" on the link, then its end──────────▶ monitor        all is undone

When the monitor hears of the container, everything it owns is there and open; all that it does itself is to
look after it. So it touches little of the heap that it shares with all other monitors.
"""

from __future__ import annotations

import _socket
import os

from wharfie.errors import WharfieError
from wharfie.logs import jsonfile
from wharfie.monitor import links, protocol
from wharfie.monitor.aside import sentence
from wharfie.monitor.creation import create
from wharfie.monitor.process import Stdio
from wharfie.monitor.warn import warn
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support import json
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CARE = ("id", "directory", "log", "tty", "stdin_once", "seccomp_path", "attachments")


def launch(spawner: _socket.socket, monitor: _socket.socket) -> None:
    """Wait for a request from ``spawner`` and carry it out."""
    received = protocol.receive(spawner)
    if received is None:
        return
    message, (document, link_fd, *streams) = received
    care = message["care"]
    link = _socket.socket(fileno=link_fd)
    launch = Launch(care)
    try:
        status = launch.make(document)
    except (WharfieError, OSError, ValueError, KeyError) as error:
        code = getattr(error, "exit_code", 125)
        _tell(link, {"event": "failed", "message": sentence(error), "code": code})
        return
    # whoever is told is told before the monitor, so that nothing the monitor says can come before
    _tell(link, {"event": "started", **status, "execs": {}})
    launch.fds["link"] = link_fd
    launched = {name: care[name] for name in _CARE}
    launched.update(status=status, own_pids=launch.own_pids, fds=list(launch.fds))
    protocol.send(monitor, launched, (*launch.fds.values(), *streams))


def _tell(link: _socket.socket, message: dict[str, Any]) -> None:
    try:
        protocol.send(link, message)
    except OSError as error:
        warn(f"nobody to tell ({error}): {message['event']} {message.get('message', '')}")


class Launch:
    """Makes what a container needs outside of itself, and the container; ``fds`` are the monitor's then."""

    __slots__ = ("_care", "fds", "id", "own_pids")

    def __init__(self, care: dict[str, Any]) -> None:
        self._care = care
        self.id: str = care["id"]
        self.fds: dict[str, int] = {}
        self.own_pids = True

    def make(self, document: int) -> dict[str, Any]:
        """The container's status, as status.json has it; raises WharfieError or OSError, all undone."""
        place: str = self._care["directory"]
        directory = self.fds["directory"] = os.open(place, os.O_DIRECTORY | os.O_PATH | os.O_CLOEXEC)
        for name in (protocol.STATUS_NAME, protocol.EXIT_NAME):
            try:
                os.unlink(name, dir_fd=directory)
            except FileNotFoundError:
                continue
        log = self._care["log"]
        if log["driver"] != "none":
            self.fds["log"] = jsonfile.open_file(log["path"])
        self.fds["listener"] = links.listen(directory)
        try:
            status = self._create(document)
        except BaseException:
            links.remove_socket(directory)
            raise
        content = json.dumps({**status, "execs": {}}).encode("ascii")
        atomic_write(f"{place}/{protocol.STATUS_NAME}", content, sync=False)
        return status

    def _create(self, document: int) -> dict[str, Any]:
        pipes = None if self._care["tty"] else Stdio(open_stdin=self._care["open_stdin"])
        try:
            made, fds = create({}, [document] if pipes is None else [document, *pipes.theirs])
        except BaseException:
            if pipes is not None:
                pipes.close()
            raise
        self.fds["pidfd"] = fds.pop(0)
        if pipes is None:
            self.fds["console"] = fds.pop(0)
        else:
            ours = zip(("stdin", "stdout", "stderr"), pipes.started(), strict=True)
            self.fds.update((name, fd) for name, fd in ours if fd >= 0)
        if fds:
            self.fds["mounts"] = fds.pop(0)
        self.own_pids = made.pop("own_pids")
        self._watch_memory(made["cgroup"])
        return {
            "version": protocol.VERSION,
            "id": self.id,
            "monitor_pid": os.getppid(),
            "seccomp_path": self._care["seccomp_path"],
            **made,
        }

    def _watch_memory(self, cgroup: str) -> None:
        try:
            notifier = open_cgroup(cgroup).oom_notifier()
        except (OSError, WharfieError) as error:
            warn(f"no notice of memory shortage: {error}")
            return
        if notifier is not None:
            self.fds["oom"] = notifier
