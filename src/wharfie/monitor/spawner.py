"""The fork server: pays for Python's start and imports once, then forks a monitor per container.

It is a child of the daemon but never the daemon's fork: ``monitor.client`` starts it as ``python -I -S`` on a
read-only mount of the interpreter. Everything that it or a monitor needs is imported here; then the heap is
frozen (a collection would touch, and so copy, every page it shares with its monitors).

::

    daemon ──"launch", fds [document, link, stream...]──▶ the standby, on the socket that it inherited
    standby ──its end of a pipe closes──▶ spawner           taken, or dead: another is needed

One monitor is forked ahead and stands by: the child that launches for it reads the daemon's socket itself.
When nothing was asked for some time after one was used, the next one is forked; a request that comes sooner
waits for its fork. The end of the daemon's socket is the end of the spawner and of its standby; monitors are
in sessions of their own and live on.

A page that the spawner writes between two forks is a page that the monitors forked before keep alone. So all
it does between them is to wait: it never looks at a request, and its children are reaped by the kernel.
"""

from __future__ import annotations

import _socket
import gc
import posix as os
import select
import sys

from wharfie.linux import libc
from wharfie.linux.credentials import set_process_name
from wharfie.linux.fd import close_all, recv_fds
from wharfie.linux.process import fork
from wharfie.monitor import protocol
from wharfie.monitor.monitor import main as main_of_monitor
from wharfie.monitor.rehearsal import fill_holes, rehearse
from wharfie.monitor.template import Template
from wharfie.monitor.warn import warn
from wharfie.runtime import parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal

REST_MS = 40
"""How long nothing must be asked for before a standby is forked: a start has both processors until then."""

THRESHOLD = 4 << 20
"""What a burst of output takes is reused while it lasts (encoding it is three times as fast as with 32 KiB),
and given back when it is over (``stdio.py``)."""

OOM_SCORE = b"-500"
"""As containerd and dockerd choose for themselves."""

_SIGNALS = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP)
"""What is sent to whole sessions ends neither spawner nor monitors, which have their own ways to end. There
is a handler instead of SIG_IGN because execve(2) resets handlers."""

_filling: list[object] = []
"""What fills the holes of the heap; never looked at."""


def main(directory: str, control: int, lock: int, *needless: int) -> None:
    """Serve until the daemon's end of the socket closes; ``needless`` descriptors served the start only.

    ``lock`` is only held: see ``succession.py``. ``directory`` is one of ours, for the rehearsal.
    """
    close_all(needless)
    os.set_inheritable(lock, False)
    os.set_inheritable(control, False)
    # before the rehearsal, which takes 0.1 s: the daemon has other things to do meanwhile
    _tell(control, {"event": "ready", "pid": os.getpid()})
    template = _become(directory, lock)
    asked = select.poll()
    asked.register(control, select.POLLIN)
    while True:
        taken = _fork_monitor(template, control, lock)
        if taken < 0:
            _refuse(control)
        else:
            os.read(taken, 1)
            os.close(taken)
        if asked.poll(REST_MS) and _ended(control):
            return


def _tell(control: int, message: dict[str, Any]) -> None:
    sock = _socket.socket(fileno=os.dup(control))
    protocol.send(sock, message)
    sock.close()


def _become(directory: str, lock: int) -> Template:
    os.umask(0o022)
    for number in _SIGNALS:
        _signal.signal(number, _nothing)
    libc.mallopt(libc.M_MMAP_THRESHOLD, THRESHOLD)
    libc.mallopt(libc.M_TRIM_THRESHOLD, THRESHOLD)
    libc.mallopt(libc.M_MXFAST, 0)
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
        rehearse(f"{directory}/rehearsal.{os.getpid()}", lock)
    except OSError as error:
        warn(f"no rehearsal, monitors will take more memory: {error}")
    set_process_name(b"wharfie-spawner")
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    gc.collect()
    _filling.extend(fill_holes())
    template = Template()
    libc.trim_memory()
    # a collection in a monitor looks only at what is younger
    gc.freeze()
    return template


def _nothing(_number: int, _frame: object) -> None:
    return


def _fork_monitor(template: Template, control: int, lock: int) -> int:
    """Fork a monitor that stands by; a pipe that ends when it is used or dead, -1 if it cannot be."""
    taken, held = os.pipe2(os.O_CLOEXEC)
    try:
        pid = fork()
    except OSError as error:
        warn(f"the spawner cannot fork: {error}")
        os.close(taken)
        os.close(held)
        return -1
    if pid:
        os.close(held)
        return taken
    status = 1
    try:
        main_of_monitor(template, taken, control, held, lock)
        status = 0
    except BaseException:
        # the hook written in C: nothing may be imported here
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(status)


def _refuse(control: int) -> None:
    """Nobody can do what is asked for next: that its descriptors close tells the daemon."""
    sock = _socket.socket(fileno=os.dup(control))
    try:
        _, fds = recv_fds(sock, protocol.PACKET_LIMIT + 1, protocol.FDS_LIMIT)
        close_all(fds)
    except OSError as error:
        warn(f"the spawner got a wrong request: {error}")
    finally:
        sock.close()


def _ended(control: int) -> bool:
    """Whether the daemon's end is closed and nothing is left to be done."""
    sock = _socket.socket(fileno=os.dup(control))
    try:
        return not sock.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
    except OSError:
        return False
    finally:
        sock.close()
