"""What a command gives its caller about a process it made: terminal, pidfd, process id."""

from __future__ import annotations

import posix as os

from wharfie.errors import InvalidArgument
from wharfie.support.environment import variable
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check_console(options: dict[str, Any], *, terminal: bool, detached: bool) -> None:
    """Refuse a terminal that nobody would hold, and a socket for none; raises InvalidArgument."""
    if detached and terminal and not options.get("console-socket"):
        raise InvalidArgument("cannot allocate tty if runc will detach without setting console socket")
    if options.get("console-socket") and not (terminal and detached):
        raise InvalidArgument("cannot use console socket if runc will not detach or allocate tty")


def preserved(options: dict[str, Any]) -> int:
    """How many descriptors from 3 on the process keeps; raises InvalidArgument when one is not open."""
    listening = variable("LISTEN_FDS") or ""
    extra = options.get("preserve-fds") or 0
    if extra < 0:
        raise InvalidArgument("--preserve-fds cannot be negative")
    count = (int(listening) if listening.isascii() and listening.isdigit() else 0) + extra
    for fd in range(3, 3 + count):
        if not _was_handed(fd):
            raise InvalidArgument(f"preserving {count} descriptors failed: descriptor {fd} is not open")
    return count


def _was_handed(fd: int) -> bool:
    """Whether a descriptor is the caller's: what this process opens itself closes on exec, and no container
    may have it.
    """
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def hand_over(options: dict[str, Any], pid: int, pidfd: int, console: int | None, kind: str) -> None:
    """Give it; ``kind`` is "standard" for a container's first process, else "setns". Raises OSError."""
    if options.get("console-socket") and console is not None:
        _send(options["console-socket"], b"/dev/pts/ptmx", console)
    if options.get("pidfd-socket"):
        _send(options["pidfd-socket"], kind.encode(), pidfd)
    if options.get("pid-file"):
        atomic_write(options["pid-file"], str(pid).encode(), mode=0o644, sync=False)


def _send(path: str, message: bytes, fd: int) -> None:
    import _socket

    from wharfie.linux.fd import send_fds

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
        send_fds(sock, message, (fd,))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        sock.close()
