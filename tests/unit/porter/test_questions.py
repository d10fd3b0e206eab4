"""What containers ask, and what comes of it for others."""

from __future__ import annotations

import time

import pytest

from wharfie.porter import wire
from wharfie.porter.loop import Loop
from wharfie.porter.names import Names
from wharfie.porter.questions import Questions


def question(name: str) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def test_a_container_cannot_fill_the_events_with_names_that_it_may_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    answers: list[bytes] = []
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    questions = Questions(Loop(), Names(), lambda event: told.append(event["name"]))
    client = questions._client("one")
    client.allowed, client.servers = ["good.example"], ["127.0.0.1"]

    def ask(count: int) -> None:
        for number in range(count):
            message = question(f"n{number}.evil.example")
            questions._ask("one", client, message, answers.append, stream=False)

    ask(100)
    assert len(told) == 20
    now += 1
    ask(5)
    assert told[20:] == [f"n{number}.evil.example" for number in range(5)]
    assert {answer[3] & 15 for answer in answers} == {wire.REFUSED}
    assert len(answers) == 105
