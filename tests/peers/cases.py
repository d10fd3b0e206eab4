"""What is asked of every engine, in this order, and how an answer is made comparable."""

from __future__ import annotations

import os
import re

from tests.peers import (
    steps_clients,
    steps_files,
    steps_health,
    steps_inside,
    steps_life,
    steps_looking,
    steps_networks,
    steps_options,
    steps_refused,
    steps_volumes,
)

DEVIATIONS: dict[str, tuple[str, str, str | int]] = {
    # the command line: why ours is another answer, the field, ours
    "exec -w /nosuch j1 pwd": ("a directory that is not found is 127, as with run", "code", 127),
    "exec run1 nosuchcommand": (
        "a command that is not found is 127, as with run",
        "code",
        127,
    ),
}

GROUPS = {
    "life": steps_life.LIFE,
    "running": steps_life.RUNNING,
    "refused": steps_refused.REFUSED,
    "inside": steps_inside.INSIDE,
    "options": steps_options.OPTIONS,
    "joined": steps_options.JOINED,
    "listed": steps_looking.LISTED,
    "inspected": steps_looking.INSPECTED,
    "told": steps_looking.TOLD,
    "logged": steps_looking.LOGGED,
    "copied": steps_files.COPIED,
    "committed": steps_files.COMMITTED,
    "volumes": steps_files.VOLUMES,
    "health": steps_health.HEALTH,
    "binds": steps_volumes.BINDS,
    "tmpfs": steps_volumes.TMPFS,
    "drivers": steps_volumes.DRIVERS,
    "volume mounts": steps_volumes.VOLUME_MOUNTS,
    "networks": steps_networks.NETWORKS,
    "clients": steps_clients.CLIENTS,
}

_PAGES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
_REPLACEMENTS = (
    # this machine's own facts
    (re.compile(re.escape(os.uname().release)), "<kernel>"),
    (re.compile(rf"\b{_PAGES}\b"), "<memory>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| [+-]\d{4} [A-Z]+)"), "<time>"),
    (re.compile(r"(\d+ \w+|Less than a second|About a minute) ago"), "<ago>"),
    (re.compile(r"Up (\d+ \w+|Less than a second|About a minute)"), "Up <time>"),
    (re.compile(r"\b(10|172|192)(\.\d{1,3}){3}\b"), "<address>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"^wharfie: ", re.M), "docker: "),
    (re.compile(r"\bwharfie\b"), "docker"),
    (re.compile(r"/wh[a-z]+\d+/<id>"), "/docker/<id>"),
    # the docker command line's own race, when an engine refuses an archive before it has read it
    (re.compile(r"^time=.*read/write on closed pipe\"\n", re.M), ""),
    # SELinux is not looked after here
    (re.compile(r',"label=disable"'), ""),
    (re.compile(r"/tmp/[\w./-]+"), "<path>"),
)


def normalise(text: str, compare: str = "exact") -> str:
    """The text without what differs from one run, or one engine's name, to the next."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    if compare == "table":
        text = re.sub(r"  +", "   ", text)
    if compare == "sizes":
        text = re.sub(r"\d+(\.\d+)?[kMG]?B\b", "<size>", re.sub(r"  +", "   ", text))
    if compare == "numbers":
        text = re.sub(r"\d+(\.\d+)?", "<n>", re.sub(r"  +", "   ", text))
    return text
