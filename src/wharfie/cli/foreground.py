"""A container, or a command in one, in the foreground of this terminal.

The streams are those of :mod:`wharfie.cli.streams`; this adds what is around them: raw mode, the window's
size and the signals. Signal handlers do their work themselves, on a connection of their own: the main loop
may be waiting in a write to a pipe that nobody reads.
"""

from __future__ import annotations

import posix

from wharfie.cli.context import warn
from wharfie.cli.errors import CommandError
from wharfie.cli.streams import Relay
from wharfie.client.api import Api, query
from wharfie.errors import WharfieError
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    import signal as _signal
    from collections.abc import Callable

    from wharfie.cli.terminal import Raw
    from wharfie.wire.detachkeys import DetachKeys
else:
    import _signal

_NOT_FORWARDED = (
    _signal.SIGCHLD,
    _signal.SIGPIPE,
    _signal.SIGURG,
    _signal.SIGWINCH,
    _signal.SIGKILL,
    _signal.SIGSTOP,
    # these mean a fault of this process, never a message
    _signal.SIGSEGV,
    _signal.SIGBUS,
    _signal.SIGFPE,
    _signal.SIGILL,
    _signal.SIGABRT,
    _signal.SIGTRAP,
)
_PATIENCE = 3


class Foreground:
    """The user's side of an attached process; :meth:`leave` undoes everything."""

    __slots__ = ("_api", "_ends", "_keys", "_raw", "_resize_target", "_tty")

    def __init__(self, api: Api, *, tty: bool, detach_keys: str) -> None:
        self._api = api
        self._tty = tty
        self._raw: Raw | None = None
        self._keys: DetachKeys | None = None
        self._resize_target = ""
        self._ends = 0
        if tty:
            from wharfie.wire import detachkeys

            try:
                keys = detachkeys.parse(detach_keys)
            except ValueError:
                keys = detachkeys.parse(None)
            self._keys = detachkeys.DetachKeys(keys)

    def enter_raw_mode(self, *, stdin: bool) -> None:
        """Hand keys over unchanged, if this is a terminal's session with input."""
        if self._tty:
            # a broken pipe must not end this process before the terminal is put back
            _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
            if stdin:
                from wharfie.cli.terminal import Raw

                self._raw = Raw()

    def follow_size(self, target: str) -> None:
        """Tell the other side the window's size now and whenever it changes."""
        if self._tty:
            self._resize_target = target
            _signal.signal(_signal.SIGWINCH, self._resized)
            self._resized(0, None)

    def _resized(self, _number: int, _frame: object) -> None:
        from wharfie.cli.terminal import size

        rows, columns = size()
        if rows and columns:
            self._post(f"{self._resize_target}/resize{query(h=rows, w=columns)}")

    def forward_signals(self, target: str) -> None:
        """Send the signals that reach this process on to the container."""

        def forward(number: int, _frame: object) -> None:
            if number in (_signal.SIGINT, _signal.SIGTERM):
                self._ends += 1
                if self._ends >= _PATIENCE:
                    self.leave()
                    warn("\ngot 3 SIGTERM/SIGINTs, forcefully exiting")
                    posix._exit(1)
            self._post(f"{target}/kill{query(signal=signal_name(number))}")

        for number in range(1, 32):
            if number not in _NOT_FORWARDED:
                _signal.signal(number, forward)

    def _post(self, target: str) -> None:
        # it may be gone already, or not be there yet: then there is nobody to tell
        try:
            Api(self._api.address, headers=self._api.headers).post(target)
        except (WharfieError, OSError):
            return

    def relay(self, sock: _socket.socket, rest: bytes, *, stdin: bool) -> bool:
        """Copy until the process closes its streams; True when the user detached."""
        try:
            return Relay(sock, framed=not self._tty, stdin=stdin, typed=self._keys).run(rest)
        finally:
            sock.close()

    def leave(self) -> None:
        """Put the terminal back."""
        if self._raw is not None:
            self._raw.restore()


def signal_name(number: int) -> str:
    """``SIGINT``, or the number of a signal without a name."""
    for name in dir(_signal):
        if name.startswith("SIG") and name[3:].isalnum() and getattr(_signal, name) == number:
            return name
    return str(number)


def hijack(api: Api, target: str, body: bytes | None = None) -> tuple[_socket.socket, bytes]:
    """Ask for a raw stream; the socket and the bytes that came with the head. Raises ApiError."""
    finish = begin_hijack(api, target, body)
    return finish()


def begin_hijack(
    api: Api, target: str, body: bytes | None = None
) -> Callable[[], tuple[_socket.socket, bytes]]:
    """Send the request now; the function that is returned waits for the answer."""
    from wharfie.client.api import check

    connection = api.connect()
    connection.send("POST", target, body, upgrade=True)

    def finish() -> tuple[_socket.socket, bytes]:
        check(connection.response())
        return connection.hijack()

    return finish


def status(data: bytes) -> int:
    """The exit code in an answer to wait; raises CommandError when the wait itself failed."""
    if not data.strip():
        raise CommandError("the wharfie daemon went away while the container ran", 125)
    answer = json.loads(data)
    problem = (answer.get("Error") or {}).get("Message")
    if problem:
        raise CommandError(f"Error waiting for container: {problem}", 125)
    code: int = answer["StatusCode"]
    return code
