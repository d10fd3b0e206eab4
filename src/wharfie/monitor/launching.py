"""A launch, whole, in the child that a monitor forks for it: its memory goes with it.

::

    daemon ──care, fds [document, link, tree..., stream...]──▶ this child  (the monitor only waits)
    child ──"started" on the link, then all of it, fds──▶ monitor
          ──"failed" on the link, then its end──────────▶ monitor        all is undone

When the monitor hears of the container, everything it owns is there and open; all that it does itself is to
look after it. So it touches little of the heap that it shares with all other monitors.
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.errors import WharfieError
from wharfie.linux.credentials import die_with_parent
from wharfie.linux.memory import own_pages
from wharfie.linux.process import close_all_but
from wharfie.logs import jsonfile
from wharfie.monitor import launched, links, protocol, remains
from wharfie.monitor.aside import sentence
from wharfie.monitor.creation import create
from wharfie.monitor.process import Stdio
from wharfie.monitor.warn import warn
from wharfie.support import json
from wharfie.support.files import atomic_write, unlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
else:
    import _signal


def launch(monitor: _socket.socket, control: int, held: int) -> None:
    """Wait for a request of the daemon and carry it out; ``held`` is closed when there is one."""
    die_with_parent(_signal.SIGKILL)
    daemon = _socket.socket(fileno=control)
    if not _is_asked(daemon):
        own_pages()
    received = protocol.receive(daemon)
    daemon.close()
    os.close(held)
    if received is None:
        return
    # from here on there is something to be undone
    die_with_parent(0)
    message, (document, link_fd, *rest) = received
    care = message["care"]
    trees, streams = rest[: care["trees"]], rest[care["trees"] :]
    link = _socket.socket(fileno=link_fd)
    launch = Launch(care)
    try:
        status = launch.make(document, trees)
    except (WharfieError, OSError, ValueError, KeyError) as error:
        code = getattr(error, "exit_code", 125)
        _tell(link, {"event": "failed", "message": sentence(error), "code": code})
        return
    # whoever is told is told before the monitor, so that nothing the monitor says can come before
    _tell(link, {"event": "started", **status, "execs": {}})
    link.setblocking(False)
    launch.fds["link"] = link_fd
    owned = {name: launch.fds[name] for name in launched.ORDER if name in launch.fds}
    mounts = [launch.mounts] if launch.mounts >= 0 else []
    told = (
        launch.adopted,
        () if tuple(owned) == launched.USUAL else tuple(owned),
        bool(mounts),
        status["pid"],
        care["directory"],
        launch.log(),
        care["stdin_once"],
        launch.own_pids,
        launch.oom_urgent,
        care["attachments"],
    )
    launched.send(monitor, told, (*owned.values(), *mounts, *streams))
    if not launch.adopted:
        # the monitor says when there is time for this process's end; nothing is kept open until then
        close_all_but(monitor.fileno())
        monitor.recv(1)


def _is_asked(daemon: _socket.socket) -> bool:
    try:
        daemon.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def _tell(link: _socket.socket, message: dict[str, Any]) -> None:
    try:
        protocol.send(link, message)
    except OSError as error:
        warn(f"nobody to tell ({error}): {message['event']} {message.get('message', '')}")


class Launch:
    """Makes what a container needs outside of itself, and the container; ``fds`` are the monitor's then."""

    __slots__ = ("_care", "adopted", "fds", "id", "mounts", "oom_urgent", "own_pids")

    def __init__(self, care: dict[str, Any]) -> None:
        self._care = care
        self.id: str = care["id"]
        self.fds: dict[str, int] = {}
        self.mounts = -1
        """Its mount namespace, if that is to last as long as the monitor."""
        self.adopted = False
        """It is this process's child until this process's end."""
        self.own_pids = True
        self.oom_urgent = False

    def make(self, document: int, trees: list[int]) -> dict[str, Any]:
        """The container's status, as status.json has it; raises WharfieError or OSError, all undone."""
        place: str = self._care["directory"]
        directory = self.fds["directory"] = os.open(place, os.O_DIRECTORY | os.O_PATH | os.O_CLOEXEC)
        for name in (protocol.STATUS_NAME, protocol.EXIT_NAME):
            unlink(name, directory)
        log = self._care["log"]
        if log["driver"] != "none":
            self.fds["log"] = jsonfile.open_file(log["path"])
        self.fds["listener"] = links.listen(directory)
        try:
            status = self._create(document, trees)
        except BaseException:
            unlink(protocol.SOCKET_NAME, directory)
            unlink(remains.NAME, directory)
            raise
        content = json.dumps({**status, "execs": {}}).encode("ascii")
        atomic_write(f"{place}/{protocol.STATUS_NAME}", content, sync=False)
        return status

    def log(self) -> tuple[str, int, int, dict[str, str]] | None:
        """The log, as ``JsonFile.begin`` takes it."""
        log = self._care["log"]
        if log["driver"] == "none":
            return None
        return log["path"], log.get("max_size") or 0, log.get("max_file") or 1, log.get("attrs") or {}

    def _create(self, document: int, trees: list[int]) -> dict[str, Any]:
        pipes = None if self._care["tty"] else Stdio(open_stdin=self._care["open_stdin"])

        def meanwhile(cgroup: Cgroup) -> None:
            # the container's process is at work, on the other processor
            self._watch_memory(cgroup)
            remains.note(self.fds["directory"], cgroup)
            if pipes is not None:
                self._keep_streams(pipes)

        try:
            made, fds = create(document, None if pipes is None else pipes.theirs, trees, meanwhile)
        except BaseException:
            if pipes is not None:
                pipes.close()
            raise
        self.fds["pidfd"] = fds.pop(0)
        if pipes is None:
            self.fds["console"] = fds.pop(0)
        if fds:
            self.mounts = fds.pop(0)
        self.adopted = made.pop("adopted")
        self.own_pids = made.pop("own_pids")
        return {
            "version": protocol.VERSION,
            "id": self.id,
            "monitor_pid": os.getppid(),
            "seccomp_path": self._care["seccomp_path"],
            **made,
        }

    def _keep_streams(self, pipes: Stdio) -> None:
        for name, fd in zip(("stdin", "stdout", "stderr"), pipes.started(), strict=True):
            if fd >= 0:
                os.set_blocking(fd, False)
                self.fds[name] = fd

    def _watch_memory(self, cgroup: Cgroup) -> None:
        try:
            notifier = cgroup.oom_notifier()
        except (OSError, WharfieError) as error:
            warn(f"no notice of memory shortage: {error}")
            return
        if notifier is not None:
            self.fds["oom"] = notifier
            # v1: an eventfd; v2: memory.events, always readable, a change is POLLPRI
            self.oom_urgent = not os.readlink(f"/proc/self/fd/{notifier}").startswith("anon_inode:")
