"""Answers of other servers: what is read from them, and what is changed in them."""

from __future__ import annotations

import pytest

from wharfie.porter import wire

HEAD = b"\x12\x34\x81\x80\0\1\0\2\0\0\0\0" + b"\4good\7example\3com\0\0\1\0\1"
DAY, MINUTE = (86_400).to_bytes(4, "big"), (60).to_bytes(4, "big")


def answer(first: bytes, second: bytes) -> bytes:
    four = b"\xc0\x0c\0\1\0\1" + first + b"\0\4\x0a\0\0\1"
    six = b"\xc0\x0c\0\x1c\0\1" + second + b"\0\x10" + bytes(15) + b"\1"
    return HEAD + four + six


def test_addresses_come_with_the_seconds_that_they_are_good_for() -> None:
    assert wire.addresses(answer(DAY, MINUTE)) == [("10.0.0.1", 86_400), ("::1", 60)]


def test_an_answer_is_made_good_for_less_and_never_for_more() -> None:
    assert wire.shortened(answer(DAY, MINUTE), 3600) == answer((3600).to_bytes(4, "big"), MINUTE)
    assert wire.shortened(answer(MINUTE, MINUTE), 3600) == answer(MINUTE, MINUTE)


@pytest.mark.parametrize("cut", [5, 20, len(HEAD) + 8])
def test_an_answer_that_breaks_off_is_malformed(cut: int) -> None:
    with pytest.raises(wire.Malformed):
        wire.shortened(answer(DAY, DAY)[:cut], 1)


@pytest.mark.parametrize("record", [b"", b"\0\0\x29", b"\0\0\x29\x10", b"\0\0\x29\x10\0"])
def test_a_question_says_how_much_it_takes_or_breaks_off(record: bytes) -> None:
    question = wire.Question(b"\x12\x34\1\0\0\1\0\0\0\0\0\1" + b"\4good\7example\3com\0\0\1\0\1" + record)
    assert question.room == (4096 if len(record) == 5 else 512)
