"""Every command and option of docker's command line is there, but for what ``tests/peers/left_out.py`` names.

What docker has was read from its own ``--help`` (``./check peers``).
"""

from __future__ import annotations

import importlib
import json
import shlex
from typing import Any

import pytest

from tests.peers import left_out, record_help
from wharfie.cli import examples, main, summaries
from wharfie.cli import help as helped
from wharfie.cli.errors import CommandError, NeedsHelp

RECORDED: dict[str, Any] = json.loads(record_help.RECORDING.read_text())
DOCKER_S: dict[str, Any] = RECORDED["commands"]
COMMANDS = sorted(name for name, known in DOCKER_S.items() if name and not known["group"])


def left_out_whole(name: str) -> bool:
    return name.split()[0] in left_out.GROUPS if name else False


def options(name: str) -> dict[str, str]:
    """Long and short names of our command's options; raises CommandError if there is no such command."""
    if not name:
        return {long: short for long, short, *_ in main.GLOBAL.options}
    module, function, _ = main.find(name.split())
    with pytest.raises(NeedsHelp) as asked:
        getattr(importlib.import_module(f"wharfie.cli.{module}"), function)(None, ["--help"])
    return {long: short for long, short, *_ in asked.value.command.options}


def missing(name: str) -> set[str]:
    """Long names that docker's command has and ours has not."""
    return DOCKER_S[name]["options"].keys() - options(name) - {"help"}


def test_the_recording_is_of_a_whole_command_line() -> None:
    assert RECORDED["client"].startswith("28.")
    assert {"", "run", "container ls", "context export", "system dial-stdio"} <= DOCKER_S.keys()
    assert DOCKER_S["run"]["options"]["tty"] == "t"
    assert len(COMMANDS) > 150


def test_no_command_is_missing_but_those_named() -> None:
    lacking = []
    for name in COMMANDS:
        for called in (name, *DOCKER_S[name]["aliases"]):
            try:
                main.find(called.split())
            except CommandError:
                if not left_out_whole(called):
                    lacking.append(called)
    assert not lacking


@pytest.mark.parametrize("name", ["", *(one for one in COMMANDS if not left_out_whole(one))])
def test_no_option_is_missing_but_those_named(name: str) -> None:
    named = left_out.OPTIONS.get(name, {})
    assert sorted(missing(name)) == sorted(named), "missing here, or named in left_out.py though it is there"
    mine = options(name)
    short = {long: letter for long, letter in DOCKER_S[name]["options"].items() if letter and long in mine}
    assert {long: mine[long] for long in short} == short


def test_what_is_left_out_is_docker_s_and_refused_with_the_reason() -> None:
    assert left_out.GROUPS.keys() == summaries.NOT_HERE.keys()
    for group in left_out.GROUPS:
        assert DOCKER_S[group]["group"]
        with pytest.raises(CommandError, match=r"is not supported: .{20}"):
            main.find([group, "ls"])
    assert left_out.OPTIONS.keys() <= DOCKER_S.keys()


def test_every_command_is_in_a_list_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    helped.main_help()
    shown = capsys.readouterr().out
    for name in (*main.COMMANDS, *main.GROUPS):
        assert name.startswith("__") or f"\n  {name} " in shown
    for group, commands in main.GROUPS.items():
        helped.group_help(group, asked=True)
        shown = capsys.readouterr().out
        for name in commands:
            assert name in helped.OTHER_NAMES or f"\n  {name} " in shown


def test_legacy_commands_can_be_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HIDE_LEGACY_COMMANDS", "1")
    helped.main_help()
    shown = capsys.readouterr().out
    assert "\n  run " in shown
    assert "\n  inspect " in shown
    assert "\n  kill " not in shown


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_examples_are_command_lines_of_their_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, function, _ = main.find(name.split())
    with pytest.raises(NeedsHelp) as asked:
        getattr(importlib.import_module(f"wharfie.cli.{module}"), function)(None, ["--help"])
    command = asked.value.command
    helped.command_help(command, name)
    shown = capsys.readouterr().out
    for wanted, words in examples.EXAMPLES[name]:
        assert f"  # {wanted}\n  wharfie {words}\n" in shown
        # what a shell would take away: redirections and further commands
        line = shlex.split(words.partition(" <")[0].partition(" >")[0].partition(" | ")[0])
        assert " ".join(line).startswith(name)
        command.parse(line[len(name.split()) :])
