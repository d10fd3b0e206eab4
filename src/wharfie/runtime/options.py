"""The command line's option tables and their reader, after runc's.

Options come before the first positional word; ``--name value``, ``--name=value`` and one dash are all one, as
Go's flag package has it. argparse costs 15 ms of a start.
"""

from __future__ import annotations

from wharfie.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLAG, TEXT, NUMBER, LIST = "flag", "text", "number", "list"

GLOBAL = {
    "debug": FLAG,
    "log": TEXT,
    "log-format": TEXT,
    "root": TEXT,
    "criu": TEXT,
    "systemd-cgroup": FLAG,
    "rootless": TEXT,
    "help": FLAG,
    "version": FLAG,
}

_CREATE = {
    "bundle": TEXT,
    "console-socket": TEXT,
    "pid-file": TEXT,
    "no-pivot": FLAG,
    "no-new-keyring": FLAG,
    "preserve-fds": NUMBER,
}

COMMANDS: dict[str, dict[str, str]] = {
    "create": _CREATE,
    "run": {**_CREATE, "detach": FLAG, "keep": FLAG, "no-subreaper": FLAG},
    "start": {},
    "exec": {
        "console-socket": TEXT,
        "cwd": TEXT,
        "env": LIST,
        "tty": FLAG,
        "user": TEXT,
        "additional-gids": LIST,
        "process": TEXT,
        "detach": FLAG,
        "pid-file": TEXT,
        "process-label": TEXT,
        "apparmor": TEXT,
        "no-new-privs": FLAG,
        "cap": LIST,
        "preserve-fds": NUMBER,
        "cgroup": LIST,
        "ignore-paused": FLAG,
    },
    "kill": {"all": FLAG},
    "delete": {"force": FLAG},
    "state": {},
    "list": {"format": TEXT, "quiet": FLAG},
    "ps": {"format": TEXT},
    "pause": {},
    "resume": {},
    "update": {
        "resources": TEXT,
        "blkio-weight": NUMBER,
        "cpu-period": NUMBER,
        "cpu-quota": NUMBER,
        "cpu-share": NUMBER,
        "cpu-rt-period": NUMBER,
        "cpu-rt-runtime": NUMBER,
        "cpuset-cpus": TEXT,
        "cpuset-mems": TEXT,
        "memory": NUMBER,
        "memory-reservation": NUMBER,
        "memory-swap": NUMBER,
        "pids-limit": NUMBER,
    },
    "events": {"stats": FLAG, "interval": TEXT},
    "spec": {"bundle": TEXT, "rootless": FLAG},
    "features": {},
    "checkpoint": {},
    "restore": {},
}

_SHORT = {
    "create": {"b": "bundle"},
    "run": {"b": "bundle", "d": "detach"},
    "exec": {
        "e": "env",
        "t": "tty",
        "u": "user",
        "g": "additional-gids",
        "p": "process",
        "d": "detach",
        "c": "cap",
    },
    "kill": {"a": "all"},
    "delete": {"f": "force"},
    "list": {"f": "format", "q": "quiet"},
    "ps": {"f": "format"},
    "update": {"r": "resources"},
    "spec": {"b": "bundle"},
    "": {"h": "help", "v": "version"},
}


def parse(words: list[str], table: dict[str, str], command: str) -> tuple[dict[str, Any], list[str]]:
    """(options by name, positional words); raises InvalidArgument."""
    found: dict[str, Any] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-") or word == "-":
            break
        position += 1
        if word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        name = _SHORT.get(command, {}).get(name, name)
        kind = table.get(name)
        if kind is None:
            raise InvalidArgument(f"flag provided but not defined: -{name}")
        if kind == FLAG:
            found[name] = not equals or value.lower() in ("true", "1", "t")
            continue
        if not equals:
            if position >= len(words):
                raise InvalidArgument(f"flag needs an argument: -{name}")
            value = words[position]
            position += 1
        if kind == LIST:
            found.setdefault(name, []).append(value)
        else:
            found[name] = _number(name, value) if kind == NUMBER else value
    return found, words[position:]


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidArgument(f'invalid value "{value}" for flag -{name}: not a number') from None
