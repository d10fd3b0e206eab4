"""SCMP_ACT_NOTIFY: a filter whose questions go to an agent behind ``linux.seccomp.listenerPath``.

::

    child    number of the descriptor to be ─ load the filter ─ write {"listener": n} ─ read "l" ─ close
    parent   hears it ─ pidfd_getfd(n) ─ connect to the agent, state and descriptor in one message ─ "l"

Between loading and the agent's start the child needs write(2) alone, so that is the one call that a filter
may not ask about (runtime-spec, config-linux, "The Container Process State"). Loaded in the parent, before
the fork, when a profile has such rules.
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux import credentials
from wharfie.linux.fd import send_fds
from wharfie.linux.process import pidfd_getfd
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import LISTENED, describe
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.processplan import ProcessPlan
    from wharfie.runtime.sync import Channel

_PATIENCE = 10.0
"""Seconds that an agent may take to accept a connection."""


class Listener:
    """Where the notifications of one filter go."""

    __slots__ = ("_metadata", "_path")

    def __init__(self, path: str, metadata: str) -> None:
        self._path = path
        self._metadata = metadata

    def load(self, plan: ProcessPlan, channel: Channel) -> None:
        """In the child: load the plan's filter and have the parent fetch its descriptor."""
        program, plan.seccomp = plan.seccomp or b"", None
        sock = channel.sock.fileno()
        fd = credentials.seccomp_load(
            program, plan.seccomp_flags | credentials.SECCOMP_FILTER_FLAG_NEW_LISTENER
        )
        os.write(sock, b'{"listener":%d}' % fd)
        channel.wait(LISTENED)
        os.close(fd)

    def forward(self, pidfd: int, pid: int, number: int, state: dict[str, Any]) -> None:
        """In the parent: send descriptor ``number`` of the process to the agent; raises LaunchError."""
        message = {
            "ociVersion": state["ociVersion"],
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": self._metadata,
            "state": state,
        }
        try:
            fd = pidfd_getfd(pidfd, number)
            try:
                self._send(json.dumps(message).encode(), fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise LaunchError(
                f"linux.seccomp.listenerPath: the agent at {self._path} cannot be told: {describe(error)}"
            ) from None

    def _send(self, message: bytes, fd: int) -> None:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(_PATIENCE)
            sock.connect(self._path)
            sent = send_fds(sock, message, (fd,))
            while sent < len(message):
                sent += sock.send(message[sent:])
        finally:
            sock.close()


def read_listener(profile: dict[str, Any]) -> Listener | None:
    """The listener of ``linux.seccomp``, None where no rule asks; raises LaunchError."""
    if not any(rule.get("action") == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls") or ()):
        return None
    path = profile.get("listenerPath")
    if not path:
        raise LaunchError("linux.seccomp.listenerPath is missing: a rule has the action SCMP_ACT_NOTIFY")
    return Listener(path, profile.get("listenerMetadata") or "")
