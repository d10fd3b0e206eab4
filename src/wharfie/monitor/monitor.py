"""The monitor: one process beside each container, which outlives daemon and spawner.

::

    launching ──failed──▶ "failed", all undone, end          (a child does it: see launching.py)
        │ status.json, "started"
        ▼
    running   streams, log, attachments, exec'd processes, requests of daemons
        │ first process reaped
        ▼
    ending    output drained ▶ log closed ▶ exit.json ▶ cgroup removed ▶ monitor.sock removed ▶ "exit"
        │ every client has its output (or takes none for some seconds)
        ▼
    end

Nothing is imported here after the fork: an upgrade may replace the files under a running monitor. One thread;
every step that may block for long is the kernel's own (a mount, a cgroup's removal).
"""

from __future__ import annotations

import _socket
import posix as os
import time

from wharfie.errors import WharfieError
from wharfie.linux.credentials import PR_SET_NAME, prctl, set_subreaper
from wharfie.linux.libc import address, buffer
from wharfie.linux.process import wait_pidfd
from wharfie.logs.jsonfile import JsonFile
from wharfie.monitor import launched, protocol, remains
from wharfie.monitor.aside import Child
from wharfie.monitor.execs import Execs
from wharfie.monitor.launching import launch
from wharfie.monitor.links import Link, Links
from wharfie.monitor.loop import READ, URGENT, Loop
from wharfie.monitor.process import Process
from wharfie.monitor.protocol import Attachment, ExitRecord
from wharfie.monitor.requests import Requests
from wharfie.monitor.warn import warn
from wharfie.runtime import join
from wharfie.runtime.cgroups.files import oom_kills
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support import json, paths
from wharfie.support.files import atomic_write, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any

    from wharfie.monitor.launched import Log
    from wharfie.monitor.template import Template
    from wharfie.runtime.cgroups.base import Cgroup

    Work = Callable[[_socket.socket, int, int], None]
else:
    import _signal

_NAME = buffer(16)
_NAME[:15] = b"wharfie-monitor"
_NAME_ADDRESS = address(_NAME)
QUIET = 0.05
"""Seconds until there is time for what nobody waits for: a short program has ended, a long one begun."""
LINGER = 10.0
"""Seconds that a client may take nothing of what is left before it is cut off."""


