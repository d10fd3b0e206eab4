"""``system df``."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import FORMAT, show
from wharfie.cli.options import Command
from wharfie.cli.table import table
from wharfie.client.references import split
from wharfie.support import units

DF = Command(
    "system df [OPTIONS]",
    "Show what takes up disk space",
    (FORMAT, ("verbose", "v", "flag", "List every single thing")),
    most=0,
)
_COLUMNS = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
]


def df(context: Context, arguments: list[str]) -> int:
    """Print sums, or with -v every image, container and volume."""
    options, _ = DF.parse(arguments)
    found = context.api.get("/system/df")
    if options.get("verbose") and not options.get("format"):
        _verbose(found)
        return 0
    images, containers = found.get("Images") or [], found.get("Containers") or []
    volumes, cache = found.get("Volumes") or [], found.get("BuildCache") or []
    used = [image for image in images if image.get("Containers", 0) > 0]
    layers = found.get("LayersSize") or sum(image["Size"] for image in images)
    running = [one for one in containers if one["State"] in ("running", "paused", "restarting")]
    mounted = [one for one in volumes if (one.get("UsageData") or {}).get("RefCount", 0) > 0]
    rows = [
        _row("Images", len(images), len(used), layers, layers - sum(image["Size"] for image in used)),
        _row("Containers", len(containers), len(running), _sizes(containers),
             _sizes(containers) - _sizes(running)),
        _row("Local Volumes", len(volumes), len(mounted), _volume_sizes(volumes),
             _volume_sizes(volumes) - _volume_sizes(mounted)),
        _row("Build Cache", len(cache), len([one for one in cache if one["InUse"]]), _cache_sizes(cache),
             _cache_sizes([one for one in cache if not one["InUse"]])),
    ]  # fmt: skip
    show(rows, _COLUMNS, options.get("format"))
    return 0


def _cache_sizes(records: list[dict[str, Any]]) -> int:
    """What images have too takes no room of the cache's."""
    return sum(one["Size"] for one in records if not one["Shared"])


def _sizes(containers: list[dict[str, Any]]) -> int:
    return sum(one.get("SizeRw", 0) for one in containers)


def _volume_sizes(volumes: list[dict[str, Any]]) -> int:
    return sum(max((one.get("UsageData") or {}).get("Size", 0), 0) for one in volumes)


def _row(kind: str, total: int, active: int, size: int, free: int) -> dict[str, Any]:
    free = max(free, 0)
    text = units.format_size(free, 4)
    if size > 0:
        text += f" ({free * 100 // size}%)"
    return {
        "Active": str(active),
        "Reclaimable": text,
        "Size": units.format_size(size, 4),
        "TotalCount": str(total),
        "Type": kind,
    }


def _verbose(found: dict[str, Any]) -> None:
    images = [["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "CONTAINERS"]]
    for one in found.get("Images") or []:
        name, tag, _ = split((one.get("RepoTags") or ["<none>:<none>"])[0])
        images.append(
            [
                name,
                tag,
                one["Id"].removeprefix("sha256:")[:12],
                units.ago(one["Created"] * units.SECOND),
                units.format_size(one["Size"]),
                str(max(one.get("Containers", 0), 0)),
            ]
        )
    containers = [["CONTAINER ID", "IMAGE", "SIZE", "CREATED", "STATUS", "NAMES"]]
    containers += [
        [
            one["Id"][:12],
            one["Image"],
            units.format_size(one.get("SizeRw", 0)),
            units.ago(one["Created"] * units.SECOND),
            one["Status"],
            ",".join(name.removeprefix("/") for name in one["Names"]),
        ]
        for one in found.get("Containers") or []
    ]
    volumes = [["VOLUME NAME", "LINKS", "SIZE"]]
    for one in found.get("Volumes") or []:
        usage = one.get("UsageData") or {}
        volumes.append(
            [one["Name"], str(usage.get("RefCount", 0)), units.format_size(max(usage.get("Size", 0), 0))]
        )
    for heading, rows in (
        ("Images space usage:", images),
        ("Containers space usage:", containers),
        ("Local Volumes space usage:", volumes),
    ):
        sys.stdout.write(f"{heading}\n\n{table(rows)}\n")
