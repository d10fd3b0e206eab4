"""The life of a container, decided without doing anything: (status, event) gives (status, commands).

::

                      Started                 Paused
    created ─────────────────────▶ running ◀────────────▶ paused
       ▲  │ LaunchFailed              │       Unpaused       │
       └──┘                           │ Exited               │ Exited
                                      ▼                      │
              ┌─────────── the policy decides ◀──────────────┘
              │ again                           │ no
              ▼            StopRequested        ▼       RemovalBegan
          restarting ─────────────────────▶   exited ──────────────▶ removing ──▶ gone
              │   RestartFailed                 ▲                        │
              ├─────────────────────────────────┤                        ▼ RemovalFailed
              └─ Started ──▶ running            └── Started              dead

Commands say what shall happen next; :mod:`~wharfie.engine.supervisor` does it, in their order, after the new
status is in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from wharfie.engine import restart
from wharfie.engine.container import State, Status
from wharfie.errors import InternalError
from wharfie.wire.config import RestartPolicy

# -- what happens -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """Its program runs; ``by_policy`` when nobody asked for this start."""

    pid: int
    at: int
    by_policy: bool = False


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """It could not be started; ``exit_code`` is 125, 126, 127 or 128."""

    exit_code: int
    error: str


@dataclass(frozen=True, slots=True)
class Exited:
    """Its first process is gone."""

    exit_code: int
    at: int
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody stops or kills it: whatever the policy, its next exit is the last."""


@dataclass(frozen=True, slots=True)
class StopRetracted:
    """What was asked of it under StopRequested was a restart: the exit has come and policies hold again."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Its processes are frozen."""


@dataclass(frozen=True, slots=True)
class Unpaused:
    """Its processes go on."""


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel killed one of its processes; the container may live on."""


@dataclass(frozen=True, slots=True)
class RemovalBegan:
    """It is being removed."""


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    """Something of it could not be removed; only removal is possible now."""

    error: str


Event = (
    Started
    | LaunchFailed
    | Exited
    | StopRequested
    | StopRetracted
    | Paused
    | Unpaused
    | OutOfMemory
    | RemovalBegan
    | RemovalFailed
)

# -- what shall be done -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announce:
    """Emit an event with these further attributes."""

    action: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what a run holds: the address, the link to the monitor."""


@dataclass(frozen=True, slots=True)
class WakeWaiters:
    """Those who wait for an exit."""


@dataclass(frozen=True, slots=True)
class RestartAfter:
    """Start again in so many milliseconds."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class CancelRestart:
    """Do not start again after all."""


@dataclass(frozen=True, slots=True)
class AutoRemove:
    """Remove it and its anonymous volumes."""


Command = Announce | Release | WakeWaiters | RestartAfter | CancelRestart | AutoRemove


@dataclass(frozen=True, slots=True)
class Rules:
    """The parts of the configuration that decide."""

    policy: RestartPolicy
    auto_remove: bool = False


class Step(NamedTuple):
    """The answer to an event."""

    status: Status
    commands: list[Command]


def advance(status: Status, event: Event, rules: Rules) -> Step:
    """The next moment of a container's life.

    Raises:
        InternalError: the event cannot happen in this status, which is a fault of the caller.
    """
    if isinstance(event, Started):
        return _started(status, event)
    if isinstance(event, LaunchFailed):
        return _launch_failed(status, event, rules)
    if isinstance(event, Exited):
        return _exited(status, event, rules)
    if isinstance(event, StopRequested):
        return _stop_requested(status)
    if isinstance(event, StopRetracted):
        return Step(_with(status, manually_stopped=False), [])
    if isinstance(event, Paused):
        _expect(status, event, State.RUNNING)
        return Step(_with(status, state=State.PAUSED), [Announce("pause")])
    if isinstance(event, Unpaused):
        _expect(status, event, State.PAUSED)
        return Step(_with(status, state=State.RUNNING), [Announce("unpause")])
    if isinstance(event, OutOfMemory):
        return Step(_with(status, oom_killed=True) if status.running else status, [Announce("oom")])
    if isinstance(event, RemovalBegan):
        return Step(_with(status, state=State.REMOVING), [CancelRestart()])
    return Step(_with(status, state=State.DEAD, error=event.error), [])


def _with(status: Status, **changes: object) -> Status:
    return msgspec.structs.replace(status, **changes)


def _expect(status: Status, event: object, *states: State) -> None:
    if status.state not in states:
        raise InternalError(f"a container that is {status.state.value} cannot meet {type(event).__name__}")


def _started(status: Status, event: Started) -> Step:
    _expect(status, event, State.CREATED, State.EXITED, State.RESTARTING)
    fresh = Status(
        state=State.RUNNING,
        pid=event.pid,
        started_at=event.at,
        finished_at=status.finished_at,
        restart_count=status.restart_count if event.by_policy else 0,
        backoff_ms=status.backoff_ms if event.by_policy else 0,
    )
    return Step(fresh, [Announce("start")])


def _launch_failed(status: Status, event: LaunchFailed, rules: Rules) -> Step:
    _expect(status, event, State.CREATED, State.EXITED, State.RESTARTING)
    state = State.EXITED if status.state is State.RESTARTING else status.state
    failed = _with(status, state=state, exit_code=event.exit_code, error=event.error, pid=0)
    commands: list[Command] = [Release(), WakeWaiters()]
    if rules.auto_remove:
        commands.append(AutoRemove())
    return Step(failed, commands)


def _exited(status: Status, event: Exited, rules: Rules) -> Step:
    _expect(status, event, State.RUNNING, State.PAUSED)
    ran = max(0, event.at - status.started_at)
    decision = restart.after_exit(
        rules.policy,
        exit_code=event.exit_code,
        manually_stopped=status.manually_stopped,
        restart_count=status.restart_count,
        previous_ms=status.backoff_ms,
        ran_ns=ran,
    )
    ended = _with(
        status,
        state=State.RESTARTING if decision.restart else State.EXITED,
        pid=0,
        exit_code=event.exit_code,
        oom_killed=event.oom_killed or status.oom_killed,
        error=event.error,
        finished_at=event.at,
        restart_count=status.restart_count + (1 if decision.restart else 0),
        backoff_ms=decision.wait_ms,
    )
    attributes = (("execDuration", str(ran // 1_000_000_000)), ("exitCode", str(event.exit_code)))
    commands: list[Command] = [Release(), Announce("die", attributes), WakeWaiters()]
    if decision.restart:
        commands.append(RestartAfter(decision.wait_ms))
    elif rules.auto_remove:
        commands.append(AutoRemove())
    return Step(ended, commands)


def _stop_requested(status: Status) -> Step:
    if status.state is State.RESTARTING:
        ended = _with(status, state=State.EXITED, manually_stopped=True)
        return Step(ended, [CancelRestart(), WakeWaiters()])
    return Step(_with(status, manually_stopped=True), [])
