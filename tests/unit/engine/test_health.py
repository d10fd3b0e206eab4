"""What health checks mean, told as scripts of results."""

from __future__ import annotations

import re

import pytest

from wharfie.engine import health
from wharfie.engine.health import HEALTHY, STARTING, UNHEALTHY, Check, Health, Result
from wharfie.errors import InvalidArgument
from wharfie.wire.config import Config, HealthConfig

SECOND = 1_000_000_000


def check(**changes: int) -> Check:
    values = {"interval": 30, "timeout": 30, "start_period": 0, "start_interval": 5, **changes}
    seconds = {name: value * SECOND for name, value in values.items() if name != "retries"}
    return Check(command=["true"], retries=changes.get("retries", 3), on_failure="", **seconds)


def play(rules: Check, codes: str, begin: int = 0, every: int = 1) -> list[str]:
    """The status after each check; "0" succeeds, "1" fails."""
    known, told = Health(), []
    for number, code in enumerate(codes):
        known = health.after(rules, known, Result(0, 1, int(code), ""), (begin + number * every) * SECOND)
        told.append(known.status)
    return told


def test_so_many_failures_in_a_row_are_unhealthy_and_one_success_is_healthy() -> None:
    assert play(check(), "1101110") == [
        STARTING, STARTING, HEALTHY, HEALTHY, HEALTHY, UNHEALTHY, HEALTHY
    ]  # fmt: skip
    assert play(check(retries=1), "1") == [UNHEALTHY]


def test_failures_in_the_start_period_do_not_count_until_a_check_has_succeeded() -> None:
    patient = check(start_period=10, retries=2)
    assert play(patient, "1" * 12)[-2:] == [STARTING, UNHEALTHY]
    assert play(patient, "1011") == [STARTING, HEALTHY, HEALTHY, UNHEALTHY]


def test_checks_come_more_often_while_it_starts() -> None:
    patient = check(start_period=10)
    assert health.pause(patient, Health(), 0) == 5 * SECOND
    assert health.pause(patient, Health(), 10 * SECOND) == 30 * SECOND
    assert health.pause(patient, Health(HEALTHY), 0) == 30 * SECOND
    assert health.pause(check(), Health(), 0) == 30 * SECOND


def test_the_last_five_are_kept_over_an_end_and_a_new_start() -> None:
    known = Health()
    for number in range(7):
        known = health.after(check(), known, Result(number, number, 0, ""), 0)
    assert [result.start for result in known.log] == [2, 3, 4, 5, 6]
    again = health.begun(health.ended(known))
    assert (again.status, again.streak, again.log) == (STARTING, 0, known.log)
    assert health.ended(known).status == UNHEALTHY


def test_which_configurations_are_checks() -> None:
    def read(*test: str, **more: object) -> Check | None:
        return health.read(Config(healthcheck=HealthConfig(test=list(test)), **more))  # type: ignore[arg-type]

    assert health.read(Config()) is None
    assert read("NONE") is None
    assert read() is None
    shell = read("CMD-SHELL", "a b")
    assert shell is not None
    assert (shell.command, shell.interval, shell.retries) == (["/bin/sh", "-c", "a b"], 30 * SECOND, 3)
    other = read("CMD-SHELL", "x", shell=["/bin/bash", "-ec"])
    assert other is not None
    assert other.command == ["/bin/bash", "-ec", "x"]
    plain = read("CMD", "a", "b")
    assert plain is not None
    assert plain.command == ["a", "b"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (HealthConfig(interval=1), "Interval in Healthcheck cannot be less than 1ms"),
        (HealthConfig(start_interval=-1), "StartInterval in Healthcheck cannot be less than 1ms"),
        (HealthConfig(retries=-1), "Retries in Healthcheck cannot be negative"),
        (HealthConfig(on_failure="explode"), "invalid action on a failed health check: 'explode'"),
        (HealthConfig(test=["RUN", "x"]), "Unknown healthcheck type 'RUN'"),
    ],
)
def test_what_cannot_be(asked: HealthConfig, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(reason)):
        health.validate(asked)


def test_what_an_image_says_without_sense_is_as_good_as_nothing() -> None:
    config = Config(healthcheck=HealthConfig(test=["CMD", "true"], interval=-1, timeout=5, retries=-2))
    found = health.read(config)
    assert found is not None
    assert (found.interval, found.timeout, found.retries) == (30 * SECOND, 30 * SECOND, 3)
