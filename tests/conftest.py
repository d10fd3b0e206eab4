"""What every kind of test shares: one engine of ours for those that need a whole one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import ours

# the same examples on every run, and no clock: what fails does so always, on a slow machine as on a quick one
hypothesis.settings.register_profile("ours", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ours")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    """A running daemon with ``busybox:latest``, shared by all tests of the session."""
    with ours.engine(tmp_path_factory.mktemp("engine"), bridge="whc") as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _no_parent_group_stays() -> Iterator[None]:
    """The control group that the runtime's and the monitor's tests share as a parent goes with them."""
    yield
    for left in Path("/sys/fs/cgroup").glob("*/wharfie-test"):
        try:
            left.rmdir()
        except OSError:
            continue  # another run beside this one has groups below it (EBUSY), or has just removed it


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A directory of this run's own: runs beside each other would remove each other's."""
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="wharfie-tests-")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Trees that are deeper than Python's recursion goes are no matter to rm(1), but to pytest's own end.

    Upon Ctrl-C fixtures end in this very hook, and a daemon of theirs is found by what it has written there.
    """
    try:
        return (yield)
    finally:
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        subprocess.run(["rm", "-rf", str(factory.getbasetemp())], check=False)
