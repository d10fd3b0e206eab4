"""The processes of a container, as ``ps`` on the host shows them: ``GET /containers/{id}/top``.

Docker runs the host's ``ps`` and keeps the lines of the container's processes. The usual arguments, ``-ef``,
are answered from /proc without a program; all others go to ``ps``, with Docker's texts when it fails.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import time

from wharfie.engine.registry import Registry
from wharfie.errors import Conflict, InternalError, InvalidArgument
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.wire.containers import TopResponse

TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_USER_WIDTH = 8
# an output format that renames PID would let lines of other processes through
_RENAMED_PID = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)")
_SPACES = re.compile(r"[ \t\n\v\f\r]+")


class Top:
    """The backend of the top route."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def top(self, ref: str, arguments: str = "") -> TopResponse:
        """The container's processes in the columns of ``ps arguments``."""
        arguments = arguments or "-ef"
        check_arguments(arguments)
        container = self._registry.get(ref)
        if container.status.state == "restarting":
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        if not container.status.running or container.link is None:
            raise Conflict(f"container {container.id} is not running")
        pids = await asyncio.to_thread(open_cgroup(container.link.cgroup).procs)
        if arguments == "-ef":
            titles, processes = TITLES, await asyncio.to_thread(full_listing, sorted(pids))
        else:
            titles, processes = parse(await _run_ps(arguments.split(" "), pids), set(pids))
        self._registry.emit(container, "top")
        return TopResponse(titles=titles, processes=processes)


def check_arguments(arguments: str) -> None:
    """Refuse a column under PID's name that is not the process id; raises InvalidArgument."""
    for name, title in _RENAMED_PID.findall(arguments):
        if name != "pid":
            raise InvalidArgument(f'specifying "{name}={title}" is not allowed')


async def _run_ps(arguments: list[str], pids: list[int]) -> str:
    """The output of ``ps``, asked for these processes, or for all where that cannot be combined."""
    code, output, _ = await _ps([*arguments, "-q" + ",".join(map(str, pids))])
    if code != 0:
        code, output, errors = await _ps(arguments)
        if code != 0:
            raise InternalError(f"ps: {errors.partition(chr(10))[0] or f'exit status {code}'}")
    return output


async def _ps(arguments: list[str]) -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            "ps",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise InternalError('ps: exec: "ps": executable file not found in $PATH') from None
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace"), errors.decode("utf-8", "replace")


def _fields(line: str) -> list[str]:
    # ASCII blanks only: a process may put others in its name
    return [field for field in _SPACES.split(line) if field]


def parse(output: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
    """Titles, and the lines of ``pids``; a line of a thread (PID ``-``) goes with the process above it."""
    first, *lines = output.split("\n")
    titles = _fields(first)
    if "PID" not in titles:
        raise InternalError("Couldn't find PID field in ps output")
    column = titles.index("PID")
    processes = []
    inside = False
    for line in lines:
        fields = _fields(line)
        if not fields:
            continue
        pid = fields[column] if column < len(fields) else ""
        if pid != "-":
            if not pid.isascii() or not pid.isdigit():
                raise InternalError(f"Unexpected pid '{pid}'")
            inside = int(pid) in pids
        if inside:
            last = len(titles) - 1
            processes.append([*fields[:last], " ".join(fields[last:])])
    return titles, processes


def full_listing(pids: list[int]) -> list[list[str]]:
    """The rows of ``ps -ef`` for these processes; those that ended meanwhile are left out."""
    now = time.time()
    with open("/proc/uptime", encoding="ascii") as file:
        booted = now - float(file.read().split()[0])
    rows = []
    for pid in pids:
        try:
            rows.append(_row(pid, now, booted))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return rows


def _row(pid: int, now: float, booted: float) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    with open(f"/proc/{pid}/cmdline", "rb") as binary:
        command = binary.read(1 << 16).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    owner = os.stat(f"/proc/{pid}").st_uid
    # proc(5): the name may hold anything, also brackets and blanks
    name = text[text.index("(") + 1 : text.rindex(")")]
    # state, ppid, pgrp, session, tty_nr, …; utime is field 14, stime 15, starttime 22 counted from 1
    fields = text[text.rindex(")") + 2 :].split()
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = (int(fields[11]) + int(fields[12])) / ticks
    started = booted + int(fields[19]) / ticks
    elapsed = now - started
    share = min(99, int(seconds * 100 / elapsed)) if elapsed > 0 else 0
    if not command:
        command = f"[{name}]" + (" <defunct>" if fields[0] == "Z" else "")
    return [
        _user(owner),
        str(pid),
        fields[1],
        str(share),
        start_text(started, now),
        terminal(int(fields[4])),
        time_text(int(seconds)),
        " ".join(_fields(command)),
    ]


def _user(uid: int) -> str:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return name if len(name) <= _USER_WIDTH else name[: _USER_WIDTH - 1] + "+"


def start_text(started: float, now: float) -> str:
    """The hour when it was today, the day this year, else the year."""
    begin, today = time.localtime(started), time.localtime(now)
    if begin[:3] == today[:3]:
        return time.strftime("%H:%M", begin)
    return time.strftime("%b%d" if begin.tm_year == today.tm_year else "%Y", begin)


def time_text(seconds: int) -> str:
    """CPU time as ``[days-]HH:MM:SS``."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock


def terminal(number: int) -> str:
    """The terminal of a device number as /proc/<pid>/stat packs it: minor in bits 31-20 and 7-0."""
    major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
    if 136 <= major <= 143:
        return f"pts/{minor + (major - 136) * 256}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return "?"
