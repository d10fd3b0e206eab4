"""Log options are refused at creation, in Docker's words."""

from __future__ import annotations

import pytest

from wharfie.engine import logoptions
from wharfie.errors import InvalidArgument, WharfieError


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        (
            "gelf",
            {},
            "the log driver gelf is not supported: use one of journald, json-file, local, none, syslog",
        ),
        ("json-file", {"nosuch": "1"}, "unknown log opt 'nosuch' for json-file log driver"),
        ("json-file", {"syslog-address": ""}, "unknown log opt 'syslog-address' for json-file log driver"),
        ("local", {"foo": "bar"}, "unknown log opt 'foo' for log driver local"),
        ("local", {"labels": "a"}, "unknown log opt 'labels' for log driver local"),
        ("journald", {"max-size": "1m"}, "unknown log opt 'max-size' for journald log driver"),
        ("syslog", {"max-file": "2"}, "unknown log opt 'max-file' for syslog log driver"),
        ("syslog", {"syslog-address": "http://x"}, "unsupported scheme: 'http'"),
        (
            "syslog",
            {"syslog-address": "unix://log"},
            "invalid syslog address 'unix://log': the path of the socket must be absolute",
        ),
        (
            "syslog",
            {"syslog-address": "udp://x:99999"},
            "invalid syslog address 'udp://x:99999': there is no such port",
        ),
        ("syslog", {"syslog-address": "tcp://"}, "invalid syslog address 'tcp://': it names no host"),
        ("syslog", {"syslog-facility": "local8"}, "invalid syslog facility"),
        ("syslog", {"syslog-facility": "24"}, "invalid syslog facility"),
        ("syslog", {"syslog-format": "rfc1"}, "invalid syslog format"),
        ("json-file", {"mode": "maybe"}, "logger: logging mode not supported: maybe"),
        (
            "json-file",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "json-file",
            {"mode": "non-blocking", "max-buffer-size": "much"},
            "error parsing option max-buffer-size: invalid size: 'much'",
        ),
        (
            "syslog",
            {"cache-disabled": "perhaps"},
            'invalid value for cache-disabled: strconv.ParseBool: parsing "perhaps": invalid syntax',
        ),
    ],
)
def test_what_cannot_be_is_refused(driver: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(WharfieError) as caught:
        logoptions.check(driver, options)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("none", {"whatever": "1"}),
        ("json-file", {"max-size": "1m", "max-file": "3", "mode": "non-blocking", "max-buffer-size": "4m"}),
        ("journald", {"tag": "{{.Name}}", "labels": "a,b", "env-regex": "^X"}),
        ("syslog", {"syslog-address": "udp://[::1]:1514", "syslog-facility": "23"}),
        ("syslog", {"syslog-address": "tcp+tls://logs.example", "syslog-format": "rfc5424micro"}),
        ("syslog", {"syslog-address": "unixgram:///dev/log", "cache-disabled": "true"}),
    ],
)
def test_what_docker_takes_is_taken(driver: str, options: dict[str, str]) -> None:
    logoptions.check(driver, options)


def test_truths_are_go_s() -> None:
    assert logoptions.truth({"x": "T"}, "x")
    assert not logoptions.truth({"x": "0"}, "x")
    assert not logoptions.truth({}, "x")
    with pytest.raises(InvalidArgument):
        logoptions.truth({"x": "yes"}, "x")
