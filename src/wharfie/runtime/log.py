"""What the command line says beside its results, in runc's format (logrus), which engines read.

Without --log an entry goes to standard error. With it entries go to that file, of which containerd reads the
last, and an error's bare text to standard error as well.
"""

from __future__ import annotations

import posix as os
import time

from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/@^+")


class _Target:
    path = ""
    json = False
    debug = False


def configure(settings: dict[str, Any]) -> None:
    """Take over --log, --log-format and --debug."""
    _Target.path = settings.get("log") or ""
    _Target.json = settings.get("log-format") == "json"
    _Target.debug = bool(settings.get("debug"))


def error(message: str) -> None:
    """Report what ends the command."""
    if _write("error", message) and _Target.path:
        os.write(2, f"{message}\n".encode())


def warn(messages: list[str]) -> None:
    """Report what went wrong and stopped nothing."""
    for message in messages:
        _write("warning", message)


def debug(message: str) -> None:
    """Report a step, if --debug was given."""
    if _Target.debug:
        _write("debug", message)


def _write(level: str, message: str) -> bool:
    line = entry(level, message, as_json=_Target.json).encode(errors="replace")
    if not _Target.path:
        os.write(2, line)
        return True
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(_Target.path, flags, 0o644)
    except OSError as problem:
        os.write(2, f"{message}\n{_Target.path}: {(problem.strerror or '').lower()}\n".encode())
        return False
    os.write(fd, line)
    os.close(fd)
    return True


def entry(level: str, message: str, *, as_json: bool) -> str:
    """One line of a log."""
    offset = time.strftime("%z")
    zone = "Z" if offset in ("+0000", "") else f"{offset[:3]}:{offset[3:]}"
    moment = time.strftime("%Y-%m-%dT%H:%M:%S") + zone
    if as_json:
        return json.dumps({"level": level, "msg": message, "time": moment}) + "\n"
    quoted = message if message and set(message) <= _PLAIN else json.dumps(message)
    return f'time="{moment}" level={level} msg={quoted}\n'
