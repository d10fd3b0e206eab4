"""A process in a monitor's care, the container's first or an exec'd one: its streams and its clients.

::

    Stdio        the descriptors, before there is a process: pipes for the runtime to hand in
    Process      from its start on: Input, Outputs, Clients
    ended()      its status is known: read what is left, let the clients have it
"""

from __future__ import annotations

import fcntl
import posix as os

from wharfie.linux.terminal import open_peer, set_size
from wharfie.monitor.clients import Client
from wharfie.monitor.stdio import Input, Output
from wharfie.wire import stdcopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wharfie.logs.jsonfile import JsonFile
    from wharfie.monitor.loop import Loop
    from wharfie.monitor.protocol import Attachment


PIPE_SIZE = 1 << 20
"""Room for bursts: a process that fills its pipe waits for the monitor's turn. Empty, it takes none."""


class Stdio:
    """Pipes for a process without a terminal: ``theirs`` are its descriptors 0, 1 and 2."""

    __slots__ = ("_open", "ours", "theirs")

    def __init__(self, *, open_stdin: bool) -> None:
        self._open: list[int] = []
        try:
            if open_stdin:
                stdin, ours_in = self._pipe()
            else:
                stdin, ours_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
                self._open.append(stdin)
            ours_out, stdout = self._pipe()
            ours_err, stderr = self._pipe()
        except OSError:
            self.close()
            raise
        self.theirs = (stdin, stdout, stderr)
        self.ours = (ours_in, ours_out, ours_err)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        self._open += ends
        try:
            fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # pipe-user-pages-soft (pipe(7)): this user has many; the usual 64 KiB will do
        return ends

    def started(self) -> tuple[int, int, int]:
        """Close the process's ends, so that its own are the last; ours are the caller's from here on."""
        for fd in self.theirs:
            os.close(fd)
        self._open = []
        return self.ours

    def close(self) -> None:
        """There will be no process: close all."""
        for fd in self._open:
            os.close(fd)
        self._open = []


class Process:
    """A running process and what is tied to its streams."""

    __slots__ = ("_loop", "_master", "_outputs", "_terminal", "clients", "exit_code", "pid", "pidfd", "stdin")

    def __init__(self, loop: Loop, pid: int, pidfd: int) -> None:
        self._loop = loop
        self._master = -1
        self._terminal = -1
        self._outputs: list[Output] = []
        self.pid = pid
        self.pidfd = pidfd
        self.exit_code: int | None = None
        self.stdin: Input | None = None
        self.clients: list[Client] = []

    def use_pipes(self, ours: tuple[int, int, int], *, stdin_once: bool, log: JsonFile | None) -> None:
        """Take our ends of its pipes."""
        stdin, stdout, stderr = ours
        if stdin >= 0:
            self.stdin = Input(self._loop, stdin, closes_with_client=stdin_once)
        self._outputs.append(Output(self._loop, stdout, stdcopy.STDOUT, log))
        self._outputs.append(Output(self._loop, stderr, stdcopy.STDERR, log))

    def use_terminal(self, master: int, *, log: JsonFile | None) -> None:
        """Take the master of its pty."""
        self._master = master
        # While this end is open too, the master never reports an end: not when the container's programs close
        # and reopen their terminal, and not before all output was read.
        self._terminal = open_peer(master)
        self.stdin = Input(self._loop, os.dup(master), closes_with_client=False)
        self._outputs.append(Output(self._loop, os.dup(master), stdcopy.STDOUT, log))

    def attach(
        self, attachment: Attachment, stream_fd: int, on_closed: Callable[[Client, str], None]
    ) -> Client:
        """Tie a client to it; the stream is the client's from here on."""

        def closed(client: Client, reason: str) -> None:
            if client in self.clients:
                self.clients.remove(client)
            on_closed(client, reason)

        client = Client(
            self._loop, attachment, stream_fd, input=self.stdin, outputs=self._outputs, on_closed=closed
        )
        if not client.closed:
            self.clients.append(client)
        return client

    def resize(self, height: int, width: int) -> None:
        """Raises ValueError where there is no terminal."""
        if self._master < 0:
            raise ValueError("the process has no terminal")
        set_size(self._master, height, width)

    def ended(self, exit_code: int) -> None:
        """The process is gone: pass on what it had written."""
        self.exit_code = exit_code
        for output in self._outputs:
            output.drain()
            output.finish_log()
        for client in tuple(self.clients):
            client.end()
        if self.stdin is not None:
            self.stdin.close()
            self.stdin = None
        os.close(self.pidfd)
        self.pidfd = -1

    def close_streams(self, *, discard: bool = False) -> None:
        """Close our ends, or keep those of pipes and throw away what others still write (``discard``)."""
        for output in self._outputs:
            if discard and self._master < 0:
                output.discard()
            else:
                output.close()
        self._outputs = []
        for fd in (self._master, self._terminal):
            if fd >= 0:
                os.close(fd)
        self._master = self._terminal = -1
