"""Work in a forked child, so that the memory it takes is given back when it is done.

Making a container or joining one touches a megabyte of the heap that a monitor otherwise shares with all
others (every look at a Python object writes its reference count). So a child does it and sends what it made:
pids and descriptors. The monitor reaps them: a container's first process is made its child at once (clone(2),
CLONE_PARENT), an exec'd one comes to it when the helper ends (prctl(2), PR_SET_CHILD_SUBREAPER).

::

    monitor ──fork──▶ child, waiting
            ──request, fds──▶        (a second process may pass before: a standby's child is forked ahead)
            ◀──what it made, fds──   or {"error", "code"}
"""

from __future__ import annotations

import _socket
import posix as os
import sys

from wharfie.errors import WharfieError
from wharfie.linux.fd import close_all
from wharfie.linux.process import fork
from wharfie.monitor import protocol
from wharfie.runtime.launch import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Made = tuple[dict[str, Any], list[int]]
    Work = Callable[[dict[str, Any], list[int]], Made]


class Child:
    """A child that runs ``body`` with its end of a socket; the other end is ``sock``."""

    __slots__ = ("_pid", "sock")

    def __init__(self, body: Callable[..., None], *arguments: Any) -> None:
        """Fork it; raises OSError."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            pid = fork()
            if not pid:
                ours.close()
                _run(body, theirs, arguments)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._pid = pid
        self.sock = ours

    def end(self) -> None:
        """Close the socket and wait for the child's end."""
        self.sock.close()
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass  # with a container that has no pid namespace it may have been reaped as an orphan


class Aside:
    """A child that does one piece of work: ``ask`` for it, later ``wait`` for its end."""

    __slots__ = ("_child", "fds", "made")

    def __init__(self, work: Work) -> None:
        """Fork the child; it waits for the request, or ends with its parent."""
        self.made: dict[str, Any] = {}
        self.fds: list[int] = []
        self._child = Child(_answer, work)

    def ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Have it done: ``made`` and ``fds`` are the result then. Raises LaunchError when the work did."""
        try:
            protocol.send(self._child.sock, request, fds)
            received = protocol.receive(self._child.sock)
        except OSError:
            received = None
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
        self._child.end()


def _answer(sock: _socket.socket, work: Work) -> None:
    received = protocol.receive(sock)
    if received is None:
        return
    try:
        made, fds = work(*received)
    except (WharfieError, OSError, ValueError, KeyError) as error:
        made, fds = {"error": sentence(error), "code": getattr(error, "exit_code", 125)}, []
    protocol.send(sock, made, fds)


def _run(body: Callable[..., None], sock: _socket.socket, arguments: tuple[Any, ...]) -> None:
    status = 1
    try:
        body(sock, *arguments)
        status = 0
    except BaseException:
        # the hook written in C: nothing may be imported here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(status)


def sentence(error: BaseException) -> str:
    """What went wrong, for the client."""
    return str(error) if isinstance(error, (WharfieError, OSError)) else f"a request was wrong: {error!r}"
