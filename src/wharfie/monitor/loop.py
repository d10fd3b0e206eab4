"""The one loop of a monitor: descriptors that become ready, and a few deadlines.

A monitor is one thread with some ten descriptors. It waits by poll(2): what is waited for is a list of
numbers, so a loop made before a fork serves after it, with other files under the same numbers. Handlers get
the ready events and must not block.
"""

from __future__ import annotations

import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.POLLIN
WRITE = select.POLLOUT
URGENT = select.POLLPRI
GONE = select.POLLHUP | select.POLLERR
_FOR_EVER = float("inf")


class Loop:
    """Calls handlers of ready descriptors until it is stopped."""

    __slots__ = ("_deadlines", "_fresh", "_handlers", "_masks", "_poll", "_running", "_vital")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._masks: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._vital: set[int] = set()
        self._deadlines: dict[Callable[[], None], float] = {}
        self._running = True

    def watch(self, fd: int, mask: int, handler: Callable[[int], None], *, vital: bool = False) -> None:
        """Call ``handler`` with the events of ``fd``; hang-ups and errors are always among them.

        A handler that raises loses its descriptor, and the rest goes on: a fault with one client's stream
        must not be the container's end. Unless it is ``vital``: then the process ends, and a daemon settles
        what is left.
        """
        self._poll.register(fd, mask)
        self._handlers[fd] = handler
        self._masks[fd] = mask
        self._fresh.add(fd)
        if vital:
            self._vital.add(fd)

    def change(self, fd: int, mask: int) -> None:
        """Wait for other events of a watched descriptor."""
        if self._masks[fd] != mask:
            self._poll.modify(fd, mask)
            self._masks[fd] = mask

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no longer; to be called before it is closed. Not watched is fine."""
        if self._handlers.pop(fd, None) is not None:
            del self._masks[fd]
            self._vital.discard(fd)
            self._poll.unregister(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call ``call`` once, later; asked again for the same one, the new time counts."""
        self._deadlines[call] = time.monotonic() + seconds

    def stop(self) -> None:
        """End ``run`` after the handler that is running."""
        self._running = False

    def run(self, seconds: float = _FOR_EVER) -> None:
        """Serve until stopped, or for some time."""
        end = time.monotonic() + seconds
        while self._running:
            now = time.monotonic()
            if now >= end:
                return
            left = min(end, *self._deadlines.values()) - now if self._deadlines else end - now
            timeout = None
            if left != _FOR_EVER:
                # a millisecond more than is left, or it would be asked again and again for the last one
                timeout = int(left * 1000) + 1 if left > 0 else 0
            self._fresh.clear()
            for fd, events in self._poll.poll(timeout):
                # a handler called before may have forgotten it, and even have opened another under its number
                handler = self._handlers.get(fd)
                if handler is not None and fd not in self._fresh:
                    self._call(fd, handler, events)
                if not self._running:
                    return
            self._call_due()

    def _call(self, fd: int, handler: Callable[[int], None], events: int) -> None:
        try:
            handler(events)
        except Exception:
            if fd in self._vital:
                raise
            # the hook written in C: nothing may be imported here
            sys.__excepthook__(*sys.exc_info())
            self.forget(fd)

    def _call_due(self) -> None:
        if not self._deadlines:
            return
        now = time.monotonic()
        for call, when in tuple(self._deadlines.items()):
            if when <= now:
                del self._deadlines[call]
                call()
