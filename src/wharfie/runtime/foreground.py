"""Staying with a process that the command line started: signals go to it, its terminal to ours."""

from __future__ import annotations

import posix as os
import select

from wharfie.linux import terminal
from wharfie.linux.fd import read_signal, signalfd
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.parent import Container

# all that a terminal or a supervisor sends; SIGCHLD and faults are ours
_FORWARDED = (1, 2, 3, 10, 12, 13, 15, 18, 28)
_SIGWINCH = 28


def stay(pidfd: int, console: int | None) -> int:
    """Wait for the process behind ``pidfd``; its exit code, 128 + n for a signal."""
    signals = signalfd(_FORWARDED)
    if console is None or not os.isatty(0):
        _relay(pidfd, console, signals)
    else:
        from wharfie.support import rawmode

        saved = rawmode.enter(0)
        try:
            _relay(pidfd, console, signals)
        finally:
            rawmode.leave(0, saved, drain=True)
    return wait_pidfd(pidfd) or 0


def stay_to_the_end(container: Container) -> int:
    """Stay with a container, and take away what it leaves; its exit code."""
    code = stay(container.pidfd, container.console)
    container.warnings.clear()
    container.destroy()
    log.warn(container.warnings)
    container.close()
    return code


def _relay(pidfd: int, console: int | None, signals: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(signals, select.POLLIN)
    if console is not None:
        _copy_size(console)
        poller.register(console, select.POLLIN)
        poller.register(0, select.POLLIN)
    ended = False
    while not ended:
        ready = {fd for fd, _event in poller.poll()}
        if signals in ready:
            _forward(pidfd, console, read_signal(signals))
        if 0 in ready and console is not None and not _pump(0, console):
            poller.unregister(0)
        if console in ready and console is not None and not _pump(console, 1):
            poller.unregister(console)
            console = None
        # what the process wrote last is read before its end counts
        ended = pidfd in ready and (console is None or console not in ready)


def _pump(source: int, target: int) -> bool:
    try:
        data = os.read(source, 65536)
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
    except OSError:  # EIO: the last process closed the terminal
        return False
    return bool(data)


def _forward(pidfd: int, console: int | None, number: int | None) -> None:
    if number == _SIGWINCH and console is not None:
        _copy_size(console)
    elif number is not None:
        try:
            pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return


def _copy_size(console: int) -> None:
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return
    terminal.set_size(console, size.lines, size.columns)
