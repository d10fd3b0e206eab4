"""``system df -v``: every image, container, volume and record of the build cache."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.errors import CommandError
from wharfie.cli.format.syntax import TemplateError
from wharfie.cli.format.template import Template
from wharfie.cli.images import image_rows
from wharfie.cli.listing import show, unescaped
from wharfie.cli.ps import row as container_row
from wharfie.cli.volume import row as volume_row
from wharfie.support import units

_IMAGES = [
    ("Repository", "REPOSITORY"), ("Tag", "TAG"), ("ID", "IMAGE ID"), ("CreatedSince", "CREATED"),
    ("Size", "SIZE"), ("SharedSize", "SHARED SIZE"), ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
]  # fmt: skip
_CONTAINERS = [
    ("ID", "CONTAINER ID"), ("Image", "IMAGE"), ("Command", "COMMAND"), ("LocalVolumes", "LOCAL VOLUMES"),
    ("Size", "SIZE"), ("RunningFor", "CREATED"), ("Status", "STATUS"), ("Names", "NAMES"),
]  # fmt: skip
_VOLUMES = [("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")]
_CACHE = [
    ("ID", "CACHE ID"), ("CacheType", "CACHE TYPE"), ("Size", "SIZE"), ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"), ("UsageCount", "USAGE"), ("Shared", "SHARED"),
]  # fmt: skip


def show_all(found: dict[str, Any], form: str | None) -> None:
    """Print what ``/system/df`` answered: as tables, as JSON, or by the user's template."""
    whole = bool(form)
    cache = found.get("BuildCache") or []
    every = {
        "Images": [row for one in found.get("Images") or [] for row in _image_rows(one, whole=whole)[:1]],
        "Containers": [_container_row(one, whole=whole) for one in found.get("Containers") or []],
        "Volumes": [_volume_row(one) for one in found.get("Volumes") or []],
        "BuildCache": [_cache_row(one, whole=whole) for one in sorted(cache, key=_last_used)],
    }
    if form == "json":
        form = "{{json .}}"
    if form and form != "table":
        try:
            sys.stdout.write(Template(unescaped(form)).render(every))
        except TemplateError as error:
            text = str(error).partition("error: ")[2]
            raise CommandError(f"failed to parse template: {text}") from None
        return
    size = sum(one["Size"] for one in cache if not one["Shared"])
    parts = (
        ("Images space usage:", _IMAGES, "Images"),
        ("Containers space usage:", _CONTAINERS, "Containers"),
        ("Local Volumes space usage:", _VOLUMES, "Volumes"),
        (f"Build cache usage: {units.format_size(size, 4)}", _CACHE, "BuildCache"),
    )
    for number, (heading, columns, kind) in enumerate(parts):
        sys.stdout.write(("\n" if number else "") + f"{heading}\n\n")
        show(every[kind], columns, None)


def _image_rows(one: dict[str, Any], *, whole: bool) -> list[dict[str, Any]]:
    shared = max(one.get("SharedSize", -1), 0)
    sizes = {
        "Containers": str(max(one.get("Containers", 0), 0)),
        "Digest": "",
        "SharedSize": units.format_size(shared, 4),
        "UniqueSize": units.format_size(one["Size"] - shared, 4),
    }
    return [row | sizes for row in image_rows(one, whole=whole, digests=False)]


def _container_row(one: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    row = container_row(one, whole=whole)
    del row["Label"]
    # the image below a container takes room once, and not here
    return row | {"Size": units.format_size(one.get("SizeRw", 0))}


def _volume_row(one: dict[str, Any]) -> dict[str, Any]:
    usage = one.get("UsageData") or {}
    row = volume_row(one)
    del row["Label"]
    links, size = usage.get("RefCount", 0), max(usage.get("Size", 0), 0)
    return row | {"Links": str(links), "Size": units.format_size(size)}


def _cache_row(one: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    made, used = one["CreatedAt"], one.get("LastUsedAt") or ""
    return {
        "CacheType": one["Type"],
        "CreatedAt": _shown(made),
        "CreatedSince": units.ago(units.parse_time(made)),
        "Description": one["Description"],
        "ID": one["ID"] if whole else one["ID"][:12],
        "InUse": str(one["InUse"]).lower(),
        "LastUsedAt": _shown(used),
        "LastUsedSince": units.ago(units.parse_time(used)) if used else "",
        "Parent": one.get("Parent", ""),
        "Shared": str(one["Shared"]).lower(),
        "Size": units.format_size(one["Size"]),
        "UsageCount": str(one["UsageCount"]),
    }


def _last_used(one: dict[str, Any]) -> tuple[int, str]:
    used = one.get("LastUsedAt")
    return (units.parse_time(used) if used else 0, one["ID"])


def _shown(moment: str) -> str:
    return moment.replace("T", " ").replace("Z", " +0000 UTC")
