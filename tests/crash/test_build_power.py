"""The power plug in a build: it ends at any of its steps; the next one goes on, and nothing is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.crash import buildwork
from tests.crash.stores import Found, Stores, pull_the_plug, stores

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
def bench(tmp_path: Path) -> Iterator[Stores]:
    with stores(tmp_path, "buildwork") as running:
        running.prepare("exporter", ["export"])
        (running.top / "exporter.cache.tar").rename(running.top / "exported")
        yield running


@pytest.mark.parametrize("command", PREPARED)
def test_the_power_goes_at_every_step_of_a_build(bench: Stores, command: str) -> None:
    def check(found: Found, at: str, steps: Sequence[str]) -> None:
        assert (found["problems"], found["strays"]) == ([], []), at
        if command == "build":
            assert found["known"] >= sum(name in IN_CACHE for name in steps), at
            assert found["cached"] == found["known"], at

    bench.prepare("before", PREPARED[command])
    pull_the_plug(bench, command, LEAST, check)


def test_a_disk_error_at_any_step_of_a_build_is_no_more_than_that(bench: Stores) -> None:
    bench.prepare("before")
    steps, wanted = bench.steps("build")

    def failed_at(name: str, number: int, at: str) -> None:
        code, output = bench.run(name, "stubborn", "", f"fail:{number}")
        assert code == 0, (at, output)
        found = bench.look(name)
        assert (found["problems"], found["strays"]) == ([], []), at
        assert found["known"] == buildwork.STEPS, at
        assert (found["names"], found["files"]) == (wanted["names"], wanted["files"]), at

    bench.each(steps, failed_at)
