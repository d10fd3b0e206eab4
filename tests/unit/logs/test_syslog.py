"""Lines as syslog's messages, and where they go."""

from __future__ import annotations

import time

import pytest

from wharfie.logs.syslog import Style, Target, address, facility, message

T = 1_700_000_000_123_456_789


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Style(tag="t", hostname="h", pid=7), b"<30>Nov 14 22:13:20 t[7]: text\n"),
        (Style("rfc3164", 16, "t", "h", pid=7), b"<134>Nov 14 22:13:20 h t[7]: text\n"),
        (Style("rfc5424", 3, "t", "h", pid=7), b"<30>1 2023-11-14T22:13:20Z h t 7 t - text\n"),
        (Style("rfc5424micro", 3, "t", "h", pid=7), b"<30>1 2023-11-14T22:13:20.123456Z h t 7 t - text\n"),
        (
            Style("rfc5424", 3, "t", "h", framed=True, pid=7),
            b"42 <30>1 2023-11-14T22:13:20Z h t 7 t - text\n",
        ),
    ],
)
def test_the_formats(style: Style, expected: bytes) -> None:
    assert message(style, b"text", T, error=False) == expected


def test_a_zone_is_written_with_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    assert b" 2023-11-15T03:43:20+05:30 " in message(Style("rfc5424", 3, "t", "h"), b"x", T, error=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_errors_have_their_priority_and_facilities_their_number() -> None:
    assert message(Style(facility=facility("local3")), b"x", T, error=True).startswith(b"<155>")
    assert (facility("kern"), facility("ftp"), facility("17"), facility("")) == (0, 11, 17, 3)


def test_addresses() -> None:
    assert address("") == Target()
    assert address("unixgram:///dev/log") == Target("unixgram", path="/dev/log")
    assert address("udp://10.0.0.1") == Target("udp", host="10.0.0.1", port=514)
    assert address("tcp+tls://logs.example") == Target("tcp+tls", host="logs.example", port=6514)
    assert address("tcp://[::1]:99") == Target("tcp", host="::1", port=99)
