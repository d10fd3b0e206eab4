"""What is counted and timed, for whoever publishes it: plain numbers, so that keeping them costs nothing."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds: Prometheus' usual ones, as Docker has them."""


class Histogram:
    """Durations of one action."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        """How many fell below each bound and not below the one before; the last is for the rest."""
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Meters:
    """All of a daemon's."""

    __slots__ = ("actions", "health_checks", "health_failures")

    def __init__(self) -> None:
        # each is there from the beginning, so that a rate over it can be computed
        self.actions = {name: Histogram() for name in ("changes", "commit", "create", "delete", "start")}
        self.health_checks = 0
        self.health_failures = 0

    @contextmanager
    def timed(self, action: str) -> Iterator[None]:
        """Times what succeeds."""
        begun = time.monotonic()
        yield
        self.actions[action].add(time.monotonic() - begun)
