"""A status in words, as ``ps`` prints it, and in the form of inspection."""

from __future__ import annotations

import time

from wharfie.engine.container import Container, State, Status
from wharfie.engine.health import STARTING, Health
from wharfie.support.units import format_time, human_duration
from wharfie.wire import containers as wire

NEVER = "0001-01-01T00:00:00Z"


def status_words(status: Status, now_ns: int | None = None, health: Health | None = None) -> str:
    """``Up 5 minutes``, ``Exited (0) 2 hours ago`` …"""
    now = time.time_ns() if now_ns is None else now_ns
    if status.running:
        up = f"Up {human_duration(max(0, now - status.started_at))}"
        if status.paused:
            return f"{up} (Paused)"
        if health is None:
            return up
        return f"{up} ({'health: starting' if health.status == STARTING else health.status})"
    ago = human_duration(max(0, now - status.finished_at))
    if status.state is State.RESTARTING:
        return f"Restarting ({status.exit_code}) {ago} ago"
    if status.state is State.REMOVING:
        return "Removal In Progress"
    if status.state is State.DEAD:
        return "Dead"
    if status.started_at == 0:
        return "Created"
    if status.finished_at == 0:
        return ""
    return f"Exited ({status.exit_code}) {ago} ago"


def time_text(nanoseconds: int) -> str:
    """RFC 3339; Go's zero time for "never"."""
    return format_time(nanoseconds) if nanoseconds else NEVER


def state(status: Status, health: Health | None = None) -> wire.State:
    """The ``State`` of an inspection."""
    restarting = status.state is State.RESTARTING
    return wire.State(
        status=status.state.value,
        running=status.running or restarting,
        paused=status.paused,
        restarting=restarting,
        oom_killed=status.oom_killed,
        dead=status.state is State.DEAD,
        pid=status.pid,
        exit_code=status.exit_code,
        error=status.error,
        started_at=time_text(status.started_at),
        finished_at=time_text(status.finished_at),
        health=None if health is None else _health(health),
    )


def _health(health: Health) -> wire.Health:
    return wire.Health(
        status=health.status,
        failing_streak=health.streak,
        log=[
            wire.HealthLog(
                start=format_time(result.start),
                end=format_time(result.end),
                exit_code=result.exit_code,
                output=result.output,
            )
            for result in health.log
        ]
        or None,
    )


def mount_points(container: Container) -> list[wire.MountPoint]:
    """Its mounts, as inspected; a tmpfs of ``--tmpfs`` is in the host configuration only, as with Docker."""
    return [
        wire.MountPoint(
            type=point.type,
            name=point.name,
            source=point.source,
            destination=point.destination,
            driver=point.driver,
            mode=point.mode if not point.via_mount else ("z" if point.type == "volume" else ""),
            rw=point.rw,
            propagation=point.propagation,
        )
        for point in container.record.mounts
        if point.type != "tmpfs" or point.via_mount
    ]
