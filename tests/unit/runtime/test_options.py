"""Reading the command line."""

from __future__ import annotations

import json

import pytest

from wharfie.runtime import log, usage
from wharfie.runtime.options import COMMANDS, GLOBAL, SHORT, UsageError, check_words, parse
from wharfie.runtime.update import resources_of


def test_forms_of_an_option() -> None:
    for words in (["--bundle", "/b", "x"], ["--bundle=/b", "x"], ["-bundle", "/b", "x"], ["-b", "/b", "x"]):
        assert parse(words, COMMANDS["create"], "create") == ({"bundle": "/b"}, ["x"])
    assert parse(["--no-pivot=false", "x"], COMMANDS["create"], "create") == ({"no-pivot": False}, ["x"])
    assert parse(["x", "-b"], COMMANDS["create"], "create") == ({}, ["x", "-b"])
    assert parse(["--", "-b"], COMMANDS["create"], "create") == ({}, ["-b"])
    assert parse(["-e", "A=1", "-e", "B=2", "x"], COMMANDS["exec"], "exec")[0] == {"env": ["A=1", "B=2"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bad"], "flag provided but not defined: -bad"),
        (["--bundle"], "flag needs an argument: -bundle"),
        (["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: parse error'),
        (["--no-pivot=maybe"], 'invalid boolean value "maybe" for -no-pivot: parse error'),
    ],
)
def test_what_is_not_understood(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words, COMMANDS["create"], "create")
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("state", [], "requires exactly 1 argument"),
        ("state", ["a", "b"], "requires exactly 1 argument"),
        ("kill", [], "requires a minimum of 1 argument"),
        ("kill", ["a", "b", "c"], "requires a maximum of 2 argument"),
        ("features", ["x"], "requires exactly 0 argument"),
    ],
)
def test_numbers_of_words(command: str, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_words(words, command)


def test_every_option_has_its_help() -> None:
    assert "GLOBAL OPTIONS" in usage.text()
    for name in GLOBAL:
        assert f"--{name}" in usage.text()
    for command, table in COMMANDS.items():
        shown = usage.text(command)
        assert all(f"--{name}" in shown for name in table)
        assert all(f"-{letter}" in shown for letter in SHORT.get(command, {}))


def test_a_log_entry_is_as_runc_writes_it() -> None:
    line = log.entry("error", 'a "b"', as_json=False)
    assert line.endswith(' level=error msg="a \\"b\\""\n')
    assert line.startswith('time="2')
    assert log.entry("warning", "plain", as_json=False).endswith(" level=warning msg=plain\n")
    parsed = json.loads(log.entry("error", "x y", as_json=True))
    assert (parsed["level"], parsed["msg"], set(parsed)) == ("error", "x y", {"level", "msg", "time"})


def test_limits_out_of_options() -> None:
    given = {
        "memory": "100M",
        "memory-swap": "-1",
        "cpu-share": "512",
        "cpu-quota": "-1",
        "cpuset-cpus": "0-1",
        "pids-limit": 20,
        "blkio-weight": 100,
    }
    assert resources_of(given) == {
        "memory": {"limit": 100 << 20, "swap": -1},
        "cpu": {"shares": 512, "quota": -1, "cpus": "0-1"},
        "pids": {"limit": 20},
        "blockIO": {"weight": 100},
    }
    for name, text in (("memory", "abc"), ("cpu-share", "x"), ("cpu-period", "-1")):
        with pytest.raises(Exception, match=f"invalid value for {name}"):
            resources_of({name: text})
