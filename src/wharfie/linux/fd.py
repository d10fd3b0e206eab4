"""Descriptors: messages that carry descriptors, signals and events as descriptors."""

from __future__ import annotations

import _socket
import posix as os
import struct

from wharfie.linux.libc import Int, Pointer, ULong, failure, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable, Sequence
else:
    import _signal

_SCM_RIGHTS = 1
_MSG_CMSG_CLOEXEC = 0x40000000
_MSG_CTRUNC = 8
MAX_FDS = 253
"""SCM_MAX_FD: as many descriptors as one message may carry."""

_syncfs = function("syncfs", Int)
_signalfd = function("signalfd", Int, Pointer, Int)
_eventfd = function("eventfd", ULong, Int)


def send_fds(sock: _socket.socket, data: bytes, fds: Sequence[int] = ()) -> int:
    """Send one message with descriptors beside it; the sender keeps and closes its own copies."""
    if not fds:
        return sock.send(data)
    packed = struct.pack(f"={len(fds)}i", *fds)
    return sock.sendmsg([data], [(_socket.SOL_SOCKET, _SCM_RIGHTS, packed)])


def recv_fds(
    sock: _socket.socket, size: int = 65536, max_fds: int = MAX_FDS, flags: int = 0
) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors (close-on-exec); (b"", []) at the end.

    Raises OSError when descriptors got lost (too many, or this process may open no more); those that came are
    closed then.
    """
    room = _socket.CMSG_SPACE(4 * max_fds)
    data, ancillary, found_flags, _address = sock.recvmsg(size, room, flags | _MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _SCM_RIGHTS:
            count = len(payload) // 4
            fds += struct.unpack(f"={count}i", payload[: 4 * count])
    if found_flags & _MSG_CTRUNC:
        close_all(fds)
        raise OSError(24, "descriptors of a message were lost: this process may not open that many")
    return data, fds


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors; one that is closed already is no error."""
    for fd in fds:
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                continue


def sync_filesystem(path: str) -> None:
    """Have everything written to the disk that is on the file system of ``path`` (syncfs(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _syncfs(fd) < 0:
            raise failure(path)
    finally:
        os.close(fd)


def signalfd(numbers: Iterable[int]) -> int:
    """A non-blocking descriptor that reports these signals; they are blocked here as well."""
    wanted = list(numbers)
    _signal.pthread_sigmask(_signal.SIG_BLOCK, wanted)
    mask = bytearray(128)
    for number in wanted:
        mask[(number - 1) // 8] |= 1 << (number - 1) % 8
    fd = _signalfd(-1, bytes(mask), os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise failure()
    return fd


def read_signal(fd: int) -> int | None:
    """The next signal's number from a :func:`signalfd`, None if there is none."""
    try:
        record = os.read(fd, 128)
    except BlockingIOError:
        return None
    return int.from_bytes(record[:4], "little")


def eventfd(value: int = 0) -> int:
    """A non-blocking, close-on-exec event counter."""
    fd = _eventfd(value, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise failure()
    return fd
