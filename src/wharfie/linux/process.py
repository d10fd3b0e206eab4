"""Processes and namespaces: clone3(2), unshare(2), setns(2), pidfds.

A raw clone3 in a single-threaded interpreter is a fork: nothing of the C library or of Python's own
after-fork work is needed as long as the child only prepares an execve and never returns into its parent's
code (:func:`clone3` is called by :func:`fork_into`, which sees to that).
"""

from __future__ import annotations

import fcntl
import posix as os
import select
import struct

from wharfie.linux.credentials import thread_id_address
from wharfie.linux.libc import (
    Int,
    Pointer,
    String,
    UInt,
    ULong,
    address,
    buffer,
    failure,
    function,
    system_call,
)
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x20000, 0x02000000, 0x04000000
CLONE_FS = 0x200
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
CLONE_PIDFD, CLONE_PARENT, CLONE_INTO_CGROUP, CLONE_CLEAR_SIGHAND = 0x1000, 0x8000, 0x200000000, 0x100000000
CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID = 0x01000000, 0x00200000

NAMESPACES = {
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "mount": CLONE_NEWNS,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
"""OCI's names of the namespaces."""

NAMESPACE_FILES = {"network": "net", "mount": "mnt"}
"""Where the file in /proc/PID/ns is not named as OCI names the kind."""

CLOSE_RANGE_CLOEXEC = 4
_NS_GET_NSTYPE = 0xB703

_clone3 = system_call(Pointer, ULong, holding=True)
_unshare = function("unshare", Int)
_setns = function("setns", Int, Int)
_sched_getcpu = function("sched_getcpu")
_close_range = system_call(UInt, UInt, UInt)
_pidfd_getfd = system_call(Int, Int, UInt)
_sethostname = function("sethostname", String, ULong)
_setdomainname = function("setdomainname", String, ULong)
_CLONE_ARGS = struct.Struct("=11Q")
_fork_arguments = b""


def fork() -> int:
    """fork(2) by clone3(2) alone: 0 in the child, its pid in the parent. Only for single-threaded processes.

    ``os.fork`` runs what the C library and the interpreter keep for programs with threads and writes to 45
    pages on the way, 180 KiB of each process that lives on. With one thread, all that is left to do is to
    note the child's id where the C library keeps it for raise(3).
    """
    global _fork_arguments
    if not _fork_arguments:
        _fork_arguments = _arguments_of_fork()
    pid = _clone3(435, _fork_arguments, 88)
    if pid < 0:
        raise failure()
    return pid


def _arguments_of_fork() -> bytes:
    flags, place = 0, thread_id_address()
    if place:
        flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    return _CLONE_ARGS.pack(flags, 0, place, 0, _signal.SIGCHLD, 0, 0, 0, 0, 0, 0)


def clone3(flags: int, *, cgroup: int = -1, exit_signal: int = _signal.SIGCHLD) -> tuple[int, int]:
    """clone3(2) as a fork with a pidfd: (0, -1) in the child, (pid, pidfd) in the parent.

    Only for single-threaded processes. ``cgroup`` is a cgroup v2 directory to be born in.
    """
    if cgroup >= 0:
        flags |= CLONE_INTO_CGROUP
    if flags & CLONE_PARENT:
        exit_signal = 0
    pidfd = buffer(4)
    arguments = _CLONE_ARGS.pack(
        flags | CLONE_PIDFD, address(pidfd), 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup, 0)
    )
    pid = _clone3(435, arguments, len(arguments))
    if pid < 0:
        raise failure()
    return (pid, int.from_bytes(bytes(pidfd), "little")) if pid else (0, -1)


def fork_into(child: Callable[[], object], flags: int = 0, *, cgroup: int = -1) -> tuple[int, int]:
    """Run ``child`` in a new process; (pid, pidfd) of it. ``child`` ends in execve or the process ends in
    255.

    Nothing of the parent's stack ever runs in the child: whatever ``child`` raises, it ends here.
    """
    pid, pidfd = clone3(flags, cgroup=cgroup)
    if pid:
        return pid, pidfd
    try:
        child()
    finally:
        os._exit(255)


