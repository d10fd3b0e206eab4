"""What ``--help`` prints."""

from __future__ import annotations

import shutil
import sys
import textwrap

from wharfie.cli.errors import PROGRAM, CommandError
from wharfie.cli.examples import EXAMPLES
from wharfie.cli.kinds import KINDS
from wharfie.cli.options import FLAG, Command
from wharfie.cli.summaries import COMMON, GROUP_ABOUT, NOT_HERE, SUMMARIES
from wharfie.support.environment import variable

OTHER_NAMES = ("list", "remove")
"""Commands that are in groups a second time."""


def command_help(command: Command, called: str) -> None:
    """Print how one command is called, by the words that were typed."""
    usage = f"{called}{command.usage.removeprefix(command.name)}"
    lines = [f"Usage:  {PROGRAM} {usage}", "", command.about]
    if command.aliases:
        lines += [
            "",
            "Aliases:",
            "  " + ", ".join(f"{PROGRAM} {name}" for name in command.aliases.split(", ")),
        ]
    if command.options:
        lines += ["", "Options:", *option_lines(command)]
    examples = EXAMPLES.get(command.name, ())
    if examples:
        lines += ["", "Examples:"]
    for wanted, words in examples:
        lines += [f"  # {wanted}", f"  {PROGRAM} {words}"]
    sys.stdout.write("\n".join(lines) + "\n")


def option_lines(command: Command) -> list[str]:
    """One line or more for each option that is not hidden."""
    rows = []
    for name, short, kind, about in command.options:
        if about:
            called = f"-{short}, " if short else "    "
            value = "" if kind == FLAG else " " + KINDS[kind][2]
            rows.append((f"  {called}--{name}{value}", about))
    width = max((len(left) for left, _ in rows), default=0) + 3
    room = max(shutil.get_terminal_size((100, 24)).columns - width - 1, 30)
    lines = []
    for left, about in rows:
        first, *more = textwrap.wrap(about, room)
        lines.append(left.ljust(width) + first)
        lines += [" " * width + line for line in more]
    return lines


def main_help() -> None:
    """Print all commands in groups."""
    from wharfie.cli.main import COMMANDS, GLOBAL, GROUPS

    others = sorted(name for name in COMMANDS if name in SUMMARIES and name not in COMMON)
    if variable("DOCKER_HIDE_LEGACY_COMMANDS"):
        grouped = {place for group in GROUPS.values() for place in group.values() if isinstance(place, str)}
        others = [name for name in others if name not in grouped]
    lines = [
        f"Usage:  {PROGRAM} {GLOBAL.usage}",
        "",
        f"{GLOBAL.about}: Docker's commands, without Docker",
        "",
    ]
    lines += ["Common Commands:", *_table(COMMON, SUMMARIES)]
    lines += ["", "Management Commands:", *_table(GROUPS, GROUP_ABOUT)]
    lines += ["", "Commands:", *_table(others, SUMMARIES)]
    lines += ["", "Global Options:", *option_lines(GLOBAL)]
    lines += ["", f"Run '{PROGRAM} COMMAND --help' for more information on a command."]
    sys.stdout.write("\n".join(lines) + "\n")


def group_help(group: str, *, asked: bool) -> None:
    """Print the commands of a group; as a complaint where nobody asked for it."""
    from wharfie.cli.main import GROUPS

    names = sorted(name for name in GROUPS[group] if name not in OTHER_NAMES)
    about = {name: _about(group, name) for name in names}
    lines = [
        f"Usage:  {PROGRAM} {group} COMMAND",
        "",
        GROUP_ABOUT[group],
        "",
        "Commands:",
        *_table(names, about),
    ]
    lines += ["", f"Run '{PROGRAM} {group} COMMAND --help' for more information on a command."]
    (sys.stdout if asked else sys.stderr).write("\n".join(lines) + "\n")


def _about(group: str, name: str) -> str:
    from wharfie.cli.main import GROUPS

    place = GROUPS[group][name]
    return SUMMARIES[place] if isinstance(place, str) else SUMMARIES[f"{group} {name}"]


def _table(names: object, about: dict[str, str]) -> list[str]:
    assert isinstance(names, list | tuple | dict)
    width = max(len(name) for name in names) + 2
    return [f"  {name.ljust(width)}{about[name]}" for name in names]


def unknown_command(word: str, group: str = "") -> CommandError:
    """The error for a command that does not exist, with those that look alike."""
    from wharfie.cli.main import COMMANDS, GROUPS

    if not group and word in NOT_HERE:
        return CommandError(f"{PROGRAM}: '{PROGRAM} {word}' is not supported: {NOT_HERE[word]}")
    known = GROUPS[group] if group else {**COMMANDS, **GROUPS}
    close = sorted(name for name in known if distance(word, name) <= max(1, len(name) // 3))
    called = f"{group} {word}" if group else word
    text = f"{PROGRAM}: unknown command: {PROGRAM} {called}"
    where = f"{PROGRAM} {group}".strip()
    if close:
        text += "\n\nDid you mean this?\n" + "\n".join(f"  {where} {name}" for name in close)
    if group:
        text += f"\n\nUsage:  {where}"
    return CommandError(f"{text}\n\nRun '{where} --help' for more information")


def distance(one: str, other: str) -> int:
    """How many letters have to be changed, left out, put in or swapped with the next."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        previous, row = row, [i]
        for j, right in enumerate(other, 1):
            cost = min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = previous
    return row[-1]
