"""Sizes, durations and times in Docker's words."""

from __future__ import annotations

import pytest

from wharfie.support import units
from wharfie.support.names import random_name


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("10m", 10 << 20), ("1.5 GiB", 3 << 29), ("2KB", 2048), ("7b", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", "invalid size: 'x'"),
        ("", "invalid size: ''"),
        ("-1", "invalid size: '-1'"),
        ("1xb", "invalid suffix: 'xb'"),
        ("1.2.3m", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ],
)
def test_sizes_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        units.parse_size(text)
    assert str(caught.value) == problem


def test_sizes_are_printed() -> None:
    assert [units.format_size(size) for size in (0, 999, 4_261_234, 1_230_000_000)] == [
        "0B",
        "999B",
        "4.26MB",
        "1.23GB",
    ]
    assert units.format_binary_size(25_615_523_840) == "23.86GiB"


@pytest.mark.parametrize("text", ["0s", "1ns", "1.5µs", "300ms", "1m30s", "1h0m0.5s", "-2s", "26h3m4s"])
def test_durations_go_both_ways(text: str) -> None:
    assert units.format_duration(units.parse_duration(text)) == text


@pytest.mark.parametrize("text", ["", "x", "1", "1.5.2s", "1fortnight", "-"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        units.parse_duration(text)


@pytest.mark.parametrize(
    "text", ["2024-02-29T12:34:56.123456789Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08.5Z"]
)
def test_times_go_both_ways(text: str) -> None:
    assert units.format_time(units.parse_time(text)) == text


def test_zones_and_go_s_zero_time() -> None:
    assert units.parse_time("2024-01-01T02:00:00+02:00") == units.parse_time("2024-01-01T00:00:00Z")
    assert units.parse_time(units.NEVER) == -62_135_596_800 * units.SECOND


def test_moments_for_since() -> None:
    assert units.timestamp("1700000000.5") == "1700000000.500000000"
    assert units.timestamp("1m", now_ns=90 * units.SECOND) == "30.000000000"
    with pytest.raises(ValueError, match="failed to parse value as time or duration"):
        units.timestamp("yesterday")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (300, "5 minutes"),  # noqa: E501
     (3600, "About an hour"), (7200, "2 hours"), (3 * 86400, "3 days"), (21 * 86400, "3 weeks"),
     (90 * 86400, "3 months"), (3 * 365 * 86400, "3 years")],
)  # fmt: skip
def test_durations_for_people(seconds: int, words: str) -> None:
    assert units.human_duration(seconds * units.SECOND) == words


def test_names() -> None:
    assert all(random_name().count("_") == 1 and random_name().islower() for _ in range(100))
    assert random_name(1)[-1].isdigit()
