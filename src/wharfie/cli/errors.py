"""How a command ends early, with Docker's words and exit codes."""

from __future__ import annotations

from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.cli.options import Command

PROGRAM = "wharfie"


class CommandError(WharfieError):
    """A sentence for standard error and an exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class UsageError(CommandError):
    """A command line that is none, with how it is called."""

    def __init__(self, command: Command, message: str, code: int = 1) -> None:
        super().__init__(message, code)
        self.command = command

    def call(self, called: str) -> None:
        """Have it speak of the command by the words that were typed: ``container ls`` and not ``ps``."""
        own = f"{PROGRAM} {self.command.name}"
        self.message = self.message.replace(own, f"{PROGRAM} {called}") if self.command.name else self.message


class FlagError(UsageError):
    """An option that is unknown or whose value is wrong."""

    def __init__(self, command: Command, message: str) -> None:
        super().__init__(
            command,
            f"{message}\n\nUsage:  {PROGRAM} {command.usage}\n\n"
            f"Run '{f'{PROGRAM} {command.name}'.rstrip()} --help' for more information",
            125,
        )
        self.sentence = message


class NeedsHelp(WharfieError):
    """``--help`` was given."""

    def __init__(self, command: Command) -> None:
        super().__init__("help")
        self.command = command
        self.called = command.name

    def call(self, called: str) -> None:
        """Have the help use the words that were typed."""
        self.called = called


def wrong_count(command: Command) -> CommandError:
    """The error for too few or too many arguments."""
    needs, most = command.needs, command.most
    see = "Run"
    if most == 0:
        wanted = "accepts no arguments"
    elif most is None:
        wanted = f"requires at least {needs} {_plural(needs)}"
        see = "See"
    elif needs == most:
        wanted = f"requires {needs} {_plural(needs)}"
    elif needs == 0:
        wanted = f"requires at most {most} {_plural(most)}"
    else:
        wanted = f"requires at least {needs} and at most {most} {_plural(most)}"
    return UsageError(
        command,
        f"{PROGRAM}: '{PROGRAM} {command.name}' {wanted}\n\nUsage:  {PROGRAM} {command.usage}\n\n"
        f"{see} '{PROGRAM} {command.name} --help' for more information",
    )


def _plural(count: int) -> str:
    return "argument" if count == 1 else "arguments"


def run_error(command: str, error: WharfieError, code: int = 125) -> CommandError:
    """An error of ``run``: named, with the hint Docker adds to it."""
    return CommandError(f"{PROGRAM}: {error}\n\nRun '{PROGRAM} {command} --help' for more information", code)
