"""Filters that are yes or no, in Docker's words for what is neither."""

from __future__ import annotations

import pytest

from wharfie.engine.filters import boolean
from wharfie.errors import InvalidArgument


def test_what_says_yes_and_what_says_no() -> None:
    assert boolean("dangling", ["1"])
    assert boolean("dangling", ["true", "1"])
    assert not boolean("dangling", ["0", "false"])


@pytest.mark.parametrize("values", [["maybe"], ["True"], [""], ["true", "false"]])
def test_what_says_neither_or_both_is_refused(values: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        boolean("dangling", values)
    assert caught.value.message == f"invalid filter 'dangling=[{' '.join(values)}]'"
