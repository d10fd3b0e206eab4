"""Health checks beyond what the recorded steps compare: what is done on a failure, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ours

FAILS = ("--health-cmd", "test ! -e /bad", "--health-interval", "100ms", "--health-retries", "1")


@pytest.fixture
def state(engine: ours.Engine) -> Iterator[Callable[[str], str]]:
    yield lambda form: engine.cli("inspect", "-f", form, "checked").stdout.strip()
    engine.cli("rm", "-f", "checked")


def start(engine: ours.Engine, *options: str) -> None:
    script = "trap 'exit 7' TERM; rm -f /bad; touch /ready; while :; do sleep 0.05; done"
    done = engine.cli("run", "-d", "--name", "checked", *options, "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    look = ("exec", "checked", "test", "-e", "/ready")
    ours.until(lambda: engine.cli(*look).returncode == 0, "its script does not begin")


def fail(engine: ours.Engine) -> None:
    engine.cli("exec", "checked", "touch", "/bad")


def test_an_unhealthy_container_is_killed_and_its_policy_starts_it_again(
    engine: ours.Engine, state: Callable[[str], str]
) -> None:
    start(engine, *FAILS, "--health-on-failure", "kill", "--restart", "always")
    ours.until(lambda: state("{{.State.Health.Status}}") == "healthy", "it never became healthy")
    fail(engine)
    # a check of its next life may come before the life has begun well
    ours.until(lambda: int(state("{{.RestartCount}}")) >= 1, "it was not started again")
    ours.until(lambda: state("{{.State.Health.Status}}") == "healthy", "it was not checked again")


def test_an_unhealthy_container_is_stopped_for_good(engine: ours.Engine, state: Callable[[str], str]) -> None:
    start(engine, *FAILS, "--health-on-failure", "stop", "--restart", "always")
    fail(engine)
    ours.until(lambda: state("{{.State.Status}} {{.State.ExitCode}}") == "exited 7", "it was not stopped")
    assert state("{{.State.Health.Status}} {{.RestartCount}}") == "unhealthy 0"


def test_an_unhealthy_container_is_restarted(engine: ours.Engine, state: Callable[[str], str]) -> None:
    start(engine, *FAILS, "--health-on-failure", "restart")
    first = state("{{.State.Pid}}")
    fail(engine)
    same = (f"true {first}", "false 0")
    ours.until(lambda: state("{{.State.Running}} {{.State.Pid}}") not in same, "it was not restarted")
    ours.until(lambda: state("{{.State.Health.Status}}") == "healthy", "it was not checked again")


def test_a_check_that_cannot_start_says_why(engine: ours.Engine, state: Callable[[str], str]) -> None:
    done = engine.cli(
        "import", "--change", 'HEALTHCHECK --interval=100ms --retries=1 CMD ["/nosuch"]', "-", "checks",
        stdin=ours.busybox.tarball(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    engine.cli("run", "-d", "--name", "checked", "checks", "/bin/sleep", "1000")
    ours.until(lambda: state("{{.State.Health.Status}}") == "unhealthy", "it is not unhealthy")
    assert state("{{with index .State.Health.Log 0}}{{.ExitCode}}{{end}}") == "-1"
    assert "/nosuch" in state("{{with index .State.Health.Log 0}}{{.Output}}{{end}}")
    engine.cli("rm", "-f", "checked")
    engine.cli("rmi", "checks")


def test_checks_that_hang_are_killed_and_leave_no_process_and_no_descriptor(
    engine: ours.Engine, state: Callable[[str], str]
) -> None:
    before = len(os.listdir(f"/proc/{engine.pid}/fd"))
    start(engine, "--health-cmd", "echo stuck; exec sleep 4321", "--health-interval", "50ms",
          "--health-timeout", "100ms")  # fmt: skip
    ours.until(lambda: state("{{len .State.Health.Log}}") == "5", "it is not checked")
    top = ("top", "checked")
    ours.until(lambda: engine.cli(*top).stdout.count("sleep 4321") <= 1, "checks that hang live on")
    engine.cli("rm", "-f", "checked")
    ours.until(lambda: len(os.listdir(f"/proc/{engine.pid}/fd")) <= before, "descriptors are left")


def test_a_daemon_that_was_killed_goes_on_with_the_checks(tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whh") as engine:
        start(engine, *FAILS)
        engine.kill()
        process = engine.start()
        look = ("inspect", "-f", "{{.State.Health.Status}}", "checked")
        ours.until(lambda: engine.cli(*look).stdout == "healthy\n", "it is not checked any more")
        engine.cli("rm", "-f", "checked")
        process.terminate()
        process.wait(60)
