"""The power plug in a build: it ends at any of its steps; the next one goes on, and nothing is left over."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import buildwork
from tests.crash.test_power import Bench, memory

__all__ = ["memory"]  # a fixture
PREPARED = {
    "build": [],
    "squashed": ["build"],
    "export": ["build"],
    "exchanged": [],
    "forget": ["build"],
    "put_mount": ["build"],
}
# fewer would mean that the points are not passed any more
LEAST = {"build": 30, "squashed": 5, "export": 5, "exchanged": 20, "forget": 4, "put_mount": 4}
IN_CACHE = ("a step is in the cache", "a step is imported")


@pytest.fixture
def bench(memory: Path) -> Iterator[Bench]:
    running = Bench(memory, "", "buildwork")
    try:
        yield running
    finally:
        running.close()


def prepared(bench: Bench, steps: list[str]) -> None:
    (bench.top / "exporter").mkdir()
    bench.done("exporter", "export")
    (bench.top / "exporter.cache.tar").rename(bench.top / "exported")
    (bench.top / "before").mkdir()
    for step in steps:
        bench.done("before", step)


@pytest.mark.parametrize("command", PREPARED)
def test_the_power_goes_at_every_step_of_a_build(bench: Bench, command: str) -> None:
    prepared(bench, PREPARED[command])
    bench.copy("before", "clean")
    bench.done("clean", command, "", f"trace:{bench.top}/steps")
    steps = (bench.top / "steps").read_text().splitlines()
    assert len(steps) >= LEAST[command], steps
    wanted = bench.look("clean")
    assert not wanted["problems"]

    def ended_at(number: int) -> None:
        at = f"{command}, step {number}: {steps[number - 1]}"
        name = f"case{number}"
        bench.copy("before", name)
        code, output = bench.run(name, command, "", f"kill:{number}")
        assert code == -signal.SIGKILL, (at, output)
        found = bench.look(name, command)
        assert (found["problems"], found["strays"]) == ([], []), at
        assert (found["names"], found["files"]) == (wanted["names"], wanted["files"]), at
        if command == "build":
            finished = sum(name in IN_CACHE for name in steps[:number])
            assert found["known"] >= finished, at
            assert found["cached"] == found["known"], at
        shutil.rmtree(bench.top / name)

    bench.each(len(steps), ended_at)


def test_a_disk_error_at_any_step_of_a_build_is_no_more_than_that(bench: Bench) -> None:
    prepared(bench, [])
    bench.copy("before", "clean")
    bench.done("clean", "build", "", f"trace:{bench.top}/steps")
    steps = (bench.top / "steps").read_text().splitlines()
    wanted = bench.look("clean")

    def failed_at(number: int) -> None:
        at = f"step {number}: {steps[number - 1]}"
        name = f"case{number}"
        bench.copy("before", name)
        code, output = bench.run(name, "stubborn", "", f"fail:{number}")
        assert code == 0, (at, output)
        found = bench.look(name)
        assert (found["problems"], found["strays"]) == ([], []), at
        assert found["known"] == buildwork.STEPS, at
        assert (found["names"], found["files"]) == (wanted["names"], wanted["files"]), at
        shutil.rmtree(bench.top / name)

    bench.each(len(steps), failed_at)
