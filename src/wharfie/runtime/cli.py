"""``wharfie-runtime``: the OCI runtime's command line, with runc's commands, flags, messages and exit codes.

An error goes to standard error, and to --log where there is one (containerd reads that file's last entry).
"""

from __future__ import annotations

import os
import sys
import time

from wharfie.errors import InvalidArgument, NotSupported, WharfieError
from wharfie.runtime import interpreter, options
from wharfie.runtime.state import DEFAULT_ROOT, Store
from wharfie.runtime.sync import describe
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Command = Callable[[Store, dict[str, Any], list[str]], int]

_PROCESSES = frozenset(("create", "run", "exec"))
_CONTROL = frozenset(("start", "kill", "delete"))


def _command(name: str) -> Command:
    """The function behind a command; only what it needs is loaded (all together: 10 ms)."""
    found: Command
    if name in _PROCESSES:
        from wharfie.runtime import commands

        found = getattr(commands, f"do_{name}")
    elif name in _CONTROL:
        from wharfie.runtime import control

        found = getattr(control, f"do_{name}")
    else:
        from wharfie.runtime import views

        found = getattr(views, f"do_{name}")
    return found


USAGE = """\
NAME:
   wharfie-runtime - Open Container Initiative runtime

USAGE:
   wharfie-runtime [global options] command [command options] [arguments...]

COMMANDS:
   create, delete, events, exec, features, kill, list, pause, ps, resume, run, spec, start, state, update

GLOBAL OPTIONS:
   --debug              enable debug logging
   --log value          where to write an error to, besides standard error
   --log-format value   the log's format: text or json (default: "text")
   --root value         where containers are remembered (default: "/run/wharfie-runtime")
   --systemd-cgroup     refused: cgroups are made through the cgroup file system
   --version, -v        print the version
"""


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit."""
    words = sys.argv[1:] if argv is None else argv
    settings: dict[str, Any] = {}
    try:
        settings, rest = options.parse(words, options.GLOBAL, "")
        code = _dispatch(settings, rest, words)
    except WharfieError as error:
        code = _fail(settings, error.message)
    except OSError as error:
        code = _fail(settings, describe(error))
    sys.stdout.flush()
    os._exit(code)


def _dispatch(settings: dict[str, Any], rest: list[str], words: list[str]) -> int:
    if settings.get("version"):
        from wharfie import __version__

        _say(f"wharfie-runtime version {__version__}\nspec: 1.2.0")
        return 0
    if settings.get("help") or not rest or rest[0] == "help":
        _say(USAGE)
        return 0
    name = rest[0]
    if name in ("checkpoint", "restore"):
        raise NotSupported(f"{name} is not supported by wharfie-runtime")
    if name not in options.COMMANDS:
        raise InvalidArgument(f"No help topic for '{name}'")
    if settings.get("systemd-cgroup"):
        raise NotSupported("--systemd-cgroup is not supported by wharfie-runtime")
    if settings.get("log-format", "text") not in ("text", "json"):
        raise InvalidArgument("invalid log-format: " + settings["log-format"])
    if name in _PROCESSES:
        interpreter.ensure_read_only(words)
    found, positional = options.parse(rest[1:], options.COMMANDS[name], name)
    return _command(name)(Store(settings.get("root") or DEFAULT_ROOT), found, positional)


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def _fail(settings: dict[str, Any], message: str) -> int:
    if settings.get("log"):
        _log(settings, message)
    os.write(2, f"{message}\n".encode())
    return 1


def _log(settings: dict[str, Any], message: str) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if settings.get("log-format") == "json":
        line = json.dumps({"level": "error", "msg": message, "time": moment})
    else:
        line = f'time="{moment}" level=error msg={json.dumps(message)}'
    try:
        fd = os.open(settings["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        os.write(2, f"{describe(error)}\n".encode())
        return
    os.write(fd, f"{line}\n".encode())
    os.close(fd)
