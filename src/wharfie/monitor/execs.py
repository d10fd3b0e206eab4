"""Further processes in a monitor's container, each with its own streams and clients."""

from __future__ import annotations

import select

from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.monitor.aside import Aside
from wharfie.monitor.loop import READ
from wharfie.monitor.process import Process, Stdio
from wharfie.runtime import join
from wharfie.support.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from wharfie.monitor.monitor import Monitor
else:
    import _signal

KILLED = 128 + _signal.SIGKILL
PATIENCE_MS = 2000
"""How long a killed process may take to be gone."""


class Execs:
    """The running ones, by their ids."""

    __slots__ = ("_monitor", "_running")

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._running: dict[str, Process] = {}

    def pids(self) -> dict[str, int]:
        """Their ids and pids."""
        return {exec_id: process.pid for exec_id, process in self._running.items()}

    def process(self, exec_id: str) -> Process:
        """Raises ValueError when there is none of this id."""
        process = self._running.get(exec_id)
        if process is None:
            raise ValueError(f"no process {exec_id} is running")
        return process

    def start(self, message: dict[str, Any]) -> Process:
        """Start what an exec request describes; raises LaunchError, OSError."""
        exec_id = message["exec_id"]
        if exec_id in self._running:
            raise ValueError(f"process {exec_id} is running already")
        pipes = None if message["tty"] else Stdio(open_stdin=message["open_stdin"])
        try:
            aside = Aside(self._join)
            aside.ask(message, () if pipes is None else pipes.theirs)
        except BaseException:
            if pipes is not None:
                pipes.close()
            raise
        # what it made is its own child until it ends: one that failed must not stay a zombie of the container
        aside.wait()
        process = Process(self._monitor.loop, aside.made["pid"], aside.fds[0])
        if pipes is None:
            process.use_terminal(aside.fds[1], log=None)
        else:
            process.use_pipes(pipes.started(), stdin_once=message["stdin_once"], log=None)
        self._running[exec_id] = process
        self._monitor.loop.watch(process.pidfd, READ, lambda _events: self._check(exec_id, process))
        return process

    def _join(self, message: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        """In the child: start the process in the container, with ``fds`` as its streams."""
        stdio = (fds[0], fds[1], fds[2]) if fds else None
        seccomp_path = message["seccomp_path"]
        size = message["console_size"]
        started = join.exec_process(
            self._monitor.target(),
            message["process"],
            stdio=stdio,
            seccomp=None if seccomp_path is None else read_file(seccomp_path),
            console_size=tuple(size) if size else None,
        )
        made = [started.pidfd] if started.console is None else [started.pidfd, started.console]
        return {"pid": started.pid}, made

    def _check(self, exec_id: str, process: Process) -> None:
        exit_code = _reap(process)
        if exit_code is not None:
            self._gone(exec_id, process, exit_code)

    def _gone(self, exec_id: str, process: Process, exit_code: int) -> None:
        self._running.pop(exec_id, None)
        self._monitor.loop.forget(process.pidfd)
        # before the clients see the end: what they ask the daemon then is the exit code
        self._monitor.links.send({"event": "exec-exit", "exec_id": exec_id, "exit_code": exit_code})
        process.ended(exit_code)
        # a daemon that the process left behind in the container may still write to its output
        process.close_streams(discard=not self._monitor.ending)

    def container_gone(self) -> None:
        """The container's first process has ended: so do these."""
        for exec_id, process in tuple(self._running.items()):
            try:
                pidfd_send_signal(process.pidfd, _signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself
            poll = select.poll()
            poll.register(process.pidfd, select.POLLIN)
            poll.poll(PATIENCE_MS)
            exit_code = _reap(process)
            self._gone(exec_id, process, KILLED if exit_code is None else exit_code)


def _reap(process: Process) -> int | None:
    try:
        return wait_pidfd(process.pidfd, block=False)
    except ChildProcessError:
        return KILLED
