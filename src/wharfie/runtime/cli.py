"""``wharfie-runtime``: the OCI runtime's command line, with runc's commands, flags, messages and exit codes.

An error goes to standard error, and to --log where there is one (containerd reads that file's last entry).
"""

from __future__ import annotations

import os
import sys
import time

from wharfie.errors import InvalidArgument, WharfieError
from wharfie.runtime import commands, interpreter, options, views
from wharfie.runtime.state import DEFAULT_ROOT, Store
from wharfie.runtime.sync import describe
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Command = Callable[[Store, dict[str, Any], list[str]], int]

_COMMANDS: dict[str, Command] = {
    "create": commands.do_create,
    "run": commands.do_run,
    "start": commands.do_start,
    "exec": commands.do_exec,
    "kill": commands.do_kill,
    "delete": commands.do_delete,
    "state": views.do_state,
    "list": views.do_list,
    "ps": views.do_ps,
    "pause": views.do_pause,
    "resume": views.do_resume,
    "update": views.do_update,
    "events": views.do_events,
    "spec": views.do_spec,
    "features": views.do_features,
}
_FORKING = frozenset(("create", "run", "exec"))

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

        views.say(f"wharfie-runtime version {__version__}\nspec: 1.2.0")
        return 0
    if settings.get("help") or not rest or rest[0] == "help":
        views.say(USAGE)
        return 0
    name = rest[0]
    if name in ("checkpoint", "restore"):
        commands.unsupported(name)
    command = _COMMANDS.get(name)
    if command is None:
        raise InvalidArgument(f"No help topic for '{name}'")
    if settings.get("systemd-cgroup"):
        commands.unsupported("--systemd-cgroup")
    if settings.get("log-format", "text") not in ("text", "json"):
        raise InvalidArgument("invalid log-format: " + settings["log-format"])
    if name in _FORKING:
        interpreter.ensure_read_only(words)
    found, positional = options.parse(rest[1:], options.COMMANDS[name], name)
    return command(Store(settings.get("root") or DEFAULT_ROOT), found, positional)


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
