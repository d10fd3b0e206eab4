"""A container's life as scripts of events."""

from __future__ import annotations

import pytest

from wharfie.engine import lifecycle as life
from wharfie.engine import restart
from wharfie.engine.container import State, Status
from wharfie.errors import InternalError
from wharfie.wire.config import RestartPolicy

SECOND = 1_000_000_000


def play(*events: life.Event, policy: str = "no", count: int = 0, auto_remove: bool = False) -> life.Step:
    rules = life.Rules(RestartPolicy(name=policy, maximum_retry_count=count), auto_remove)
    step = life.Step(Status(), [])
    for event in events:
        step = life.advance(step.status, event, rules)
    return step


def started(at: int = SECOND, by_policy: bool = False) -> life.Started:
    return life.Started(pid=7, at=at, by_policy=by_policy)


def exited(code: int = 1, at: int = 2 * SECOND) -> life.Exited:
    return life.Exited(exit_code=code, at=at)


def test_a_plain_life_ends_with_its_exit_code() -> None:
    status, commands = play(started(), exited(3, at=6 * SECOND))
    assert (status.state, status.exit_code, status.pid) == (State.EXITED, 3, 0)
    die = life.Announce("die", (("execDuration", "5"), ("exitCode", "3")))
    assert commands == [life.Release(), die, life.WakeWaiters()]


def test_a_failed_start_leaves_it_created_with_its_error() -> None:
    status, commands = play(life.LaunchFailed(127, "not found"))
    assert (status.state, status.exit_code, status.error) == (State.CREATED, 127, "not found")
    assert life.Release() in commands


def test_auto_remove_follows_the_last_exit_only() -> None:
    assert life.AutoRemove() in play(started(), exited(), auto_remove=True).commands
    assert life.AutoRemove() not in play(started(), exited(), policy="always", auto_remove=True).commands
    assert life.AutoRemove() in play(life.LaunchFailed(127, ""), auto_remove=True).commands


def test_waits_between_restarts_double() -> None:
    script: list[life.Event] = [started(), exited()]
    waits = []
    for _ in range(4):
        step = play(*script, policy="always")
        waits += [command.wait_ms for command in step.commands if isinstance(command, life.RestartAfter)]
        script += [started(by_policy=True), exited()]
    assert waits == [100, 200, 400, 800]
    assert step.status.restart_count == 4


def test_a_long_run_begins_the_waits_anew() -> None:
    step = play(
        started(), exited(), started(at=3 * SECOND, by_policy=True), exited(at=13 * SECOND), policy="always"
    )
    assert life.RestartAfter(100) in step.commands


def test_on_failure_gives_up_after_its_count_and_never_minds_success() -> None:
    once = (started(by_policy=True), exited())
    assert play(started(), exited(), policy="on-failure", count=2).status.state is State.RESTARTING
    done = play(started(), exited(), *once, *once, policy="on-failure", count=2)
    assert (done.status.state, done.status.restart_count) == (State.EXITED, 2)
    assert play(started(), exited(0), policy="on-failure").status.state is State.EXITED


def test_somebody_who_stops_it_wins_over_the_policy() -> None:
    status, commands = play(started(), life.StopRequested(), exited(), policy="always")
    assert status.state is State.EXITED
    assert not any(isinstance(command, life.RestartAfter) for command in commands)


def test_a_stop_while_it_waits_for_its_restart_ends_it() -> None:
    status, commands = play(started(), exited(), life.StopRequested(), policy="always")
    assert status.state is State.EXITED
    assert life.CancelRestart() in commands


def test_a_start_by_hand_counts_anew() -> None:
    step = play(started(), exited(), life.StopRequested(), started(), policy="always")
    assert (step.status.restart_count, step.status.manually_stopped) == (0, False)


def test_pausing_and_dying_paused() -> None:
    assert play(started(), life.Paused()).status.paused
    assert play(started(), life.Paused(), life.Unpaused()).status.state is State.RUNNING
    assert play(started(), life.Paused(), exited(137)).status.state is State.EXITED


def test_memory_that_ran_out_is_remembered() -> None:
    assert play(started(), life.OutOfMemory(), exited(137)).status.oom_killed


def test_a_failed_removal_leaves_it_dead() -> None:
    assert play(life.RemovalBegan(), life.RemovalFailed("busy")).status.state is State.DEAD


def test_what_cannot_happen_is_a_fault() -> None:
    for events in ((exited(),), (life.Paused(),), (started(), started()), (started(), life.Unpaused())):
        with pytest.raises(InternalError):
            play(*events)


@pytest.mark.parametrize(
    ("policy", "was_active", "stopped", "code", "starts"),
    [
        ("no", True, False, 1, False),
        ("always", True, False, 0, True),
        ("always", False, True, 0, True),
        ("unless-stopped", True, False, 0, True),
        ("unless-stopped", False, True, 0, False),
        ("on-failure", True, False, 1, True),
        ("on-failure", True, False, 0, False),
        ("always", False, False, 0, False),
    ],
)
def test_who_starts_together_with_the_daemon(
    policy: str, was_active: bool, stopped: bool, code: int, starts: bool
) -> None:
    answer = restart.at_daemon_start(
        RestartPolicy(name=policy), was_active=was_active, manually_stopped=stopped, exit_code=code
    )
    assert answer is starts


def test_waits_have_an_upper_limit() -> None:
    assert restart.next_wait(51_200, 0) == 60_000
    assert restart.next_wait(60_000, 0) == 60_000


@pytest.mark.parametrize(
    ("name", "count", "phrase"),
    [
        ("sometimes", 0, "unknown policy 'sometimes'"),
        ("always", 3, "can only be used with 'on-failure'"),
        ("on-failure", -1, "cannot be negative"),
    ],
)
def test_policies_that_are_none(name: str, count: int, phrase: str) -> None:
    with pytest.raises(restart.InvalidRestartPolicy, match=phrase):
        restart.validate(RestartPolicy(name=name, maximum_retry_count=count))
