"""The monitor: one process beside each container, which outlives daemon and spawner.

::

    launching ──failed──▶ "failed", all undone, end          (a child does it: see aside.py)
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
from wharfie.linux.credentials import set_process_name, set_subreaper
from wharfie.linux.process import wait_pidfd
from wharfie.logs.jsonfile import JsonFile
from wharfie.monitor import protocol
from wharfie.monitor.aside import ASIDE_END, Aside, sentence
from wharfie.monitor.creation import create
from wharfie.monitor.execs import Execs
from wharfie.monitor.links import Link, Links
from wharfie.monitor.loop import READ, URGENT, Loop
from wharfie.monitor.process import Process, Stdio
from wharfie.monitor.protocol import Attachment, ExitRecord
from wharfie.monitor.requests import Requests
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

LINGER = 10.0
"""Seconds that a client may take nothing of what is left before it is cut off."""


class Monitor:
    """One container's monitor, from before its launch to the end.

    ``care`` is LaunchRequest.care(); ``aside`` is the child that will create the container.
    """

    def __init__(self, care: dict[str, Any], aside: Aside) -> None:
        self.loop = Loop()
        self.id: str = care["id"]
        self.directory: str = care["directory"]
        self.process: Process
        self._care = care
        self._aside = aside
        self._directory_fd = os.open(self.directory, os.O_DIRECTORY | os.O_PATH | os.O_CLOEXEC)
        self._requests = Requests(self)
        self.links = Links(self.loop, self._directory_fd, self._requests.handle, self._greet)
        self.execs = Execs(self)
        self._log: JsonFile | None = None
        self._cgroup: Cgroup
        self._status: dict[str, Any] = {}
        self._oom_fd: int | None = None
        self._oom_kills = 0
        self._left_at_check = -1

    # launching

    def launch(self, document: int, link: _socket.socket, streams: list[int]) -> None:
        """Create and start the container; raises WharfieError or OSError with everything undone."""
        for name in (protocol.STATUS_NAME, protocol.EXIT_NAME):
            try:
                os.unlink(name, dir_fd=self._directory_fd)
            except FileNotFoundError:
                continue
        self._log = _open_log(self._care["log"])
        self.links.listen()
        pipes = None if self._care["tty"] else Stdio(open_stdin=self._care["open_stdin"])
        try:
            self._aside.ask({}, (document, *(() if pipes is None else pipes.theirs)))
        except BaseException:
            if pipes is not None:
                pipes.close()
            self.links.close()
            raise
        self._take_over(self._aside, pipes)
        atomic_write(
            f"{self.directory}/{protocol.STATUS_NAME}", json.dumps(self.status()).encode("ascii"), sync=False
        )
        first = self.links.add(link)
        attachments = [Attachment.from_json(item) for item in self._care.pop("attachments")]
        for key, (attachment, fd) in enumerate(zip(attachments, streams, strict=True)):
            self._requests.attach(first, key, self.process, attachment, fd)
        first.send({"event": "started", **self.status()})
        self.loop.call_later(ASIDE_END, self._aside.wait)
        self.loop.watch(self.process.pidfd, READ, self._container_gone, vital=True)
        self.links.serve()

    def _take_over(self, aside: Aside, pipes: Stdio | None) -> None:
        made = aside.made
        own_pids = made.pop("own_pids")
        self._status = {
            "version": protocol.VERSION,
            "id": self.id,
            "monitor_pid": os.getpid(),
            "seccomp_path": self._care["seccomp_path"],
            **made,
        }
        self._cgroup = open_cgroup(made["cgroup"])
        self.process = Process(self.loop, made["pid"], aside.fds[0])
        if pipes is None:
            self.process.use_terminal(aside.fds[1], log=self._log)
        else:
            self.process.use_pipes(pipes.started(), stdin_once=self._care["stdin_once"], log=self._log)
        self._watch_oom()
        if not own_pids:
            # with a pid namespace of its own, the container's first process adopts orphans; here we do
            self.loop.call_later(1.0, self._reap_orphans)

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
            cgroup=self._cgroup.path,
            spec=self._status["join_spec"],
        )

    def _watch_oom(self) -> None:
        try:
            self._oom_fd = self._cgroup.oom_notifier()
        except (OSError, WharfieError) as error:
            warn(f"no notice of memory shortage: {error}")
            return
        if self._oom_fd is not None:
            # v1: an eventfd; v2: memory.events, always readable, a change is POLLPRI
            counts = os.readlink(f"/proc/self/fd/{self._oom_fd}").startswith("anon_inode:")
            self.loop.watch(self._oom_fd, READ if counts else URGENT, self._oom)

    def _oom(self, _events: int) -> None:
        assert self._oom_fd is not None
        try:
            self._cgroup.oom_acknowledge(self._oom_fd)
        except OSError:
            pass  # the cgroup is being removed
        self._check_oom()

    def _check_oom(self) -> bool:
        try:
            kills = self._cgroup.oom_kills()
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
            self._cgroup.destroy()
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


def _open_log(log: dict[str, Any]) -> JsonFile | None:
    if log["driver"] == "none":
        return None
    return JsonFile(
        log["path"],
        max_size=log.get("max_size") or 0,
        max_file=log.get("max_file") or 1,
        attrs=log.get("attrs") or None,
    )


def warn(message: str) -> None:
    """Into the spawner's log, which is our standard error."""
    os.write(2, f"monitor {os.getpid()}: {message}\n".encode("utf-8", "backslashreplace"))


def main(spawner: _socket.socket, lock: int) -> None:
    """The life of a monitor, in the process forked for it: on standby until the spawner hands it a launch.

    ``lock`` is held until a daemon can find the container (``succession.py``).

    The child that will create the container is forked ahead too: what a fork and the first writes to shared
    pages cost (3 to 5 ms for the two) is paid before anybody waits for it.
    """
    os.setsid()
    os.chdir("/")
    set_subreaper()
    set_process_name(b"wharfie-monitor")
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        # a handler, not SIG_IGN: execve(2) resets handlers
        _signal.signal(number, _nothing)
    gc.enable()
    aside = Aside(create)
    received = protocol.receive(spawner)
    spawner.close()
    if received is None:
        return
    message, (document, link_fd, *streams) = received
    link = _socket.socket(fileno=link_fd)
    try:
        monitor = Monitor(message["care"], aside)
        monitor.launch(document, link, streams)
    except (WharfieError, OSError, ValueError, KeyError) as error:
        code = getattr(error, "exit_code", 125)
        try:
            protocol.send(link, {"event": "failed", "message": sentence(error), "code": code})
        except OSError as unsent:
            warn(f"nobody to tell ({unsent}): {error}")
        return
    os.close(lock)
    os.close(document)
    monitor.loop.run()


def _nothing(_number: int, _frame: object) -> None:
    return
