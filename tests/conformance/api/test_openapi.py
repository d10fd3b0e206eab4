"""The whole API beside its published description: what is missing or wrong fails by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.api import deviations, scenario_containers, scenario_images, scenario_others, spec
from tests.conformance.api.recorder import Recorder
from tests.conformance.registry import registries

EXPECTED = sorted(set(spec.operations()) - set(deviations.UNCALLED))
PROVOKED = sorted(
    (one.id, status)
    for one in spec.operations().values()
    for status in one.errors
    if one.id not in deviations.UNCALLED
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """What an engine of its own answered to everything."""
    base: Path = tmp_path_factory.mktemp("openapi")
    (base / "open").mkdir()
    (base / "locked").mkdir()
    (base / "locked" / "htpasswd").write_text(registries.htpasswd("me", "secret"))
    password = f"auth:\n  htpasswd:\n    realm: r\n    path: {base}/locked/htpasswd\n"
    with (
        ours.engine(base / "engine", bridge="whoa") as engine,
        registries.registry(base / "open") as registry,
        registries.registry(base / "locked", password) as locked,
        registries.search_index() as index,
    ):
        api = Recorder(engine.host.removeprefix("unix://"))
        scenario_containers.play(api)
        scenario_images.play(api, registry, locked, index)
        scenario_others.play(api)
        yield api


def test_every_call_is_answered_with_the_status_it_is_for(played: Recorder) -> None:
    assert played.surprises == []


@pytest.mark.parametrize("operation", EXPECTED)
def test_every_operation_is_there_and_answers_by_its_schema(played: Recorder, operation: str) -> None:
    answers = [answer for answer in played.answers if answer.operation == operation]
    assert answers, f"{operation} is not called"
    one = spec.operations()[operation]
    if one.tag not in spec.SWARM and operation not in deviations.UNSUCCESSFUL:
        assert any(answer.status < 400 for answer in answers), f"{operation} never succeeded"
    wrong = [problem for answer in answers for problem in answer.problems]
    assert wrong == []


@pytest.mark.parametrize(("operation", "status"), PROVOKED)
def test_each_documented_error_is_provoked(played: Recorder, operation: str, status: int) -> None:
    seen = {answer.status for answer in played.answers if answer.operation == operation}
    reason = deviations.UNPROVOKED.get((operation, status))
    if reason is None and spec.operations()[operation].tag in spec.SWARM and status != 400:
        reason = "what it is about exists inside a swarm only"
    assert (status in seen) is (reason is None), f"{operation} answered {sorted(seen)}"


def test_every_documented_field_is_sent(played: Recorder) -> None:
    wanted: set[spec.Field] = set()
    for one in spec.operations().values():
        if one.tag in spec.SWARM or one.id in deviations.UNCALLED:
            continue
        for status in one.statuses:
            schema = one.schema(status)
            if status < 400 and schema is not None:
                wanted |= set(spec.documented(f"{one.id}Response", schema))
    missing = sorted(
        f"{owner}.{name}"
        for owner, name in wanted - played.seen
        if not _excused(owner, name, deviations.ABSENT)
    )
    assert missing == []


def test_no_field_is_sent_that_is_not_documented(played: Recorder) -> None:
    found = sorted(
        f"{owner}.{name}"
        for owner, name in played.unknown
        if not _excused(owner, name, deviations.UNDOCUMENTED)
    )
    assert found == []


def _excused(owner: str, name: str, excuses: dict[str, str]) -> bool:
    return f"{owner}.{name}" in excuses or f"{owner}.*" in excuses
