"""Options of the command line, read from tables: argparse or click would cost 15 to 35 ms of every start.

A table's row is ``(long name, short name, kind, help)``. The kind (see :mod:`wharfie.cli.kinds`) says whether
a value follows, how it is checked, and what it is called in the help. The rules are those of Docker's parser:

- ``--name value``, ``--name=value``, ``-n value``, ``-nvalue``, ``-n=value``, clusters such as ``-it``;
- a flag takes its value only with ``=``: ``--tty=false``;
- ``-name`` with one dash is the long option when the name is exactly one, as older texts write it
  (``-cpu-period 100000``); but ``-ip`` stays ``-i -p``;
- ``--`` ends the options, and so does the first argument of commands that run another one.
"""

from __future__ import annotations

from wharfie.cli.errors import FlagError, NeedsHelp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = tuple[str, str, str, str]

FLAG = "flag"
# these are short options put together, whatever long ones there are
_ALWAYS_CLUSTERS = ("ip",)


class Command:
    """How one command is called."""

    __slots__ = ("about", "aliases", "mixes", "most", "needs", "options", "usage")

    def __init__(
        self,
        usage: str,
        about: str,
        options: tuple[Row, ...] = (),
        *,
        needs: int = 0,
        most: int | None = None,
        mixes: bool = True,
        aliases: str = "",
    ) -> None:
        """``usage`` begins with the command's name; ``needs`` to ``most`` arguments; ``mixes``: options may
        follow arguments."""
        self.usage = usage
        self.about = about
        self.options = options
        self.needs = needs
        self.most = most
        self.mixes = mixes
        self.aliases = aliases

    @property
    def name(self) -> str:
        """The words that call it."""
        words = []
        for word in self.usage.split():
            if not word.islower():
                break
            words.append(word)
        return " ".join(words)

    def parse(self, arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
        """The options that were given, and the other arguments.

        Raises FlagError, ArgumentError, or NeedsHelp for ``--help``.
        """
        parser = _Parser(self)
        parser.run(arguments)
        count = len(parser.words)
        if count < self.needs or (self.most is not None and count > self.most):
            from wharfie.cli.errors import wrong_count

            raise wrong_count(self)
        return parser.values, parser.words


class _Parser:
    """One run over the arguments."""

    __slots__ = ("command", "longs", "shorts", "values", "words")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.longs = {row[0]: row for row in command.options}
        self.shorts = {row[1]: row for row in command.options if row[1]}
        self.values: dict[str, Any] = {}
        self.words: list[str] = []

    def run(self, arguments: list[str]) -> None:
        at, end = 0, len(arguments)
        while at < end:
            token = arguments[at]
            at += 1
            if len(token) < 2 or token[0] != "-":
                self.words.append(token)
                if not self.command.mixes:
                    self.words += arguments[at:]
                    return
            elif token == "--":
                self.words += arguments[at:]
                return
            elif token[1] == "-":
                at = self.long(token[2:], token, arguments, at)
            else:
                name = token[1:].partition("=")[0]
                if len(name) > 1 and name in self.longs and name not in _ALWAYS_CLUSTERS:
                    at = self.long(token[1:], token, arguments, at)
                else:
                    at = self.cluster(token, arguments, at)

    def long(self, text: str, token: str, arguments: list[str], at: int) -> int:
        name, given, value = text.partition("=")
        row = self.longs.get(name)
        if row is None:
            if name == "help":
                raise NeedsHelp(self.command)
            raise FlagError(self.command, f"unknown flag: --{name}" if name else f"bad flag syntax: {token}")
        if given:
            self.set(row, value)
        elif row[2] == FLAG:
            self.values[name] = True
        elif at < len(arguments):
            self.set(row, arguments[at])
            return at + 1
        else:
            raise FlagError(self.command, f"flag needs an argument: --{name}")
        return at

    def cluster(self, token: str, arguments: list[str], at: int) -> int:
        rest = token[1:]
        while rest:
            row = self.shorts.get(rest[0])
            if row is None:
                if rest[0] == "h":
                    raise NeedsHelp(self.command)
                raise FlagError(self.command, f"unknown shorthand flag: '{rest[0]}' in -{rest}")
            letter, rest = rest[0], rest[1:]
            if rest.startswith("="):
                self.set(row, rest[1:])
                return at
            if row[2] == FLAG:
                self.values[row[0]] = True
            elif rest:
                self.set(row, rest)
                return at
            elif at < len(arguments):
                self.set(row, arguments[at])
                return at + 1
            else:
                raise FlagError(self.command, f"flag needs an argument: '{letter}' in -{letter}")
        return at

    def set(self, row: Row, text: str) -> None:
        name, short, kind, _ = row
        if kind == "string":
            self.values[name] = text
            return
        try:
            # NAME=value needs no closer look, and so not the module that would take it
            if kind == "list" or (kind in ("env", "label") and text.find("=") > 0):
                self.values.setdefault(name, []).append(text)
                return
            from wharfie.cli import kinds

            value, repeats = kinds.read(kind, text)
        except ValueError as error:
            shown = f"-{short}, --{name}" if short else f"--{name}"
            raise FlagError(self.command, f'invalid argument "{text}" for "{shown}" flag: {error}') from None
        if repeats:
            self.values.setdefault(name, []).append(value)
        else:
            self.values[name] = value
