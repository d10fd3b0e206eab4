"""Both command lines, against our engine, answer what docker answered on the real one (``./check peers``)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import ours
from tests.peers import cases, docker, record

RECORDED: dict[str, Any] = json.loads((record.RECORDINGS / "docker.json").read_text())


def commands(engine: ours.Engine) -> dict[str, list[str]]:
    return {"wharfie": [ours.WHARFIE, "-H", engine.host], "docker": [docker.docker_cli(), "-H", engine.host]}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", cases.GROUPS)
@pytest.mark.parametrize("program", ["docker", "wharfie"])
def test_answers_are_docker_s(engine: ours.Engine, program: str, group: str) -> None:
    differences = []
    for step, wanted in zip(cases.GROUPS[group], RECORDED["groups"][group], strict=True):
        assert list(step.argv) == wanted["argv"], "the cases changed: run ./check peers"
        got = record.ask(commands(engine)[program], step)
        line = " ".join(step.argv)
        if line in cases.DEVIATIONS:
            _, field, ours_is = cases.DEVIATIONS[line]
            wanted = {**wanted, field: ours_is}
        keys = ("code",) if step.compare == "code" else ("code", "stdout", "stderr")
        differences += [(line, key, wanted[key], got[key]) for key in keys if wanted[key] != got[key]]
    assert not differences, "\n".join(
        f"{argv}\n  {key}: docker  {theirs!r}\n  {key}: wharfie {mine!r}"
        for argv, key, theirs, mine in differences
    )
