"""Commands that do one thing to each container named: ``stop restart kill pause unpause wait rm``."""

from __future__ import annotations

from wharfie.cli.context import Context, say, warn
from wharfie.cli.options import Command
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError
from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MANY = "CONTAINER [CONTAINER...]"
_STOPPING = (
    ("signal", "s", "string", "Signal to send to the container"),
    ("time", "", "int", ""),
    ("timeout", "t", "int", "Seconds to wait before it is killed"),
)
STOP = Command(
    f"stop [OPTIONS] {_MANY}", "Stop running containers", _STOPPING, needs=1, aliases="container stop, stop"
)
RESTART = Command(
    f"restart [OPTIONS] {_MANY}",
    "Stop containers and start them again",
    _STOPPING,
    needs=1,
    aliases="container restart, restart",
)
KILL = Command(
    f"kill [OPTIONS] {_MANY}",
    "Send a signal to running containers",
    (("signal", "s", "string", "Signal to send (default KILL)"),),
    needs=1,
    aliases="container kill, kill",
)
PAUSE = Command(
    f"pause {_MANY}", "Freeze all processes of containers", needs=1, aliases="container pause, pause"
)
UNPAUSE = Command(
    f"unpause {_MANY}", "Let frozen containers go on", needs=1, aliases="container unpause, unpause"
)
WAIT = Command(
    f"wait {_MANY}",
    "Wait until containers stop and print their exit codes",
    needs=1,
    aliases="container wait, wait",
)
REMOVE = Command(
    f"rm [OPTIONS] {_MANY}",
    "Remove containers",
    (
        ("force", "f", "flag", "Remove running containers too (kills them)"),
        ("link", "l", "flag", "Remove the link of this name"),
        ("volumes", "v", "flag", "Remove the anonymous volumes as well"),
    ),
    needs=1,
    aliases="container rm, container remove, rm",
)


def each(words: list[str], action: Callable[[str], str]) -> int:
    """Do it to every one and print what it returns; 1 when one failed, after all were tried."""
    code = 0
    for word in words:
        try:
            done = action(word)
        except ApiError as error:
            warn(str(error))
            code = 1
        else:
            if done:
                say(done)
    return code


def _act(context: Context, words: list[str], verb: str, asked: str = "") -> int:
    def action(word: str) -> str:
        context.api.post(f"/containers/{quote(word)}/{verb}{asked}")
        return word

    return each(words, action)


def _stopping(context: Context, arguments: list[str], command: Command, verb: str) -> int:
    options, words = command.parse(arguments)
    seconds = options.get("timeout", options.get("time"))
    asked = query(signal=options.get("signal"), t=None if seconds is None else str(seconds))
    return _act(context, words, verb, asked)


def stop(context: Context, arguments: list[str]) -> int:
    """``stop``."""
    return _stopping(context, arguments, STOP, "stop")


def restart(context: Context, arguments: list[str]) -> int:
    """``restart``."""
    return _stopping(context, arguments, RESTART, "restart")


def kill(context: Context, arguments: list[str]) -> int:
    """``kill``."""
    options, words = KILL.parse(arguments)
    return _act(context, words, "kill", query(signal=options.get("signal")))


def pause(context: Context, arguments: list[str]) -> int:
    """``pause``."""
    return _act(context, PAUSE.parse(arguments)[1], "pause")


def unpause(context: Context, arguments: list[str]) -> int:
    """``unpause``."""
    return _act(context, UNPAUSE.parse(arguments)[1], "unpause")


def wait(context: Context, arguments: list[str]) -> int:
    """``wait``."""
    _, words = WAIT.parse(arguments)

    def action(word: str) -> str:
        return str(context.api.post(f"/containers/{quote(word)}/wait")["StatusCode"])

    return each(words, action)


def remove(context: Context, arguments: list[str]) -> int:
    """``rm``; with ``-f`` a container that does not exist is no failure."""
    options, words = REMOVE.parse(arguments)
    force = options.get("force", False)
    asked = query(v=options.get("volumes"), link=options.get("link"), force=force)
    code = 0
    for word in words:
        try:
            context.api.call("DELETE", f"/containers/{quote(word)}{asked}")
        except ApiError as error:
            warn(str(error))
            if not (force and error.status == 404):
                code = 1
        except WharfieError as error:
            warn(str(error))
            return 1
        else:
            say(word)
    return code