class Monitor:
    """A running container's monitor: made around its descriptors, then told which container it is."""

    def __init__(self, owned: dict[str, int], *, stdin_once: bool = False) -> None:
        """``owned`` are descriptors by name, as ``launching.py`` makes them."""
        self.loop = Loop()
        self.directory = ""
        self._log = JsonFile("", fd=owned["log"]) if "log" in owned else None
        self._oom_kills = 0
        self._left_at_check = -1
        self.mounts = -1
        """Its mount namespace, if that is to last as long as this process."""
        self.execs = Execs(self)
        self._requests = Requests(self)
        self.process = self._process(owned, stdin_once=stdin_once)
        self.loop.watch(self.process.pidfd, READ, self._container_gone, vital=True)
        self._oom_fd = owned.get("oom")
        if self._oom_fd is not None:
            self.loop.watch(self._oom_fd, READ, self._oom)
        self.links = Links(
            self.loop, owned["directory"], owned["listener"], self._requests.handle, self._greet
        )
        self._first = self.links.add(_socket.socket(fileno=owned["link"]))

    def _process(self, owned: dict[str, int], *, stdin_once: bool) -> Process:
        process = Process(self.loop, 0, owned["pidfd"])
        if "console" in owned:
            process.use_terminal(owned["console"], log=self._log)
        else:
            ours = (owned.get("stdin", -1), owned["stdout"], owned["stderr"])
            process.use_pipes(ours, stdin_once=stdin_once, log=self._log)
        return process

    def begin(
        self,
        pid: int,
        directory: str,
        log: Log | None,
        attachments: list[dict[str, Any]],
        streams: list[int],
        *,
        own_pids: bool,
        oom_urgent: bool,
    ) -> None:
        """Look after the container that ``launching.py`` tells of, with one stream for each attachment."""
        self.directory = directory
        self.process.pid = pid
        if self._log is not None and log is not None:
            self._log.begin(*log)
        if oom_urgent and self._oom_fd is not None:
            self.loop.change(self._oom_fd, URGENT)
        if not own_pids:
            # with a pid namespace of its own, the container's first process adopts orphans; here we do
            self.loop.call_later(1.0, self._reap_orphans)
        if attachments:
            self._attach(attachments, streams)

    def _attach(self, attachments: list[dict[str, Any]], streams: list[int]) -> None:
        for key, (item, stream) in enumerate(zip(attachments, streams, strict=True)):
            self._requests.attach(self._first, key, self.process, Attachment.from_json(item), stream)

    def status(self) -> dict[str, Any]:
        """What a daemon wants to know first; the file is this process's memory of it (``launched.py``)."""
        status: dict[str, Any] = json.loads(read_file(f"{self.directory}/{protocol.STATUS_NAME}"))
        return {**status, "execs": self.execs.pids()}

    @property
    def id(self) -> str:
        """The container's."""
        return paths.basename(self.directory)

    def _greet(self, link: Link) -> None:
        link.send({"event": "hello", **self.status()})

    # running

    def target(self) -> join.Target:
        """The container, for a process to join it."""
        status = self.status()
        return join.Target(
            id=self.id,
            pid=self.process.pid,
            pidfd=self.process.pidfd,
            cgroup=status["cgroup"],
            spec=status["join_spec"],
        )

    def _cgroup(self) -> Cgroup | None:
        """Made when it is needed: it would take 100 KiB of every monitor. None if it cannot be found."""
        try:
            return open_cgroup(self.status()["cgroup"])
        except (OSError, WharfieError) as error:
            warn(f"the control group of {self.id} is not found: {error}")
            return None

    def _oom(self, _events: int) -> None:
        assert self._oom_fd is not None
        cgroup = self._cgroup()
        if cgroup is None:
            # nobody can take the news: it would be told for ever
            self.loop.forget(self._oom_fd)
            return
        try:
            cgroup.oom_acknowledge(self._oom_fd)
        except OSError:
            pass  # the cgroup is being removed
        self._tell_oom(cgroup.oom_kills())

    def _tell_oom(self, kills: int) -> None:
        if kills > self._oom_kills:
            self._oom_kills = kills
            self.links.send({"event": "oom"})

    def _reap_orphans(self) -> None:
        known = {self.process.pid, *self.execs.pids().values()}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None or found.si_pid in known:
                break
            os.waitpid(found.si_pid, 0)
        self.loop.call_later(5.0, self._reap_orphans)

    # ending

    def _container_gone(self, _events: int) -> None:
        pidfd = self.process.pidfd
        try:
            exit_code = wait_pidfd(pidfd, block=False)
        except ChildProcessError:
            exit_code = 255
        if exit_code is None:
            return
        finished = time.time_ns()
        self.loop.forget(pidfd)
        self.process.ended(exit_code)
        if self._log is not None:
            self._log.close()
            if self._log.lost:
                warn(f"{self._log.lost} bytes of the log of {self.id} could not be written")
        group = self._count_kills()
        record = ExitRecord(exit_code=exit_code, finished_at_ns=finished, oom_killed=self._oom_kills > 0)
        self._write_record(record)
        self._remove_container(group)
        self.execs.container_gone()
        self.links.close_listener()
        self.links.send({"event": "exit", **record.to_json()})
        self._linger()

    def _write_record(self, record: ExitRecord) -> None:
        content = json.dumps(record.to_json()).encode("ascii")
        try:
            atomic_write(f"{self.directory}/{protocol.EXIT_NAME}", content, sync=False)
        except OSError as error:
            warn(f"cannot record the end of {self.id}: {error}")

    def _count_kills(self) -> list[str] | None:
        """Find the last news of a shortage of memory; the control group's directories, None if unknown."""
        try:
            counts, directories = remains.read(self.directory)
        except OSError as error:
            warn(f"what is left of {self.id} was not noted: {error}")
            return None
        try:
            self._tell_oom(oom_kills(counts))
        except OSError:
            pass  # no such control group here, or gone already
        return directories

    def _remove_container(self, group: list[str] | None) -> None:
        if self._oom_fd is not None:
            self.loop.forget(self._oom_fd)
            os.close(self._oom_fd)
            self._oom_fd = None
        try:
            # the quick way first
            if group is None or not remains.remove(group):
                cgroup = self._cgroup()
                if cgroup is not None:
                    cgroup.destroy()
        except (OSError, WharfieError) as error:
            warn(f"cannot remove what is left of {self.id}: {error}")
        self.process.close_streams()

    def _linger(self) -> None:
        """End when the clients have all output; one that takes nothing for a while is left behind."""
        left = self._requests.unsent()
        if not self._requests.clients or left == self._left_at_check:
            self._requests.close_clients()
            self.links.close()
            self.loop.stop()
            return
        self._left_at_check = left
        self.loop.call_later(LINGER, self._linger)

    def client_closed(self) -> None:
        """A client's stream was closed."""
        if self.ending and not self._requests.clients:
            self.loop.call_later(0, self._linger)

    @property
    def ending(self) -> bool:
        """Whether the container is gone."""
        return self.process.exit_code is not None


def main(
    template: Template,
    taken: int,
    control: int,
    held: int,
    lock: int,
    work: Work = launch,
    quiet: float = QUIET,
) -> None:
    """The life of a monitor, in the process forked for it: on standby until a container was launched for it.

    ``taken`` is the spawner's. ``control`` is the daemon's socket and ``held`` says, by being open, that
    nobody asked yet; both are for the child. ``lock`` is held until a daemon can find the container
    (``succession.py``).

    The child that will launch the container is forked ahead too: what a fork and the first writes to shared
    pages cost (3 to 5 ms for the two) is paid before anybody waits for it.
    """
    os.close(taken)
    become()
    launcher = Child(work, control, held)
    os.close(control)
    os.close(held)
    received = launched.receive(launcher.sock)
    os.close(lock)
    if received is None:
        launcher.end()
        return
    loop = template.become(*received).loop
    if not received[0][launched.ADOPTED]:
        # it has nothing left to do, and waits: its end takes a millisecond, not now when a program begins
        loop.run(quiet)
    launcher.end()
    loop.run()


def become() -> None:
    """Adopt orphans, in a session and under a name of its own."""
    try:
        os.setsid()
    except PermissionError:
        pass  # the spawner, which rehearses this, leads a session already
    set_subreaper()
    prctl(PR_SET_NAME, _NAME_ADDRESS)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
