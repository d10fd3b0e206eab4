"""A process makes room for another that is on its processor."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wharfie.linux.process import Elsewhere, birth, start_time


@pytest.fixture
def allowed() -> Iterator[set[int]]:
    """Where this process may run; so it is again afterwards."""
    found = os.sched_getaffinity(0)
    yield found
    os.sched_setaffinity(0, found)


def test_it_leaves_the_processor_that_somebody_else_is_on_and_may_come_back(allowed: set[int]) -> None:
    here = min(allowed)
    os.sched_setaffinity(0, {here})
    assert birth(os.getpid()) == (start_time(os.getpid()), here)
    os.sched_setaffinity(0, allowed)
    places = set()
    for _ in range(100):
        # the kernel may move it any time: then there is nobody to make room for
        with Elsewhere(birth(os.getpid())[1]):
            places.add(frozenset(os.sched_getaffinity(0)))
        assert os.sched_getaffinity(0) == allowed
    left = {frozenset(allowed - {one}) for one in allowed} if len(allowed) > 1 else {frozenset(allowed)}
    assert places & left


def test_it_stays_where_nobody_else_is(allowed: set[int]) -> None:
    with Elsewhere(max(allowed) + 1):
        assert os.sched_getaffinity(0) == allowed
    assert os.sched_getaffinity(0) == allowed


def test_it_may_be_bound_to_one_processor(allowed: set[int]) -> None:
    here = max(allowed)
    os.sched_setaffinity(0, {here})
    with Elsewhere(here):
        assert os.sched_getaffinity(0) == {here}
    assert os.sched_getaffinity(0) == {here}


def test_a_fault_inside_ends_it(allowed: set[int]) -> None:
    with pytest.raises(KeyError), Elsewhere(birth(os.getpid())[1]):
        raise KeyError
    assert os.sched_getaffinity(0) == allowed
