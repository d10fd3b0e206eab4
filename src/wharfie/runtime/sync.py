"""What a container's process and its creator tell each other before execve.

A SOCK_SEQPACKET pair, one JSON object or one byte per message::

    child ──> parent    {"console": true} + the terminal's master    (where it has a terminal)
    child ──> parent    {"namespaces": true}  then waits for b"h"    (hooks to be run on the host)
    child ──> parent    {"ready": true}       then waits for b"s"    (created, not started)
    child ──> parent    {"born": pid} + its pidfd                    (a stand-in has made the process: join)
    child ──> parent    {"limits": true}      then waits for b"r"    (limits, set from outside: setup)
    child ──> parent    {"listener": n}       then waits for b"l"    (a seccomp notifier: notify)
    child ──> parent    {"exec": true}, then the socket closes       (execve succeeded)
    child ──> parent    {"error": "…", "code": 125|126|127}          (it did not)
    parent ──> child    b"m" id maps are written, b"n" network interfaces are there, and the answers above

The end of file alone means that the process died: a kill by the kernel must not look like success.
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux.fd import recv_fds, send_fds
from wharfie.runtime.launch import LaunchError
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MAPPED, NETWORK, HOOKS, START, JOINED, LISTENED, LIMITED = b"m", b"n", b"h", b"s", b"j", b"l", b"r"
_EXEC = b'{"exec":true}'


def pair() -> tuple[Channel, Channel]:
    """(the parent's end, the child's end)."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    return Channel(one), Channel(other)


class Channel:
    """One end; ``doing`` says what its owner is at, for the message of an error that nobody foresaw."""

    __slots__ = ("alone", "doing", "sock")

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.doing = "starting"
        self.alone = False
        """The parent does not wait any more: what there is to say goes to standard error."""

    def close(self) -> None:
        """Close this end."""
        self.sock.close()

    def tell(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send an object, descriptors beside it."""
        if self.alone:
            os.write(2, f"{message.get('error', '')}\n".encode())
            return
        send_fds(self.sock, json.dumps(message).encode(), fds)

    def tell_exec(self) -> None:
        """The last message of a child that goes into execve."""
        if not self.alone:
            self.sock.send(_EXEC)

    def go(self, word: bytes) -> None:
        """Let the child pass one of its waits; a child that died has left its reason to be read."""
        try:
            self.sock.send(word)
        except BrokenPipeError:
            return

    def wait(self, word: bytes) -> None:
        """Wait for the parent; raises LaunchError when it is gone."""
        if self.sock.recv(1) != word:
            raise LaunchError("the creator of the container is gone")

    def hear(self) -> tuple[dict[str, Any], list[int]] | None:
        """The child's next message, None at its end; raises LaunchError for what it reports."""
        try:
            data, fds = recv_fds(self.sock, 65536, 1)
        except ConnectionResetError:
            # it died with a word of ours unread: the kernel says so once, before what it had sent
            data, fds = recv_fds(self.sock, 65536, 1)
        if not data:
            return None
        message = json.loads(data)
        if "error" in message:
            raise LaunchError(message["error"], message["code"])
        return message, fds


def describe(error: OSError) -> str:
    """An OSError as Docker's users know it: "permission denied", with the path where there is one."""
    reason = (error.strerror or str(error)).lower()
    name = error.filename
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return f"{name}: {reason}" if isinstance(name, str) and name else reason
