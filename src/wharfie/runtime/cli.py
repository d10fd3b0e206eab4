"""``wharfie-runtime``: the OCI runtime's command line, with runc's commands, flags, messages and exit codes.

An error is one entry of the log (``log.py``) and exit code 1: 255 for exec, whose other codes are the
program's own, and 3 for a command that there is not.
"""

from __future__ import annotations

import posix as os
import sys

from wharfie.errors import InvalidArgument, WharfieError
from wharfie.runtime import log, options
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.state import Store, default_root, in_user_namespace
from wharfie.runtime.sync import describe
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Command = Callable[[Store, dict[str, Any], list[str]], int]

# only the module that a command needs is loaded (all together: 10 ms)
_MODULES = {
    "create": "commands",
    "run": "commands",
    "exec": "executing",
    "start": "control",
    "kill": "control",
    "delete": "control",
    "pause": "control",
    "resume": "control",
    "state": "views",
    "list": "views",
    "ps": "views",
    "update": "update",
    "events": "events",
    "spec": "specfile",
    "features": "features",
    "checkpoint": "checkpoint",
    "restore": "restore",
}
_PREFIX = {
    "create": "wharfie-runtime create failed: ",
    "run": "wharfie-runtime run failed: ",
    "exec": "exec failed: ",
}


def main(argv: list[str] | None = None) -> None:
    """Run one command and exit."""
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _run(words)
    except options.UsageError as error:
        from wharfie.runtime import usage

        _say(f"Incorrect Usage: {error.message}\n\n{usage.text(error.command)}")
        log.error(error.message)
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _run(words: list[str]) -> int:
    settings, rest = options.parse(words, options.GLOBAL, "")
    if settings.get("version"):
        from wharfie import __version__

        _say(f"wharfie-runtime version {__version__}\nspec: 1.2.1")
        return 0
    name = rest[0] if rest else "help"
    if settings.get("help") or name in ("help", "h"):
        return _help(rest[1:])
    log.configure(settings)
    if settings.get("log-format", "text") not in ("text", "json"):
        return _fail("", f"invalid log-format: {settings['log-format']}")
    if name not in options.COMMANDS:
        _fail("", f"No help topic for '{name}'")
        return 3
    found, positional = options.parse(rest[1:], options.COMMANDS[name], name)
    if found.get("help"):
        return _help([name])
    options.check_words(positional, name)
    return _dispatch(name, settings, found, positional, words)


def _dispatch(
    name: str, settings: dict[str, Any], found: dict[str, Any], positional: list[str], words: list[str]
) -> int:
    try:
        rootless = settings.get("rootless", "auto")
        if rootless not in ("true", "false", "auto"):
            raise InvalidArgument(f'invalid --rootless "{rootless}": expected true, false or auto')
        if name in ("create", "run", "exec", "restore"):
            from wharfie.runtime import interpreter

            interpreter.ensure_read_only(words)
        root = settings.get("root") or default_root()
        found["systemd"] = bool(settings.get("systemd-cgroup"))
        found["lenient"] = None if rootless == "auto" else rootless == "true"
        found["unprivileged"] = os.geteuid() != 0 or in_user_namespace()
        found["criu"] = settings.get("criu") or "criu"
        return _command(name)(Store(paths.abspath(root)), found, positional)
    except LaunchError as error:
        return _fail(name, f"unable to start container process: {error.message}")
    except WharfieError as error:
        return _fail(name, error.message)
    except OSError as error:
        return _fail(name, describe(error))


def _command(name: str) -> Command:
    package = __package__ or "wharfie.runtime"
    module = __import__(f"{package}.{_MODULES[name]}", fromlist=["*"])
    found: Command = getattr(module, f"do_{name}")
    return found


def _help(topics: list[str]) -> int:
    from wharfie.runtime import usage

    if topics and topics[0] not in options.COMMANDS:
        _fail("", f"No help topic for '{topics[0]}'")
        return 3
    _say(usage.text(topics[0] if topics else "").rstrip("\n"))
    return 0


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def _fail(name: str, message: str) -> int:
    log.error(_PREFIX.get(name, "") + message)
    return 255 if name == "exec" else 1
