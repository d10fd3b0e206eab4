"""Readiness of descriptors and the end of waits, in one thread: epoll(7)."""

from __future__ import annotations

import errno
import heapq
import itertools
import logging
import select
import socket
import time
from collections.abc import Callable

_PAUSE = 0.5
_NONE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_log = logging.getLogger(__name__)
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
FAILED, HUNG_UP = select.EPOLLERR, select.EPOLLHUP
"""Told whatever is waited for."""


class Timer:
    """Something to be done later, unless it is cancelled."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self.work: Callable[[], None] | None = work

    def done(self, _events: int) -> None:
        """Its moment has come."""
        if self.work is not None:
            self.work()

    def cancel(self) -> None:
        """Do not do it."""
        self.work = None


class Loop:
    """Calls back who waits for a descriptor or for a moment."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, tuple[Callable[[int], None], bool]] = {}
        self._paused: dict[int, Timer] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self.running = True

    def watch(self, fd: int, events: int, callback: Callable[[int], None], *, first: bool = False) -> None:
        """Call back when ``fd`` is ready; those that are ``first`` come before others of the same moment."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = (callback, first)

    def forget(self, fd: int) -> None:
        """Watch it no more."""
        paused = self._paused.pop(fd, None)
        if paused is not None:
            paused.cancel()
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def pause(self, fd: int) -> None:
        """Leave for a moment alone what cannot be served now, and would be told of again and again."""
        callback, first = self._callbacks[fd]
        self.forget(fd)

        def resume() -> None:
            del self._paused[fd]
            self.watch(fd, READ, callback, first=first)

        self._paused[fd] = self.after(_PAUSE, resume)

    def accept(self, listener: socket.socket) -> socket.socket | None:
        """Who stands outside, if anybody does and there is a descriptor for him."""
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno in _NONE_LEFT:
                self.pause(listener.fileno())
            return None

    def after(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Do ``work`` in so many seconds."""
        timer = Timer(work)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), timer))
        return timer

    def run(self) -> None:
        """Until ``running`` is false."""
        while self.running:
            self.turn()

    def turn(self) -> None:
        """Wait until something is ready or due, and call back."""
        polled = self._epoll.poll(self._wait())
        ready = [(self._callbacks[fd], fd, events) for fd, events in polled if fd in self._callbacks]
        ready.sort(key=lambda item: not item[0][1])
        for found, fd, events in ready:
            # who was forgotten meanwhile is not called, nor who got the number of its descriptor
            if self._callbacks.get(fd) is found:
                self._call(found[0], events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, timer = heapq.heappop(self._timers)
            self._call(timer.done, 0)

    def _wait(self) -> float:
        while self._timers and self._timers[0][2].work is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    @staticmethod
    def _call(work: Callable[[int], None], events: int) -> None:
        try:
            work(events)
        except Exception:
            # one client's trouble is not everybody's
            _log.exception("a request failed")
