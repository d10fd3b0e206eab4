"""Both command lines, against our engine, answer what docker answered on the real one (``./check peers``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import ours
from tests.peers import cases, docker, record

RECORDED: dict[str, Any] = json.loads((record.RECORDINGS / "docker.json").read_text())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    """One that nobody else leaves images on."""
    with ours.engine(tmp_path_factory.mktemp("recordings"), bridge="whrec") as running:
        yield running


def commands(engine: ours.Engine) -> dict[str, list[str]]:
    return {"wharfie": [ours.WHARFIE, "-H", engine.host], "docker": [docker.docker_cli(), "-H", engine.host]}


@pytest.mark.parametrize("group", cases.GROUPS)
@pytest.mark.parametrize("program", ["docker", "wharfie"])
def test_answers_are_docker_s(engine: ours.Engine, program: str, group: str) -> None:
    steps, recorded = cases.GROUPS[group], RECORDED["groups"][group]
    assert [list(step.argv) for step in steps] == [answer["argv"] for answer in recorded], (
        "the cases changed: run ./check peers"
    )
    differences = []
    for step, wanted, got in zip(
        steps, recorded, record.ask_all(commands(engine)[program], steps), strict=True
    ):
        if step.line in cases.DEVIATIONS:
            _, field, value = cases.DEVIATIONS[step.line]
            wanted = {**wanted, field: value}
        keys = ("code",) if step.compare == "code" else ("code", "stdout", "stderr")
        differences += [(step.line, key, wanted[key], got[key]) for key in keys if wanted[key] != got[key]]
    assert not differences, "\n".join(
        f"{argv}\n  {key}: docker  {theirs!r}\n  {key}: wharfie {mine!r}"
        for argv, key, theirs, mine in differences
    )
