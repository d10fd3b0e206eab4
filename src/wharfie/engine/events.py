"""The event stream: who subscribes gets what happens, and what happened lately.

::

    emit ──▶ history (the last 256, as Docker keeps) ──▶ subscribe(since=…) replays from it
         └─▶ one queue per subscriber ──▶ async iteration

A subscriber that does not read is cut off after ``QUEUE`` events rather than remembered without end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from wharfie.wire.events import Actor, Event

HISTORY = 256
QUEUE = 8192
Accepts = Callable[[Event], bool]


class Subscription:
    """One reader of the stream: ``async for event in subscription``."""

    def __init__(self, accepts: Accepts | None, until_ns: int | None) -> None:
        self._accepts = accepts
        self._until = until_ns
        self._queue: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._closed = False

    def offer(self, event: Event) -> None:
        """Take an event if it is asked for."""
        if self._closed or (self._accepts is not None and not self._accepts(event)):
            return
        if self._until is not None and event.time_nano > self._until:
            return
        if len(self._queue) >= QUEUE:
            self.close()
            return
        self._queue.append(event)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration once the queue is empty."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            if self._until is None:
                await self._arrived.wait()
                continue
            left = self._until / 1e9 - time.time()
            if left <= 0:
                raise StopAsyncIteration
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                raise StopAsyncIteration from None
        return self._queue.popleft()


class EventBus:
    """Where every part of the engine says what happened. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._subscriptions: set[Subscription] = set()
        self._last = 0
        self.emitted = 0
        """How many events there were."""

    @property
    def subscribers(self) -> int:
        """How many read the stream now."""
        return len(self._subscriptions)

    def emit(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Say that ``action`` happened to a container, image, network, volume or the daemon (``kind``)."""
        now = time.time_ns()
        # later means later, even when the clock is set back or too coarse
        self._last = now = max(now, self._last + 1)
        old_form = kind in ("container", "image")
        event = Event(
            status=action if old_form else "",
            id=actor if old_form else "",
            from_=attributes.get("image", "") if kind == "container" else "",
            type=kind,
            action=action,
            actor=Actor(id=actor, attributes=dict(attributes)),
            time=now // 1_000_000_000,
            time_nano=now,
        )
        self.emitted += 1
        self._history.append(event)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    @contextmanager
    def subscribe(
        self, *, accepts: Accepts | None = None, since_ns: int | None = None, until_ns: int | None = None
    ) -> Iterator[Subscription]:
        """Read the stream from now, or from ``since_ns`` as far as history reaches, until ``until_ns``."""
        subscription = Subscription(accepts, until_ns)
        if since_ns is not None:
            for event in self._history:
                if event.time_nano >= since_ns:
                    subscription.offer(event)
        if since_ns is None and until_ns is not None and until_ns < time.time_ns():
            # Docker replays history for an end in the past
            for event in self._history:
                subscription.offer(event)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.close()

    def close(self) -> None:
        """End every subscription, at the daemon's end."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
