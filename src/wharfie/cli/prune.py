"""The ``prune`` commands: remove what nothing uses, after asking."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import filters
from wharfie.cli.options import Command
from wharfie.client.api import query
from wharfie.support.units import format_size

_FILTER = ("filter", "", "filter", "Only what matches: label, label!, until (volumes: label, label!)")
_FORCE = ("force", "f", "flag", "Do not ask")
CONTAINERS = Command("container prune [OPTIONS]", "Remove all stopped containers", (_FILTER, _FORCE), most=0)
IMAGES = Command(
    "image prune [OPTIONS]",
    "Remove images that nothing uses",
    (("all", "a", "flag", "Those with a name too, not only dangling ones"), _FILTER, _FORCE),
    most=0,
)
VOLUMES = Command(
    "volume prune [OPTIONS]",
    "Remove volumes that nothing uses",
    (("all", "a", "flag", "Named ones too, not only anonymous ones"), _FILTER, _FORCE),
    most=0,
)
NETWORKS = Command("network prune [OPTIONS]", "Remove networks that nothing uses", (_FILTER, _FORCE), most=0)
SYSTEM = Command(
    "system prune [OPTIONS]",
    "Remove everything that nothing uses",
    (
        ("all", "a", "flag", "All images without a container, not only dangling ones"),
        _FILTER,
        _FORCE,
        ("volumes", "", "flag", "Anonymous volumes too"),
    ),
    most=0,
)


def agreed(options: dict[str, Any], warning: str) -> bool:
    """Whether the user wants it."""
    if options.get("force"):
        return True
    sys.stdout.write(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _filters(context: Context, options: dict[str, Any]) -> dict[str, dict[str, bool]]:
    """Those given, and ``pruneFilters`` of the settings but for labels that are wanted here."""
    chosen = filters(options.get("filter")) or {}
    kept = context.settings.get("pruneFilters")
    for text in kept if isinstance(kept, list) else []:
        name, _, value = str(text).partition("=")
        opposite = {"label": "label!", "label!": "label"}.get(name, "")
        if value not in chosen.get(opposite, {}):
            chosen.setdefault(name, {})[value] = True
    return chosen


def _chosen(context: Context, options: dict[str, Any], extra: dict[str, str] | None = None) -> str:
    chosen = _filters(context, options)
    for name, value in (extra or {}).items():
        chosen.setdefault(name, {})[value] = True
    return query(filters=chosen or None)


def _prune_containers(context: Context, options: dict[str, Any]) -> int:
    done = context.api.post("/containers/prune" + _chosen(context, options))
    _report("Deleted Containers:", done.get("ContainersDeleted") or [])
    return int(done.get("SpaceReclaimed", 0))


def _prune_images(context: Context, options: dict[str, Any]) -> int:
    dangling = "false" if options.get("all") else "true"
    done = context.api.post("/images/prune" + _chosen(context, options, {"dangling": dangling}))
    names = [
        f"{what.lower()}: {name}" for item in done.get("ImagesDeleted") or [] for what, name in item.items()
    ]
    _report("Deleted Images:", names)
    return int(done.get("SpaceReclaimed", 0))


def _prune_volumes(context: Context, options: dict[str, Any], *, every: bool) -> int:
    done = context.api.post("/volumes/prune" + _chosen(context, options, {"all": "true"} if every else None))
    _report("Deleted Volumes:", done.get("VolumesDeleted") or [])
    return int(done.get("SpaceReclaimed", 0))


def _prune_networks(context: Context, options: dict[str, Any]) -> None:
    done = context.api.post("/networks/prune" + _chosen(context, options))
    _report("Deleted Networks:", done.get("NetworksDeleted") or [])


def prune_cache(context: Context, options: dict[str, Any], *, every: bool) -> int:
    """Remove build cache; the bytes that came of it."""
    asked = {"all": every, "filters": _filters(context, options) or None}
    keep = options.get("keep-storage")
    done = context.api.post("/build/prune" + query(**asked, **({"keep-storage": keep} if keep else {})))
    _report("Deleted build cache objects:", done.get("CachesDeleted") or [])
    return int(done.get("SpaceReclaimed", 0))


def _report(heading: str, names: list[str]) -> None:
    if names:
        sys.stdout.write("\n".join([heading, *names]) + "\n\n")


def _total(space: int) -> int:
    sys.stdout.write(f"Total reclaimed space: {format_size(space)}\n")
    return 0


def containers(context: Context, arguments: list[str]) -> int:
    """``container prune``."""
    options, _ = CONTAINERS.parse(arguments)
    if not agreed(options, "This will remove all stopped containers."):
        return 0
    return _total(_prune_containers(context, options))


def images(context: Context, arguments: list[str]) -> int:
    """``image prune``."""
    options, _ = IMAGES.parse(arguments)
    what = (
        "images without at least one container associated to them"
        if options.get("all")
        else "dangling images"
    )
    if not agreed(options, f"This will remove all {what}."):
        return 0
    return _total(_prune_images(context, options))


def volumes(context: Context, arguments: list[str]) -> int:
    """``volume prune``."""
    options, _ = VOLUMES.parse(arguments)
    every = options.get("all", False)
    what = "all local volumes" if every else "anonymous local volumes"
    if not agreed(options, f"This will remove {what} not used by at least one container."):
        return 0
    return _total(_prune_volumes(context, options, every=every))


def networks(context: Context, arguments: list[str]) -> int:
    """``network prune``."""
    options, _ = NETWORKS.parse(arguments)
    if agreed(options, "This will remove all custom networks not used by at least one container."):
        _prune_networks(context, options)
    return 0


def system(context: Context, arguments: list[str]) -> int:
    """``system prune``."""
    options, _ = SYSTEM.parse(arguments)
    volumes = options.get("volumes")
    if volumes and "until" in (filters(options.get("filter")) or {}):
        raise CommandError('ERROR: The "until" filter is not supported with "--volumes"')
    lines = ["This will remove:", "  - all stopped containers"]
    lines.append("  - all networks not used by at least one container")
    if volumes:
        lines.append("  - all anonymous volumes not used by at least one container")
    every = "images without at least one container associated to them"
    lines.append(f"  - all {every if options.get('all') else 'dangling images'}")
    lines.append(f"  - {'all' if options.get('all') else 'unused'} build cache\n")
    if not agreed(options, "\n".join(lines)):
        return 0
    space = _prune_containers(context, options)
    _prune_networks(context, options)
    if volumes:
        space += _prune_volumes(context, options, every=False)
    space += _prune_images(context, options)
    return _total(space + prune_cache(context, options, every=bool(options.get("all"))))
