"""Filters of ``buildx du`` and ``buildx prune``."""

from __future__ import annotations

import time

import pytest

from wharfie.build.selecting import MOUNT, REGULAR, Record
from wharfie.buildkit.usage import Filter
from wharfie.errors import InvalidArgument

HOUR = 3600 * 10**9


def record(**more: object) -> Record:
    now = time.time_ns()
    given = {
        "id": "abc",
        "type": REGULAR,
        "description": "RUN make",
        "size": 1,
        "created": now,
        "used": now - HOUR,
    }
    return Record(**{"uses": 0, **given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("type==regular", True),
        ("type=regular", True),
        ("type==exec.cachemount", False),
        ("type!=exec.cachemount", True),
        ("description~=^RUN", True),
        ("description~=^COPY", False),
        ("private", True),
        ("!shared,immutable", True),
        ("shared", False),
        ("mutable", False),
        ("inuse==true", False),
        ("inuse==false", True),
        ("id==abc,type==regular", True),
        ("id==ab", False),
        ("unknown==1", False),
    ],
)
def test_conditions_hold_together(text: str, matches: bool) -> None:
    assert Filter([text]).matches(record()) is matches


def test_any_of_several_filters_will_do() -> None:
    several = Filter(["type==exec.cachemount", "id==abc"])
    assert several.matches(record())
    assert several.matches(record(id="x", type=MOUNT))
    assert not several.matches(record(id="x"))


def test_what_was_used_lately_is_spared() -> None:
    assert Filter([], HOUR // 2).matches(record())
    assert not Filter([], 2 * HOUR).matches(record())
    assert Filter([], 2 * HOUR).any
    assert not Filter([""]).any


@pytest.mark.parametrize("text", ["a b", "==x", "description~=(", "type===,x y"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="failed to parse prune filters"):
        Filter([text])
