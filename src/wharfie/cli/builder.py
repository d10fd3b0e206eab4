"""``builder du`` and ``builder prune``: the build cache."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import filters
from wharfie.cli.options import Command
from wharfie.cli.prune import agreed
from wharfie.cli.table import ellipsis
from wharfie.client.api import query
from wharfie.support.units import ago, format_size, parse_time

USAGE = Command(
    "builder du [OPTIONS]",
    "Show what the build cache holds",
    (("verbose", "", "flag", "Every record with all that is known of it"),),
    most=0,
)
PRUNE = Command(
    "builder prune [OPTIONS]",
    "Remove what the build cache holds",
    (
        ("all", "a", "flag", "Records whose layers an image has too, not only the others"),
        ("filter", "", "filter", "Only what matches (until=24h, id=…)"),
        ("force", "f", "flag", "Do not ask"),
        ("keep-storage", "", "bytes", "Leave so much"),
    ),
    most=0,
)
_ROW = "{:<24}{:<16}{:<12}{:<20}{}\n"


def usage(context: Context, arguments: list[str]) -> int:
    """``builder du``."""
    options, _ = USAGE.parse(arguments)
    found: list[dict[str, Any]] = context.api.get("/wharfie/build/cache")
    if options.get("verbose"):
        for item in found:
            for name, value in item.items():
                sys.stdout.write(f"{name + ':':<16}{value}\n")
            sys.stdout.write("\n")
    else:
        sys.stdout.write(_ROW.format("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION"))
        for item in found:
            used = ago(parse_time(item["LastUsedAt"])) if item.get("LastUsedAt") else ""
            size = format_size(item["Size"]) + ("*" if item["Shared"] else "")
            free = "false" if item["InUse"] else "true"
            text = ellipsis(item["Description"].replace("\n", " "), 60)
            sys.stdout.write(_ROW.format(item["ID"][:20], free, size, used, text))
    total = sum(item["Size"] for item in found)
    free = sum(item["Size"] for item in found if not item["InUse"] and not item["Shared"])
    sys.stdout.write(f"Reclaimable:\t{format_size(free)}\nTotal:\t\t{format_size(total)}\n")
    return 0


def prune(context: Context, arguments: list[str]) -> int:
    """``builder prune``."""
    options, _ = PRUNE.parse(arguments)
    what = "all build cache" if options.get("all") else "all dangling build cache"
    if not agreed(options, f"This will remove {what}."):
        return 0
    keep = options.get("keep-storage")
    asked = {"all": options.get("all"), "filters": filters(options.get("filter")) or None}
    if keep:
        asked["keep-storage"] = keep
    done = context.api.post("/build/prune" + query(**asked))
    if done.get("CachesDeleted"):
        sys.stdout.write("Deleted build cache objects:\n" + "\n".join(done["CachesDeleted"]) + "\n\n")
    sys.stdout.write(f"Total reclaimed space: {format_size(done['SpaceReclaimed'])}\n")
    return 0
