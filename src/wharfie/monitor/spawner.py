"""The fork server: pays for Python's start and imports once, then forks a monitor per container.

It is a child of the daemon but never the daemon's fork: ``monitor.client`` starts it as ``python -I -S`` on a
read-only mount of the interpreter. Everything that it or a monitor needs is imported here; then the heap is
frozen (a collection would touch, and so copy, every page it shares with its monitors).

::

    daemon ──"launch", fds [document, link, stream...]──▶ spawner ──the same──▶ monitor on standby
    spawner: looks at nothing of it (what it wrote to, its next monitor would have a copy of), goes on at once

One monitor is forked ahead and stands by; when nothing was asked for some time after it was used, the next
one is. In a burst, a launch that finds none waits for its fork. The end of the daemon's socket is the end of
the spawner and of its standby; monitors are in sessions of their own and live on.
"""

from __future__ import annotations

import _socket
import gc
import os
import select
import sys

from wharfie.linux import libc
from wharfie.linux.credentials import set_process_name
from wharfie.linux.fd import close_all, recv_fds, send_fds
from wharfie.monitor import monitor, protocol
from wharfie.monitor.rehearsal import fill_holes, rehearse
from wharfie.monitor.warn import warn
from wharfie.runtime import parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

REST_MS = 40
"""How long nothing must be asked for before a standby is forked: a start has both processors until then."""

THRESHOLD = 4 << 20
"""What a burst of output takes is reused while it lasts (encoding it is three times as fast as with 32 KiB),
and given back when it is over (``stdio.py``)."""

OOM_SCORE = b"-500"
"""As containerd and dockerd choose for themselves."""

_filling: list[object] = []
"""What fills the holes of the heap; never looked at."""


def main(directory: str, control_fd: int, lock: int, *needless: int) -> None:
    """Serve until the daemon's end of the socket closes; ``needless`` descriptors served the start only.

    ``lock`` is only held: see ``succession.py``. ``directory`` is one of ours, for the rehearsal.
    """
    close_all(needless)
    os.set_inheritable(lock, False)
    control = _socket.socket(fileno=control_fd)
    control.setblocking(True)
    # before the rehearsal, which takes 0.1 s: the daemon has other things to do meanwhile
    protocol.send(control, {"event": "ready", "pid": os.getpid()})
    _become(directory)
    asked = select.poll()
    asked.register(control, select.POLLIN)
    standby: _socket.socket | None = None
    while True:
        if standby is None and not asked.poll(REST_MS):
            standby = _fork_monitor(control, lock)
        try:
            request, fds = recv_fds(control, protocol.PACKET_LIMIT + 1, protocol.LAUNCH_FDS_LIMIT)
        except ConnectionResetError:
            return
        except OSError as error:
            warn(f"the spawner got a wrong request: {error}")
            continue
        if not request:
            return
        _launch(control, lock, standby, request, fds)
        standby = None
        close_all(fds)


def _become(directory: str) -> None:
    set_process_name(b"wharfie-spawner")
    os.umask(0o022)
    _signal.signal(_signal.SIGCHLD, _reap)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    libc.mallopt(libc.M_MMAP_THRESHOLD, THRESHOLD)
    libc.mallopt(libc.M_TRIM_THRESHOLD, THRESHOLD)
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, OOM_SCORE)
        finally:
            os.close(fd)
    except OSError:
        pass  # needs CAP_SYS_RESOURCE; the ordinary score will do
    # facts about the machine that every monitor would look up again
    parent.warm()
    try:
        rehearse(f"{directory}/rehearsal.{os.getpid()}")
    except OSError as error:
        warn(f"no rehearsal, monitors will take more memory: {error}")
    gc.collect()
    _filling.extend(fill_holes())
    libc.trim_memory()
    gc.freeze()
    gc.disable()


def _launch(
    control: _socket.socket,
    lock: int,
    standby: _socket.socket | None,
    request: bytes,
    fds: list[int],
) -> None:
    """Hand a launch to a monitor. If there can be none, closing the link tells the daemon."""
    while True:
        chosen = standby or _fork_monitor(control, lock)
        if chosen is None:
            return
        try:
            send_fds(chosen, request, fds)
            return
        except OSError as error:
            warn(f"a monitor was gone before it was used: {error}")
            if standby is None:
                return
            standby = None
        finally:
            chosen.close()


def _fork_monitor(control: _socket.socket, lock: int) -> _socket.socket | None:
    """Fork a monitor that waits at the other end of the socket; None if that fails."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        warn(f"the spawner cannot fork: {error}")
        ours.close()
        theirs.close()
        return None
    if pid:
        theirs.close()
        return ours
    status = 1
    try:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        control.close()
        ours.close()
        monitor.main(theirs, lock)
        status = 0
    except BaseException:
        # the hook written in C: nothing may be imported here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(status)


def _reap(_number: int, _frame: object) -> None:
    """Collect monitors that ended (SIGCHLD)."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if status:
            warn(f"monitor {pid} ended with status {status}")