def unshare(flags: int) -> None:
    """unshare(2)."""
    if _unshare(flags) < 0:
        raise failure()


def setns(fd: int, flags: int = 0) -> None:
    """setns(2) with a namespace file, or with a pidfd and several namespaces at once."""
    if _setns(fd, flags) < 0:
        raise failure()


def namespace_type(fd: int) -> int:
    """The CLONE_NEW… flag of an open namespace file, 0 for another file (ioctl_ns(2), NS_GET_NSTYPE)."""
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        return 0


def pidfd_open(pid: int) -> int:
    """A descriptor of a process (close-on-exec always)."""
    return os.pidfd_open(pid)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal to exactly this process; raises ProcessLookupError when it is gone."""
    _signal.pidfd_send_signal(pidfd, number)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor."""
    made = _pidfd_getfd(438, pidfd, fd, 0)
    if made < 0:
        raise failure()
    return made


def wait_pidfd(pidfd: int, *, block: bool = True) -> int | None:
    """Reap the child behind a pidfd: its exit code, 128 + n for a signal; None if it still runs (no
    ``block``).
    """
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | (0 if block else os.WNOHANG))
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status


def wait_end(pidfd: int, *, reap: bool) -> None:
    """Wait for the end of a process (pidfd_open(2): it becomes readable) and reap it if it is our child."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    if reap:
        wait_pidfd(pidfd)


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since boot: with the pid it names a process for good.

    Raises ProcessLookupError or FileNotFoundError when there is no such process.
    """
    return birth(pid)[0]


def birth(pid: int) -> tuple[int, int]:
    """(its start time, the number of the processor it is on); raises as :func:`start_time`."""
    fields = _stat_fields(pid)
    return int(fields[19]), int(fields[36])


class Elsewhere:
    """While this lasts, the process is not on ``processor`` if another may be had: somebody else is there.

    A scheduler that packs (as in small virtual machines, to let the other processors sleep) has parent and
    child take turns on one, for as long as a start takes. sched_setaffinity(2).
    """

    __slots__ = ("_allowed", "_processor")

    def __init__(self, processor: int) -> None:
        self._processor = processor
        self._allowed: set[int] = set()

    def __enter__(self) -> None:
        if _sched_getcpu() == self._processor:
            self._allowed = os.sched_getaffinity(0)
            _allow(self._allowed - {self._processor})

    def __exit__(self, *_: object) -> None:
        _allow(self._allowed)


def _allow(processors: set[int]) -> None:
    try:
        if processors:
            os.sched_setaffinity(0, processors)
    except OSError:
        pass  # taken out of our cpuset meanwhile: then it is the kernel's choice


def process_state(pid: int) -> str:
    """One letter as in ps(1): R, S, D, Z (a zombie), T …"""
    return _stat_fields(pid)[0]


def _stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from field 3 on: the name before may hold anything, a parenthesis too (proc(5))."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(fd, 4096)
    finally:
        os.close(fd)
    return content[content.rindex(b")") + 2 :].decode("ascii").split()


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2); with CLOSE_RANGE_CLOEXEC the descriptors are closed at execve."""
    if _close_range(436, first, last, flags) < 0:
        raise failure()


def close_all_but(kept: int, first: int = 3) -> None:
    """Close every descriptor from ``first`` on but one."""
    if kept > first:
        close_range(first, kept - 1)
    close_range(max(first, kept + 1))


def sethostname(name: str) -> None:
    """Set the host name of this UTS namespace."""
    encoded = paths.fsencode(name)
    if _sethostname(encoded, len(encoded)) < 0:
        raise failure()


def setdomainname(name: str) -> None:
    """Set the NIS domain name of this UTS namespace."""
    encoded = paths.fsencode(name)
    if _setdomainname(encoded, len(encoded)) < 0:
        raise failure()


def reset_signals() -> None:
    """Default dispositions and an empty mask, as a new program expects them.

    Python ignores SIGPIPE and SIGXFSZ, and what is ignored stays so across execve(2).
    """
    for number in range(1, _signal.NSIG):
        try:
            if _signal.getsignal(number) != _signal.SIG_DFL:
                _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # SIGKILL, SIGSTOP and the two that the C library keeps for itself
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
