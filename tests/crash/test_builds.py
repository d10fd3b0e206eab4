"""A daemon killed in a build leaves nothing, and the next build goes on behind the last finished step."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from wharfie.support.faults import VARIABLE

DOCKERFILE = "FROM busybox\nCOPY f /f\nRUN echo one > /one\nWORKDIR /w/x\nRUN echo two > two\nENV done=1\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path / "state", bridge="whk") as running:
        yield running


def killed_at(engine: ours.Engine, order: str, context: Path) -> None:
    """Start the daemon again with a fault, and build until that has killed it."""
    engine.kill(signal.SIGTERM)
    log = (engine.state / "daemon.out").open("ab")
    environment = {**os.environ, VARIABLE: order}
    with (
        log,
        subprocess.Popen(
            [ours.WHARFIE, "daemon", *engine.arguments], stdout=log, stderr=log, env=environment
        ) as process,
    ):
        deadline = time.monotonic() + ours.PATIENCE
        while engine.cli("version").returncode and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        engine.cli("build", "-t", "broken", str(context))
        if process.poll() is None:
            process.terminate()


def nothing_is_left(engine: ours.Engine) -> None:
    """The next daemon answers, and sweeps meanwhile."""
    for place in ("exec/containers", "data/tmp"):
        ours.until(lambda there=engine.state / place: not list(there.iterdir()), f"{place} is not swept")


def points(engine: ours.Engine, context: Path, trace: Path) -> list[str]:
    """The names of all points that such a build passes."""
    killed_at(engine, f"trace:{trace}", context)
    return trace.read_text().splitlines()


def test_the_power_plug_at_points_of_a_build(engine: ours.Engine, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "f").write_text("content")
    names = points(engine, context, tmp_path / "trace")
    assert "a step is in the cache" in names
    # every step is in test_build_power; here the commands run in containers
    for name in ("a step's command has ended", "a step is in the cache"):
        number = len(names) - names[::-1].index(name)
        process = engine.start()
        engine.cli("rmi", "-f", "broken", "whole")
        engine.cli("builder", "prune", "-af")
        killed_at(engine, f"kill:{number}", context)
        process.wait(60)
        done_before = names[:number].count("a step is in the cache") - (
            names[number - 1] == "a step is in the cache"
        )
        process = engine.start()
        nothing_is_left(engine)
        check = engine.cli("system", "check")
        assert check.returncode == 0, check.stdout
        again = engine.cli("build", "-t", "whole", "--progress", "plain", str(context))
        assert again.returncode == 0, again.stderr
        assert again.stderr.count("CACHED") >= done_before, (names[number - 1], again.stderr)
        run = engine.cli("run", "--rm", "whole", "cat", "/f", "/one", "/w/x/two")
        assert run.stdout == "contentone\ntwo\n", run.stderr
        os.kill(engine.pid, signal.SIGTERM)
        process.wait(60)
    engine.start()


def test_a_step_that_runs_when_the_daemon_dies_is_ended_by_the_next(
    engine: ours.Engine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 1013\n")
    words = [
        ours.WHARFIE,
        "-H",
        engine.host,
        "build",
        "--progress",
        "plain",
        "-f",
        str(tmp_path / "Dockerfile"),
    ]
    empty = tmp_path / "empty"
    empty.mkdir()
    with subprocess.Popen([*words, str(empty)], stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None
        while not client.stderr.readline().endswith(" begun\n"):
            assert client.poll() is None
        engine.kill()
    engine.start()
    ours.until(
        lambda: not any("sleep 1013" in line for line in ours.processes().values()),
        "the step's process is ended",
    )
    nothing_is_left(engine)
