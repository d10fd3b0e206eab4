"""``stats``: every round asks all containers at once and prints one table."""

from __future__ import annotations

import sys
import time
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import FORMAT, rendered
from wharfie.cli.options import Command
from wharfie.client.api import check, query, quote
from wharfie.client.errors import ApiError
from wharfie.support import json
from wharfie.support.units import format_binary_size, format_size

STATS = Command(
    "stats [OPTIONS] [CONTAINER...]",
    "Show what containers use, live",
    (
        ("all", "a", "flag", "Show stopped ones too"),
        FORMAT,
        ("no-stream", "", "flag", "Print once and end"),
        ("no-trunc", "", "flag", "Do not shorten"),
    ),
    aliases="container stats, stats",
)
_COLUMNS = [
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
]
_ROUND = 1.0


def stats(context: Context, arguments: list[str]) -> int:
    """Print rounds until interrupted, or one."""
    options, words = STATS.parse(arguments)
    once, whole = options.get("no-stream", False), options.get("no-trunc", False)
    form = options.get("format") or context.settings.get("statsFormat")
    redraw = sys.stdout.isatty() and not once
    first = True
    while True:
        began = time.monotonic()
        names = words or [
            one["Id"][:12] for one in context.api.get("/containers/json" + query(all=options.get("all")))
        ]
        if redraw and first:
            # the first figures take a second: until then the screen says who they will be of
            sys.stdout.write("\x1b[2J" + _screen([_unknown(name, whole=whole) for name in names], form))
            sys.stdout.flush()
            first = False
        rows = _round(context, names, whole=whole, named=bool(words))
        sys.stdout.write(_screen(rows, form) if redraw else rendered(rows, _COLUMNS, form))
        sys.stdout.flush()
        if once:
            return 0
        time.sleep(max(0.0, _ROUND - (time.monotonic() - began)))


def _screen(rows: list[dict[str, str]], form: str | None) -> str:
    """A table over the one before. ECMA-48: home; erase to the end of each line, and below the last."""
    return "\x1b[H" + rendered(rows, _COLUMNS, form).replace("\n", "\x1b[K\n") + "\x1b[J"


def _unknown(name: str, *, whole: bool) -> dict[str, str]:
    fields = dict.fromkeys(("BlockIO", "CPUPerc", "MemPerc", "Name", "NetIO", "PIDs"), "--")
    return {**fields, "Container": name, "ID": name if whole else name[:12], "MemUsage": "-- / --"}


def _round(context: Context, names: list[str], *, whole: bool, named: bool) -> list[dict[str, str]]:
    connections = []
    for name in names:
        # the engine takes a second to measure: all of them measure at the same time
        connection = context.api.connect()
        connection.send("GET", f"/containers/{quote(name)}/stats?stream=0")
        connections.append(connection)
    rows = []
    try:
        for name, connection in zip(names, connections, strict=True):
            try:
                found = json.loads(check(connection.response()).read())
            except ApiError:
                if named:
                    raise
                continue
            rows.append(row(found, name, whole=whole))
    finally:
        for connection in connections:
            connection.close()
    return rows


def row(found: dict[str, Any], asked: str, *, whole: bool) -> dict[str, str]:
    """A container's figures as templates name them."""
    memory = found.get("memory_stats") or {}
    used, limit = memory_used(memory), memory.get("limit", 0)
    networks = (found.get("networks") or {}).values()
    received = sum(one.get("rx_bytes", 0) for one in networks)
    sent = sum(one.get("tx_bytes", 0) for one in networks)
    read = written = 0
    for entry in (found.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        operation = entry.get("op", "").lower()
        read += entry["value"] if operation == "read" else 0
        written += entry["value"] if operation == "write" else 0
    identifier = found.get("id") or asked
    return {
        "BlockIO": f"{format_size(read)} / {format_size(written)}",
        "CPUPerc": f"{cpu_percent(found):.2f}%",
        "Container": asked,
        "ID": identifier if whole else identifier[:12],
        "MemPerc": f"{used * 100 / limit if limit else 0:.2f}%",
        "MemUsage": f"{format_binary_size(used)} / {format_binary_size(limit)}",
        "Name": found.get("name", "").removeprefix("/") or "--",
        "NetIO": f"{format_size(received)} / {format_size(sent)}",
        "PIDs": str((found.get("pids_stats") or {}).get("current", 0)),
    }


def memory_used(memory: dict[str, Any]) -> int:
    """Usage without the page cache that can be dropped at once (v1 and v2 name it differently)."""
    usage: int = memory.get("usage", 0)
    details = memory.get("stats") or {}
    cache: int = details.get("total_inactive_file", details.get("inactive_file", 0))
    return usage - cache if cache < usage else usage


def cpu_percent(found: dict[str, Any]) -> float:
    """Share of one CPU between the two measurements, in percent."""
    now, before = found.get("cpu_stats") or {}, found.get("precpu_stats") or {}
    spent = _total(now) - _total(before)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    return spent / passed * count * 100 if passed > 0 and spent > 0 else 0.0


def _total(cpu: dict[str, Any]) -> int:
    total: int = (cpu.get("cpu_usage") or {}).get("total_usage", 0)
    return total
