"""What a build tells, in which order, and how much of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.build.progress import Reporter, StepReport
from wharfie.build.running import cut


def test_a_stage_waits_for_its_turn_and_says_a_limited_amount_until_then() -> None:
    sent: list[dict[str, Any]] = []
    reporter = Reporter(sent.append, events=False)
    reporter.begin([0, 1])
    step = StepReport(reporter, 1, "later", 1, 1, "RUN yes", (1, 1))
    for _ in range(64):
        step.output(b"y" * 100_000)
    assert sent == []
    reporter.end(0)
    text = "".join(message["stream"] for message in sent)
    assert text.startswith("Step 1/1 : RUN yes\n")
    assert text.endswith("\n[output clipped, log limit 2MiB reached]\n")
    assert len(text) < 2_200_000
    step.output(b"now")
    assert sent[-1] == {"stream": "now"}


def test_a_stage_that_somebody_waits_for_speaks_first() -> None:
    sent: list[dict[str, Any]] = []
    reporter = Reporter(sent.append, events=False)
    reporter.begin([1])
    reporter.text(1, "a")
    reporter.also(0)
    reporter.text(1, "c")
    reporter.text(0, "b")
    reporter.end(0)
    assert [message["stream"] for message in sent] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"abc", 3),
        ("aü".encode()[:-1], 1),
        ("aü".encode(), 3),
        ("a€".encode()[:-1], 1),
        ("a€".encode()[:-2], 1),
        ("a𝄞".encode()[:-1], 1),
        ("a𝄞".encode(), 5),
        (b"\xff\xbf\xbf\xbf\xbf", 5),
        (b"a\xbf\xbf\xbf\xbf", 5),
    ],
)
def test_output_is_cut_between_characters(data: bytes, end: int) -> None:
    assert cut(data) == end
