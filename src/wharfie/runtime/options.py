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


class UsageError(InvalidArgument):
    """The words of a command are not what it takes; ``command`` is "" for what comes before it."""

    def __init__(self, command: str, message: str) -> None:
        super().__init__(message)
        self.command = command


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
    "pidfd-socket": TEXT,
    "no-pivot": FLAG,
    "no-new-keyring": FLAG,
    "preserve-fds": NUMBER,
}

_CRIU = {
    "image-path": TEXT,
    "work-path": TEXT,
    "tcp-established": FLAG,
    "ext-unix-sk": FLAG,
    "shell-job": FLAG,
    "lazy-pages": FLAG,
    "file-locks": FLAG,
    "manage-cgroups-mode": TEXT,
    "empty-ns": LIST,
    "auto-dedup": FLAG,
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
        "pidfd-socket": TEXT,
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
        "cpu-period": TEXT,
        "cpu-quota": TEXT,
        "cpu-burst": TEXT,
        "cpu-share": TEXT,
        "cpu-rt-period": TEXT,
        "cpu-rt-runtime": TEXT,
        "cpuset-cpus": TEXT,
        "cpuset-mems": TEXT,
        "cpu-idle": TEXT,
        "kernel-memory": TEXT,
        "kernel-memory-tcp": TEXT,
        "memory": TEXT,
        "memory-reservation": TEXT,
        "memory-swap": TEXT,
        "pids-limit": NUMBER,
        "l3-cache-schema": TEXT,
        "mem-bw-schema": TEXT,
    },
    "events": {"stats": FLAG, "interval": TEXT},
    "spec": {"bundle": TEXT, "rootless": FLAG},
    "features": {},
    "checkpoint": {
        **_CRIU,
        "parent-path": TEXT,
        "leave-running": FLAG,
        "tcp-skip-in-flight": FLAG,
        "status-fd": NUMBER,
        "page-server": TEXT,
        "pre-dump": FLAG,
    },
    "restore": {
        **_CRIU,
        "console-socket": TEXT,
        "bundle": TEXT,
        "detach": FLAG,
        "pid-file": TEXT,
        "no-subreaper": FLAG,
        "no-pivot": FLAG,
        "lsm-profile": TEXT,
        "lsm-mount-context": TEXT,
    },
}

SHORT = {
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
    "restore": {"b": "bundle", "d": "detach"},
    "": {"v": "version"},
}

_POSITIONAL = {
    # how many words: (at least, at most)
    "exec": (1, None),
    "kill": (1, 2),
    "ps": (1, None),
    "list": (0, None),
    "spec": (0, 0),
    "features": (0, 0),
}
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse(words: list[str], table: dict[str, str], command: str) -> tuple[dict[str, Any], list[str]]:
    """(options by name, positional words); raises UsageError."""
    found: dict[str, Any] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-") or word == "-":
            break
        position += 1
        if word == "--":
            break
        name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if name in ("h", "help"):
            return {"help": True}, []
        name = SHORT.get(command, {}).get(name, name)
        kind = table.get(name)
        if kind is None:
            raise UsageError(command, f"flag provided but not defined: -{name}")
        if kind == FLAG:
            found[name] = _truth(command, name, value) if equals else True
            continue
        if not equals:
            if position >= len(words):
                raise UsageError(command, f"flag needs an argument: -{name}")
            value = words[position]
            position += 1
        if kind == LIST:
            found.setdefault(name, []).append(value)
        else:
            found[name] = _number(command, name, value) if kind == NUMBER else value
    return found, words[position:]


def _truth(command: str, name: str, value: str) -> bool:
    if value not in _TRUE and value not in _FALSE:
        raise UsageError(command, f'invalid boolean value "{value}" for -{name}: parse error')
    return value in _TRUE


def _number(command: str, name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(command, f'invalid value "{value}" for flag -{name}: parse error') from None


def check_words(words: list[str], command: str) -> None:
    """Refuse too few or too many positional words; raises UsageError."""
    least, most = _POSITIONAL.get(command, (1, 1))
    if least == most and len(words) != least:
        raise UsageError(command, f'wharfie-runtime: "{command}" requires exactly {least} argument(s)')
    if len(words) < least:
        raise UsageError(command, f'wharfie-runtime: "{command}" requires a minimum of {least} argument(s)')
    if most is not None and len(words) > most:
        raise UsageError(command, f'wharfie-runtime: "{command}" requires a maximum of {most} argument(s)')
