"""One question asked of every engine, and how strictly the answers are compared."""

from __future__ import annotations

from typing import NamedTuple

SHELL = "!"


class Step(NamedTuple):
    """A docker command line; or, with ``!`` before it, a shell script in which ``docker`` is the command.

    ``exact`` compares exit code, standard output and standard error; ``table`` does so without the widths of
    columns, ``numbers`` without the values of numbers, ``sizes`` without those of sizes; ``code`` compares
    the exit code only, where the words name the engine's own parts.
    """

    argv: tuple[str, ...]
    compare: str = "exact"
    stdin: str = ""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return " ".join(self.argv)


def exact(line: str, *more: str, stdin: str = "") -> Step:
    """A step whose words are split at blanks; ``more`` are words with blanks in them."""
    return Step((*line.split(), *more), "exact", stdin)


def code(line: str, *more: str) -> Step:
    """A step of which only the exit code counts."""
    return Step((*line.split(), *more), "code")


def table(line: str, *more: str) -> Step:
    """A step that prints a table with times in it."""
    return Step((*line.split(), *more), "table")


def numbers(line: str, *more: str) -> Step:
    """A step that prints numbers of the moment."""
    return Step((*line.split(), *more), "numbers")


def sizes(line: str, *more: str) -> Step:
    """A step that prints what things take on disk: another store takes other bytes."""
    return Step((*line.split(), *more), "sizes")


def shell(script: str, compare: str = "exact") -> Step:
    """A script, run in the group's own directory."""
    return Step((SHELL, script), compare)
