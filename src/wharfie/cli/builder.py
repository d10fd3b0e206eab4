"""``builder du``, ``prune``, ``export`` and ``import``: the build cache, and its cache mounts as archives."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import filters
from wharfie.cli.options import Command
from wharfie.cli.prune import agreed, prune_cache
from wharfie.cli.table import ellipsis
from wharfie.client.api import query
from wharfie.support.units import ago, format_size, parse_time

USAGE = Command(
    "builder du [OPTIONS]",
    "Show what the build cache holds",
    (
        ("filter", "", "filter", "Only what matches (id=…, type=…, until=24h, inuse=true, shared=true)"),
        ("verbose", "", "flag", "Every record with all that is known of it"),
    ),
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
EXPORT = Command(
    "builder export [OPTIONS] ID",
    "Write what is in a cache mount as a tar archive",
    (("output", "o", "string", "Write to a file instead of standard output"),),
    needs=1,
    most=1,
)
IMPORT = Command(
    "builder import ID [FILE|-]",
    "Let a tar archive, compressed or not, be what is in a cache mount",
    (),
    needs=1,
    most=2,
)
_ROW = "{:<24}{:<16}{:<12}{:<20}{}\n"


def usage(context: Context, arguments: list[str]) -> int:
    """``builder du``."""
    options, _ = USAGE.parse(arguments)
    asked = query(filters=filters(options.get("filter")))
    found: list[dict[str, Any]] = context.api.get("/wharfie/build/cache" + asked)
    if options.get("verbose"):
        for item in found:
            sys.stdout.write("".join(f"{name}:\t{value}\n" for name, value in _described(item)) + "\n")
    else:
        sys.stdout.write(_ROW.format("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION"))
        for item in found:
            size = format_size(item["Size"]) + ("*" if item["Shared"] else "")
            free = "false" if item["InUse"] else "true"
            text = ellipsis(item["Description"].replace("\n", " "), 60)
            sys.stdout.write(_ROW.format(item["ID"][:20], free, size, _used(item), text))
    if not options.get("filter"):
        total = sum(item["Size"] for item in found)
        free = sum(item["Size"] for item in found if not item["InUse"] and not item["Shared"])
        shared = sum(item["Size"] for item in found if item["Shared"])
        if shared:
            sys.stdout.write(f"Shared:\t\t{format_size(shared)}\nPrivate:\t{format_size(total - shared)}\n")
        sys.stdout.write(f"Reclaimable:\t{format_size(free)}\nTotal:\t\t{format_size(total)}\n")
    return 0


def _used(item: dict[str, Any]) -> str:
    return ago(parse_time(item["LastUsedAt"])) if item.get("LastUsedAt") else ""


def _described(item: dict[str, Any]) -> list[tuple[str, object]]:
    """A record as ``docker buildx du --verbose`` has it."""
    return [
        ("ID", f"\t{item['ID']}"),
        ("Created at", item["CreatedAt"].replace("T", " ").replace("Z", " +0000 UTC")),
        ("Mutable", f"\t{str(item['Type'] == 'exec.cachemount').lower()}"),
        ("Reclaimable", str(not item["InUse"]).lower()),
        ("Shared", f"\t{str(item['Shared']).lower()}"),
        ("Size", f"\t{format_size(item['Size'])}"),
        ("Description", item["Description"]),
        ("Usage count", item["UsageCount"]),
        ("Last used", _used(item)),
        ("Type", f"\t{item['Type']}"),
    ]


def prune(context: Context, arguments: list[str]) -> int:
    """``builder prune``."""
    options, _ = PRUNE.parse(arguments)
    what = "all build cache" if options.get("all") else "all dangling build cache"
    if not agreed(options, f"This will remove {what}."):
        return 0
    space = prune_cache(context, options, every=bool(options.get("all")))
    sys.stdout.write(f"Total reclaimed space: {format_size(space)}\n")
    return 0


def export(context: Context, arguments: list[str]) -> int:
    """``builder export``."""
    from wharfie.cli.export import fetch

    options, (name,) = EXPORT.parse(arguments)
    fetch(context, "/wharfie/build/mount" + query(id=name), options.get("output"), "cache mount")
    return 0


def import_mount(context: Context, arguments: list[str]) -> int:
    """``builder import``."""
    from wharfie.cli.pull import open_source, read_parts

    _, words = IMPORT.parse(arguments)
    source = open_source(words[1] if len(words) > 1 else "-")
    context.api.upload("PUT", "/wharfie/build/mount" + query(id=words[0]), read_parts(source)).read()
    sys.stdout.write(f"{words[0]}\n")
    return 0
