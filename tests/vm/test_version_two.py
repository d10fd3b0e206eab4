"""The kernel tests of control groups once more, in a virtual machine that has version 2 only."""

from __future__ import annotations

import pytest

from tests.vm import machine

LIMITS = "tests/kernel/cgroups/test_effects.py"
CONTAINER = "tests/vm/inside_container.py"
CONFORMANCE = "tests/vm/inside_conformance.py"
FILES = [LIMITS, CONTAINER, CONFORMANCE]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the machine's tests came to; it boots once."""
    found, console = machine.run(FILES, tmp_path_factory.mktemp("vm"))
    assert len(found) > 1, f"the machine did not run the tests:\n{console[-6000:]}"
    return found


def failures(results: dict[str, dict[str, str]], file: str) -> str:
    """What went wrong in a file's tests, in words."""
    mine = {name: result for name, result in results.items() if name.startswith(file)}
    assert mine, f"no test of {file} ran"
    return "\n".join(f"{name}: {r['text']}" for name, r in mine.items() if r["outcome"] != "passed")


@pytest.mark.timeout(500)
def test_limits_act_on_version_two(results: dict[str, dict[str, str]]) -> None:
    problems = failures(results, LIMITS)
    assert not problems, problems
    assert len([name for name in results if name.startswith(LIMITS)]) >= 20


@pytest.mark.timeout(500)
def test_a_container_runs_on_version_two(results: dict[str, dict[str, str]]) -> None:
    problems = failures(results, CONTAINER)
    assert not problems, problems


@pytest.mark.timeout(500)
def test_the_runtime_conforms_on_version_two(results: dict[str, dict[str, str]]) -> None:
    problems = failures(results, CONFORMANCE)
    assert not problems, problems
    assert len([name for name in results if name.startswith(CONFORMANCE)]) >= 100


@pytest.mark.timeout(500)
def test_the_machine_ran_without_complaint(results: dict[str, dict[str, str]]) -> None:
    for file in FILES:
        assert results[f"all {file}"]["outcome"] == "passed"
