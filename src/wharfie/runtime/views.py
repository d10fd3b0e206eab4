"""The commands that look: state, list, ps."""

from __future__ import annotations

import posix as os

from wharfie.errors import Conflict, InvalidArgument
from wharfie.runtime.state import Record, Store
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def say(text: str) -> None:
    """Write a line to standard output."""
    os.write(1, f"{text}\n".encode())


def compact(value: Any) -> str:
    """JSON as Go writes it: with what HTML minds escaped."""
    text = json.dumps(value)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def indented(value: Any, unit: str, depth: int = 0) -> str:
    """JSON on many lines, as Go's MarshalIndent."""
    inner, outer = f"\n{unit * (depth + 1)}", f"\n{unit * depth}"
    if isinstance(value, dict) and value:
        items = (f"{compact(key)}: {indented(item, unit, depth + 1)}" for key, item in value.items())
        return "{" + inner + f",{inner}".join(items) + outer + "}"
    if isinstance(value, (list, tuple)) and value:
        return "[" + inner + f",{inner}".join(indented(item, unit, depth + 1) for item in value) + outer + "]"
    return compact(value)


def do_state(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``state``."""
    os.write(1, indented(store.load(words[0]).state(), "  ").encode())
    return 0


def do_list(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``list``."""
    states = [record.state(_owner(record)) for record in store.all()]
    if options.get("quiet"):
        for state in states:
            say(state["id"])
    elif options.get("format", "table") == "json":
        say(compact(states) if states else "null")
    elif options.get("format", "table") == "table":
        columns = ("id", "pid", "status", "bundle", "created", "owner")
        rows = [[name.upper() for name in columns]]
        rows += [[str(state[name]) for name in columns] for state in states]
        # Go's tabwriter: cells of at least 12, three blanks between
        widths = [max(12, *(len(row[column]) + 3 for row in rows)) for column in range(5)] + [0]
        for row in rows:
            say("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    else:
        raise InvalidArgument("invalid format option")
    return 0


def _owner(record: Record) -> str:
    uid = os.stat(record.directory).st_uid
    if not uid:
        return "root"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def do_ps(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``ps``: the container's processes, as ids or as the host's ps(1) shows them."""
    kind = options.get("format", "table")
    pids = store.load(words[0]).open_cgroup().procs()
    if kind == "json":
        say(json.dumps(pids) if pids else "null")
        return 0
    if kind != "table":
        raise InvalidArgument("invalid format option")
    lines = _host_ps(words[1:] or ["-ef"])
    if not lines or "PID" not in lines[0].split():
        raise Conflict("couldn't find PID field in ps output")
    column = lines[0].split().index("PID")
    say(lines[0])
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            say(line)
    return 0


def _host_ps(arguments: list[str]) -> list[str]:
    from os import execvp, fdopen

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(writer, 1)
            execvp("ps", ["ps", *arguments])
        finally:
            os._exit(127)
    os.close(writer)
    with fdopen(reader, "r", errors="replace") as output:
        lines = output.read().splitlines()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise Conflict(f"exec of ps failed: exit status {code}")
    return lines
