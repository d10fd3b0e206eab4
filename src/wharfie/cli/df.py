"""``system df``."""

from __future__ import annotations

from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import FORMAT, show
from wharfie.cli.options import Command
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
    if options.get("verbose"):
        from wharfie.cli.dfverbose import show_all

        show_all(found, options.get("format"))
        return 0
    images, containers = found.get("Images") or [], found.get("Containers") or []
    volumes, cache = found.get("Volumes") or [], found.get("BuildCache") or []
    used = [image for image in images if image.get("Containers", 0) > 0]
    layers = found.get("LayersSize") or sum(image["Size"] for image in images)
    running = [one for one in containers if one["State"] in ("running", "paused", "restarting")]
    mounted = [one for one in volumes if (one.get("UsageData") or {}).get("RefCount", 0) > 0]
    # as in Docker: what an image shares with others counts as free, for they may be unused as well
    held = sum(one["Size"] - one["SharedSize"] for one in used if one.get("SharedSize", -1) >= 0)
    rows = [
        _row("Images", len(images), len(used), layers, layers - held),
        _row("Containers", len(containers), len(running), _sizes(containers),
             _sizes(containers) - _sizes(running)),
        _row("Local Volumes", len(volumes), len(mounted), _volume_sizes(volumes),
             _volume_sizes(volumes) - _volume_sizes(mounted)),
        _row("Build Cache", len(cache), len([one for one in cache if one["InUse"]]), _cache_sizes(cache),
             _cache_sizes([one for one in cache if not one["InUse"]]), share=False),
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


def _row(kind: str, total: int, active: int, size: int, free: int, *, share: bool = True) -> dict[str, Any]:
    """``share``: whether it is told how much of all is free."""
    free = max(free, 0)
    text = units.format_size(free, 4)
    if share and size > 0:
        text += f" ({free * 100 // size}%)"
    return {
        "Active": str(active),
        "Reclaimable": text,
        "Size": units.format_size(size, 4),
        "TotalCount": str(total),
        "Type": kind,
    }
