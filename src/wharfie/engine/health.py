"""Whether a container is healthy: what its checks mean, as pure functions.

::

    starting ── success ─────────────▶ healthy ◀── success ──┐
        │                                 │                  │
        └── ``retries`` failures in a row ┴──────────▶ unhealthy

Failures within the start period do not count, as long as no check has succeeded. A container that has ended
is unhealthy, as with Docker; its next start begins anew, its log of checks goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from wharfie.errors import InvalidArgument
from wharfie.support.units import format_duration
from wharfie.wire.config import Config, HealthConfig

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
ON_FAILURE = ("", "none", "kill", "restart", "stop")
KEPT = 5
"""Checks that are remembered."""
OUTPUT = 4096
"""Bytes of a check's output that are."""
_SECOND = 1_000_000_000
_SHORTEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """What to run, and when; times in nanoseconds."""

    command: list[str]
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int
    on_failure: str


@dataclass(frozen=True, slots=True)
class Result:
    """One check: when it ran, and what came of it; -1 for one that did not end by itself."""

    start: int
    end: int
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Health:
    """What is known by now."""

    status: str = STARTING
    streak: int = 0
    log: tuple[Result, ...] = ()


def validate(asked: HealthConfig | None) -> None:
    """Raises InvalidArgument, in Docker's words."""
    if asked is None:
        return
    for name, value in (
        ("Interval", asked.interval),
        ("Timeout", asked.timeout),
        ("StartPeriod", asked.start_period),
        ("StartInterval", asked.start_interval),
    ):
        if value and value < _SHORTEST:
            raise InvalidArgument(f"{name} in Healthcheck cannot be less than {format_duration(_SHORTEST)}")
    if asked.retries < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    if asked.on_failure not in ON_FAILURE:
        raise InvalidArgument(
            f"invalid action on a failed health check: '{asked.on_failure}' (none, kill, restart or stop)"
        )
    kind = asked.test[0] if asked.test else ""
    if kind not in ("", "NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(f"Unknown healthcheck type '{kind}' (expected 'CMD' or 'CMD-SHELL')")


def read(config: Config) -> Check | None:
    """The check of a container's configuration; None where there is none."""
    asked = config.healthcheck
    if asked is None or not asked.test:
        return None
    kind, *words = asked.test
    if kind == "CMD-SHELL":
        words = [*(config.shell or ["/bin/sh", "-c"]), *words]
    elif kind != "CMD":
        return None
    # an image's are not validated: what makes no sense is as good as nothing
    return Check(
        command=words,
        interval=_sensible(asked.interval, 30),
        timeout=_sensible(asked.timeout, 30),
        start_period=asked.start_period,
        start_interval=_sensible(asked.start_interval, 5),
        retries=asked.retries if asked.retries > 0 else 3,
        on_failure=asked.on_failure,
    )


def _sensible(asked: int, default: int) -> int:
    return asked if asked >= _SHORTEST else default * _SECOND


def begun(health: Health | None) -> Health:
    """At a start."""
    return Health(log=health.log if health else ())


def ended(health: Health) -> Health:
    """When nothing is checked any more."""
    return replace(health, status=UNHEALTHY)


def pause(check: Check, health: Health, running: int) -> int:
    """How long to wait for the next check, when the container has been running so long."""
    if health.status == STARTING and running < check.start_period:
        return min(check.start_interval, check.interval)
    return check.interval


def after(check: Check, health: Health, result: Result, running: int) -> Health:
    """What is known after one more check, which began when the container had been running so long."""
    log = (*health.log, result)[-KEPT:]
    if result.exit_code == 0:
        return Health(HEALTHY, 0, log)
    if health.status == STARTING and running < check.start_period:
        return replace(health, log=log)
    streak = health.streak + 1
    return Health(UNHEALTHY if streak >= check.retries else health.status, streak, log)
