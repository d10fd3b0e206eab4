"""One CRIU process that serves one request: ``criu swrk``, a worker on a socket it is born with.

::

    worker ──> caller   {} + the other end of its socket, then the execve; or {"error"}
    caller ──> worker   request                    criu_req (wire.py)
    worker ──> caller   notification ─ answer …    where the request is at; descriptors may be beside it
    worker ──> caller   response                   criu_resp; then the worker ends

The worker may first go where the container is to be (its control group, a mount namespace): what CRIU
restores begins as a copy of it. CRIU takes the numbers of directories in a request for descriptors of the
process that made its socket (unix(7), SO_PEERCRED), and mounts in them, so they have to be of its own mount
namespace: the worker makes the socket.
"""

from __future__ import annotations

import _socket
import fcntl
import posix as os

from wharfie.errors import NotSupported, WharfieError
from wharfie.linux.fd import close_all, recv_fds, send_fds
from wharfie.linux.process import CLOSE_RANGE_CLOEXEC, close_range, fork_into, reset_signals, wait_pidfd
from wharfie.runtime.criu import wire
from wharfie.runtime.sync import describe
from wharfie.support import json, paths
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Notify = Callable[[str, int, list[int]], None]

DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION = 1, 2, 4, 6, 9, 10
SOCKET = 3
FIRST_FILE = 4
"""Where the first of ``files`` is in the worker."""
_LONGEST = 1 << 16
_OLDEST = 3, 0


class CriuFailure(WharfieError):
    """CRIU has refused or failed; ``reason`` is what it said beside its log."""


class Worker:
    """A worker that waits for its request; to be closed."""

    __slots__ = ("_pidfd", "_sock", "pid")

    def __init__(
        self, program: str, prepare: Callable[[], Sequence[int]] | None = None, *, cgroup: int = -1
    ) -> None:
        """Start it. ``prepare`` runs in it first; the descriptors that it returns are from FIRST_FILE on.

        Raises NotSupported without CRIU, CriuFailure.
        """
        path = find(program)
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            try:

                def child() -> None:
                    ours.close()
                    _become(path, theirs, prepare)

                self.pid, self._pidfd = fork_into(child, cgroup=cgroup)
            finally:
                theirs.close()
            self._sock: _socket.socket | None = None
            try:
                self._take_socket(ours)
            except BaseException:
                self.close()
                raise
        finally:
            ours.close()

    def _take_socket(self, channel: _socket.socket) -> None:
        data, fds = recv_fds(channel, _LONGEST, 1)
        if fds:
            self._sock = _socket.socket(fileno=fds[0])
            data = recv_fds(channel, _LONGEST, 1)[0]
        if data or self._sock is None:
            raise CriuFailure(json.loads(data)["error"] if data else "it could not be started")

    def call(self, request: dict[str, Any], notify: Notify | None = None) -> dict[str, Any]:
        """Have a request served; the response. Raises CriuFailure, and whatever ``notify`` raises."""
        sock = self._sock
        if sock is None:
            raise CriuFailure("it has ended")
        data = wire.encode(request, wire.REQUEST)
        while True:
            try:
                sock.send(data)
                answer, fds = recv_fds(sock, _LONGEST)
            except ConnectionError:
                answer, fds = b"", []
            try:
                if not answer:
                    raise CriuFailure("it ended without an answer")
                response = wire.decode(answer, wire.RESPONSE)
                if not response.get("success"):
                    raise CriuFailure(response.get("cr_errmsg") or _reason(response.get("cr_errno") or 0))
                if response.get("type") != NOTIFY:
                    return response
                told = response.get("notify") or {}
                if notify is not None:
                    notify(told.get("script", ""), told.get("pid", 0), fds)
            finally:
                close_all(fds)
            data = wire.encode({"type": NOTIFY, "notify_success": True}, wire.REQUEST)

    def close(self) -> int:
        """Let it end, and wait for that; its exit code."""
        if self._sock is not None:
            self._sock.close()
        code = wait_pidfd(self._pidfd)
        os.close(self._pidfd)
        return code or 0


def _reason(number: int) -> str:
    return os.strerror(number).lower() if number else ""


def _become(path: str, channel: _socket.socket, prepare: Callable[[], Sequence[int]] | None) -> None:
    try:
        files = [] if prepare is None else prepare()
        caller, own = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        wanted = [own.fileno(), *files]
        # first out of each other's way, then in their places
        above = SOCKET + len(wanted)
        kept = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, above)
        channel = _socket.socket(fileno=kept)
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in wanted]
        send_fds(channel, b"{}", (caller.fileno(),))
        for number, fd in enumerate(copies, SOCKET):
            os.dup2(fd, number)
        close_range(above, flags=CLOSE_RANGE_CLOEXEC)
        reset_signals()
        os.execve(path, ["criu", "swrk", str(SOCKET)], os.environ)
    except WharfieError as error:
        channel.send(json.dumps({"error": error.message}).encode())
    except OSError as error:
        channel.send(json.dumps({"error": describe(error)}).encode())


def open_directory(path: str) -> int:
    """A descriptor of a directory of images or of the log."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def find(program: str) -> str:
    """The path of CRIU; raises NotSupported where it is not installed."""
    if "/" in program:
        places = [program]
    else:
        places = [f"{directory or '.'}/{program}" for directory in (variable("PATH") or "").split(":")]
    for place in places:
        if paths.isfile(place) and os.access(place, os.X_OK):
            return paths.abspath(place)
    where = "" if "/" in program else " in $PATH"
    raise NotSupported(
        f'checkpoint and restore need CRIU: exec: "{program}": executable file not found{where}'
    )


def _ask(program: str, request: dict[str, Any]) -> dict[str, Any]:
    worker = Worker(program)
    try:
        return worker.call(request)
    finally:
        worker.close()


def check_version(program: str) -> str:
    """CRIU's version; raises NotSupported where there is none, or one too old for its service."""
    try:
        found = _ask(program, {"type": VERSION})["version"]
    except (CriuFailure, KeyError) as error:
        raise NotSupported(f"CRIU version check failed: {program}: {error}") from None
    if (found["major"], found["minor"]) < _OLDEST:
        raise NotSupported(f"CRIU version {found['major']}.{found['minor']} must be 3.0 or higher")
    numbers = [found["major"], found["minor"], *([found["sublevel"]] if found.get("sublevel") else [])]
    return ".".join(str(number) for number in numbers)


def check_feature(program: str, name: str, option: str, meaning: str) -> None:
    """Raise NotSupported where CRIU and this kernel do not have the feature that an option needs."""
    try:
        has = _ask(program, {"type": FEATURE_CHECK, "features": {name: True}}).get("features") or {}
    except CriuFailure as error:
        raise NotSupported(f"CRIU feature check failed: {error}") from None
    if not has.get(name):
        raise NotSupported(f"CRIU is missing features: --{option} needs {meaning}, which is not there")
