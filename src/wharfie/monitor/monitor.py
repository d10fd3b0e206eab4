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
import gc
import os
import time

from wharfie.errors import WharfieError
from wharfie.linux.credentials import set_subreaper
from wharfie.linux.process import wait_pidfd
from wharfie.logs.jsonfile import JsonFile
from wharfie.monitor import protocol
from wharfie.monitor.aside import ASIDE_END, fork_child, reap
from wharfie.monitor.execs import Execs
from wharfie.monitor.launching import launch
from wharfie.monitor.links import Link, Links
from wharfie.monitor.loop import READ, URGENT, Loop
from wharfie.monitor.process import Process
from wharfie.monitor.protocol import Attachment, ExitRecord
from wharfie.monitor.requests import Requests
from wharfie.monitor.warn import warn
from wharfie.runtime import join
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support import json
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
else:
    import _signal

_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)
REHEARSALS = 12
LINGER = 10.0
"""Seconds that a client may take nothing of what is left before it is cut off."""


class Monitor:
    """A running container's monitor, made of what ``launching.py`` sends."""

    def __init__(self, launched: dict[str, Any], fds: list[int]) -> None:
        names: list[str] = launched["fds"]
        owned = dict(zip(names, fds, strict=False))
        self.loop = Loop()
        self.id: str = launched["id"]
        self.directory: str = launched["directory"]
        self._status: dict[str, Any] = launched["status"]
        self._log = None if "log" not in owned else _log(launched["log"], owned["log"])
        self._oom_kills = 0
        self._left_at_check = -1
        self._mounts = owned.get("mounts")
        self.execs = Execs(self)
        self._requests = Requests(self)
        self.process = self._process(owned, stdin_once=launched["stdin_once"])
        self.loop.watch(self.process.pidfd, READ, self._container_gone, vital=True)
        self._oom_fd = owned.get("oom")
        if self._oom_fd is not None:
            # v1: an eventfd; v2: memory.events, always readable, a change is POLLPRI
            counts = os.readlink(f"/proc/self/fd/{self._oom_fd}").startswith("anon_inode:")
            self.loop.watch(self._oom_fd, READ if counts else URGENT, self._oom)
        if not launched["own_pids"]:
            # with a pid namespace of its own, the container's first process adopts orphans; here we do
            self.loop.call_later(1.0, self._reap_orphans)
        self.links = Links(
            self.loop, owned["directory"], owned["listener"], self._requests.handle, self._greet
        )
        first = self.links.add(_socket.socket(fileno=owned["link"]))
        attachments = [Attachment.from_json(item) for item in launched["attachments"]]
        for key, (attachment, fd) in enumerate(zip(attachments, fds[len(names) :], strict=True)):
            self._requests.attach(first, key, self.process, attachment, fd)

    def _process(self, owned: dict[str, int], *, stdin_once: bool) -> Process:
        process = Process(self.loop, self._status["pid"], owned["pidfd"])
        if "console" in owned:
            process.use_terminal(owned["console"], log=self._log)
        else:
            ours = (owned.get("stdin", -1), owned["stdout"], owned["stderr"])
            process.use_pipes(ours, stdin_once=stdin_once, log=self._log)
        return process

    def status(self) -> dict[str, Any]:
        """What a daemon wants to know first."""
        return {**self._status, "execs": self.execs.pids()}

    def _greet(self, link: Link) -> None:
        link.send({"event": "hello", **self.status()})

    # running

    def target(self) -> join.Target:
        """The container, for a process to join it."""
        return join.Target(
            id=self.id,
            pid=self.process.pid,
            pidfd=self.process.pidfd,
            cgroup=self._status["cgroup"],
            spec=self._status["join_spec"],
        )

    def _cgroup(self) -> Cgroup:
        """Made when it is needed: it would take 100 KiB of every monitor."""
        return open_cgroup(self._status["cgroup"])

    def _oom(self, _events: int) -> None:
        assert self._oom_fd is not None
        try:
            self._cgroup().oom_acknowledge(self._oom_fd)
        except OSError:
            pass  # the cgroup is being removed
        self._check_oom()

    def _check_oom(self) -> bool:
        try:
            kills = self._cgroup().oom_kills()
        except (OSError, WharfieError):
            kills = 0
        if kills > self._oom_kills:
            self._oom_kills = kills
            self.links.send({"event": "oom"})
        return self._oom_kills > 0

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
        oom = self._check_oom()
        record = ExitRecord(exit_code=exit_code, finished_at_ns=finished, oom_killed=oom)
        self._write_record(record)
        self._remove_container()
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

    def _remove_container(self) -> None:
        if self._oom_fd is not None:
            self.loop.forget(self._oom_fd)
            os.close(self._oom_fd)
            self._oom_fd = None
        try:
            self._cgroup().destroy()
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


def _log(log: dict[str, Any], fd: int) -> JsonFile:
    return JsonFile(
        log["path"],
        max_size=log.get("max_size") or 0,
        max_file=log.get("max_file") or 1,
        attrs=log.get("attrs") or None,
        fd=fd,
    )


def main(spawner: _socket.socket, lock: int) -> None:
    """The life of a monitor, in the process forked for it: on standby until a container was launched for it.

    ``lock`` is held until a daemon can find the container (``succession.py``).

    The child that will launch the container is forked ahead too: what a fork and the first writes to shared
    pages cost (3 to 5 ms for the two) is paid before anybody waits for it.
    """
    os.setsid()
    become()
    child, sock = fork_child(lambda sock: launch(spawner, sock))
    spawner.close()
    received = protocol.receive(sock)
    sock.close()
    if received is None:
        os.waitpid(child, 0)
        return
    os.close(lock)
    monitor = Monitor(*received)
    del received
    monitor.loop.call_later(ASIDE_END, lambda: reap(child))
    gc.enable()
    monitor.loop.run()


def become() -> None:
    """Adopt orphans, and survive what is sent to whole sessions."""
    os.chdir("/")
    set_subreaper()
    # prctl(2) would do, but making memory for its argument takes 80 KiB of every monitor
    comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(comm, b"wharfie-monitor")
    os.close(comm)
    for number in _SIGNALS:
        # a handler, not SIG_IGN: execve(2) resets handlers
        _signal.signal(number, _nothing)


def rehearse_become() -> None:
    """Do that, and undo it, until the interpreter has made all it makes of often used code."""
    for _ in range(REHEARSALS):
        become()
    set_subreaper(False)
    for number in _SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)


def _nothing(_number: int, _frame: object) -> None:
    return
