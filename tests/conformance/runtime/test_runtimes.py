"""The conformance suite: ours passes every case; what runc and crun did otherwise has a known reason."""

from __future__ import annotations

import json

import pytest

from tests.conformance.runtime import deviations, recording, runtimes
from tests.conformance.runtime.case import ONE, Case
from tests.conformance.runtime.cases import CASES
from tests.conformance.runtime.harness import layout

HERE = [case for case in CASES if layout() in case.layouts]


@pytest.fixture(scope="module")
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    """How every case that is asked for went."""
    asked = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_the_runtime_conforms
    ]
    return recording.play_all(runtimes.ours(), asked)


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_the_runtime_conforms(answers: dict[str, str], case: Case) -> None:
    assert not answers[case.name]


def test_there_are_enough_cases_each_with_a_name_of_its_own() -> None:
    for here in (ONE, {"v2"}):
        names = [case.name for case in CASES if here & case.layouts]
        assert len(set(names)) == len(names) >= 700


@pytest.mark.parametrize("peer", ["runc", "crun"])
def test_a_peer_passes_each_case_or_deviates_for_a_reason(peer: str) -> None:
    recorded = json.loads(recording.FILE.read_text())[peer]["cases"]
    cases = [case for case in CASES if ONE & case.layouts]
    assert {case.name: recording.fingerprint(case) for case in cases} == {
        name: mark for name, (mark, _) in recorded.items()
    }, "the cases changed: run ./check peers"
    failed = {name for name, (_, passed) in recorded.items() if not passed}
    assert failed <= set(deviations.DEVIATIONS[peer])


def test_every_deviation_is_of_a_case() -> None:
    names = {case.name for case in CASES}
    for known in deviations.DEVIATIONS.values():
        assert set(known) <= names


def test_nearly_every_case_passed_on_runc_or_crun() -> None:
    recorded = json.loads(recording.FILE.read_text())
    passed = {name for peer in recorded.values() for name, (_, well) in peer["cases"].items() if well}
    assert len(passed) >= 640
