"""Staying with a process that the command line started: signals go to it, its terminal to ours."""

from __future__ import annotations

import os
import select

from wharfie.linux import terminal
from wharfie.linux.fd import read_signal, signalfd
from wharfie.linux.process import pidfd_send_signal, wait_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# all that a terminal or a supervisor sends; SIGCHLD and faults are ours
_FORWARDED = (1, 2, 3, 10, 12, 13, 15, 18, 28)
_SIGWINCH = 28


def stay(pidfd: int, console: int | None) -> int:
    """Wait for the process behind ``pidfd``; its exit code, 128 + n for a signal."""
    signals = signalfd(_FORWARDED)
    saved = _raw() if console is not None else None
    try:
        _relay(pidfd, console, signals)
    finally:
        if saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, saved)
    return wait_pidfd(pidfd) or 0


def _raw() -> list[Any] | None:
    """Put our own terminal into raw mode; its former state, None if there is no terminal."""
    if not os.isatty(0):
        return None
    import termios  # half a millisecond, for those that have a terminal

    saved = termios.tcgetattr(0)
    mode = [*saved[:6], list(saved[6])]
    # cfmakeraw(3)
    mode[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    mode[1] &= ~termios.OPOST
    mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(0, termios.TCSANOW, mode)
    return saved


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
