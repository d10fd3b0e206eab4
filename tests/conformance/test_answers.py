"""Our answers have the fields, types and headers of real Docker's in one situation (``./check peers``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests import ours
from tests.peers import answer_deviations, answers, record_answers

RECORDED = {name: answers.Answer(*one) for name, one in json.loads(record_answers.PATH.read_text()).items()}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, answers.Answer]:
    with ours.engine(tmp_path_factory.mktemp("answers"), bridge="wha") as engine:
        return answers.Play(engine.host).all()


def differences(where: str, theirs: Any, mine: Any) -> Iterator[str]:
    """Each field that one has and the other has not, or whose type is another."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for name in sorted(theirs.keys() | mine.keys()):
            if name not in mine:
                yield f"{where}.{name}: missing"
            elif name not in theirs:
                yield f"{where}.{name}: too much"
            else:
                yield from differences(f"{where}.{name}", theirs[name], mine[name])
    elif isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine) == 1:
        yield from differences(f"{where}[]", theirs[0], mine[0])
    elif theirs != mine:
        yield f"{where}: {_short(mine)} for {_short(theirs)}"


def _short(shape: Any) -> str:
    return (
        "object" if isinstance(shape, dict) else json.dumps(shape) if isinstance(shape, list) else str(shape)
    )


def found(given: dict[str, answers.Answer]) -> Iterator[tuple[str, str]]:
    """The request, and what is different."""
    for name, theirs in RECORDED.items():
        mine = given[name]
        if theirs.status != mine.status:
            yield name, f"status: {mine.status} for {theirs.status}"
        for one in differences("header", theirs.headers, mine.headers):
            yield name, one
        for one in differences("", theirs.body, mine.body):
            yield name, one


def test_the_same_was_asked(given: dict[str, answers.Answer]) -> None:
    assert list(given) == list(RECORDED), "the requests changed: run ./check peers"


def test_fields_types_and_headers_are_docker_s(given: dict[str, answers.Answer]) -> None:
    unexplained = []
    used = set()
    for name, difference in found(given):
        for number, (request, field, _) in enumerate(answer_deviations.FIELDS):
            if fnmatchcase(name, request) and fnmatchcase(difference, field):
                used.add(number)
                break
        else:
            unexplained.append(f"{name}  {difference}")
    assert not unexplained, "\n".join(unexplained)
    idle = [one for number, one in enumerate(answer_deviations.FIELDS) if number not in used]
    assert not idle, f"no difference any more: {idle}"


def test_the_recording_is_of_a_whole_engine() -> None:
    assert len(RECORDED) > 200
    full = RECORDED["v1.45 GET /containers/full/json"].body
    assert full["State"]["Health"]["Log"] == [{"End": "string", "ExitCode": "number", "Output": "string",
                                               "Start": "string"}]  # fmt: skip
    assert RECORDED["v1.45 GET /containers/full/logs?stdout=1&stderr=1"].body == [[1, "out\n"], [2, "err\n"]]


def test_what_is_compared_is_what_differs() -> None:
    shape = answers.shape
    assert list(differences("", shape({"a": [{"b": 1}], "c": None}), shape({"a": [{"b": ""}], "d": 1}))) == [
        ".a[].b: string for number", ".c: missing", ".d: too much",
    ]  # fmt: skip
    assert shape([{"a": 1}, {"b": None}]) == [{"a": "number", "b": "null"}]
    assert shape({"f" * 64: []}) == {"<id>": []}
    assert list(differences("x", [], "null")) == ["x: null for []"]
