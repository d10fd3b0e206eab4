"""``ps``."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.cli.table import ellipsis, quoted
from wharfie.client.api import query
from wharfie.support import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PS = Command(
    "ps [OPTIONS]",
    "List containers",
    (
        ("all", "a", "flag", "List stopped ones too"),
        (
            "filter",
            "f",
            "filter",
            "Only those that match: ancestor, before, exited, expose, health, id, label, name, network, "
            "publish, since, status, volume",
        ),
        FORMAT,
        ("last", "n", "int", "The n newest, whatever their state"),
        ("latest", "l", "flag", "The newest, whatever its state"),
        ("no-trunc", "", "flag", "Do not shorten"),
        ("quiet", "q", "flag", "Print ids only"),
        ("size", "s", "flag", "Show sizes"),
    ),
    most=0,
    aliases="container ls, container list, container ps, ps",
)
COLUMNS = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
]


def ps(context: Context, arguments: list[str]) -> int:
    """Print the list."""
    options, _ = PS.parse(arguments)
    form = options.get("format") or (None if options.get("quiet") else context.settings.get("psFormat"))
    newest = 1 if options.get("latest") else options.get("last", -1)
    sizes = options.get("size", False) or (form is not None and ".Size" in form)
    found = context.api.get(
        "/containers/json"
        + query(
            all=options.get("all"),
            limit=newest if newest > 0 else None,
            size=sizes,
            filters=filters(options.get("filter")),
        )
    )
    whole = options.get("no-trunc", False)
    if options.get("quiet"):
        sys.stdout.write("".join((one["Id"] if whole else one["Id"][:12]) + "\n" for one in found))
        return 0
    columns = [*COLUMNS, ("Size", "SIZE")] if options.get("size") else COLUMNS
    show([row(one, whole=whole) for one in found], columns, form)
    return 0


def row(one: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """A container's fields as templates name them."""
    labels = one.get("Labels") or {}
    mounts = [mount.get("Name") or mount.get("Source", "") for mount in one.get("Mounts") or []]
    networks = (one.get("NetworkSettings") or {}).get("Networks") or {}
    names = [name.removeprefix("/") for name in one.get("Names") or []]
    size = units.format_size(one.get("SizeRw", 0))
    if one.get("SizeRootFs"):
        size += f" (virtual {units.format_size(one['SizeRootFs'])})"
    moment = one["Created"] * units.SECOND
    image = one["Image"] or "<no image>"
    return {
        "Command": quoted(one["Command"] if whole else ellipsis(one["Command"], 20)),
        "CreatedAt": local_time(one["Created"]),
        "ID": one["Id"] if whole else one["Id"][:12],
        "Image": image if whole else image_name(image),
        "Label": lambda name: labels.get(name, ""),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in one.get("Mounts") or [])),
        "Mounts": ",".join(mount if whole else ellipsis(mount, 15) for mount in mounts),
        "Names": ",".join(names if whole else [name for name in names if "/" not in name]),
        "Networks": ",".join(sorted(networks)),
        "Platform": None,
        "Ports": ports(one.get("Ports") or []),
        "RunningFor": units.ago(moment),
        "Size": size,
        "State": one["State"],
        "Status": one["Status"],
    }


def image_name(name: str) -> str:
    """The image's name; an id is shortened."""
    digest = name.removeprefix("sha256:")
    return digest[:12] if len(digest) == 64 and not digest.strip("0123456789abcdef") else name


def local_time(seconds: int) -> str:
    """``2024-01-31 12:00:00 +0100 CET``."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def ports(found: list[dict[str, Any]]) -> str:
    """``0.0.0.0:80-89->80-89/tcp, 90/udp``: those that have the same number outside are put together."""
    ended: list[str] = []
    ranges: dict[tuple[str, str], tuple[int, int]] = {}
    others: list[str] = []
    for port in sorted(
        found,
        key=lambda port: (port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]),
    ):
        inside, outside, address = port["PrivatePort"], port.get("PublicPort", 0), port.get("IP", "")
        if address and outside != inside:
            others.append(f"{_place(address, outside)}->{inside}/{port['Type']}")
            continue
        kind = address, port["Type"]
        low, high = ranges.get(kind, (inside, inside - 1))
        if inside != high + 1:
            ended.append(_range(kind, low, high))
            low = inside
        ranges[kind] = low, inside
    return ", ".join([*ended, *(_range(kind, *ends) for kind, ends in ranges.items()), *others])


def _range(kind: tuple[str, str], low: int, high: int) -> str:
    address, protocol = kind
    text = str(low) if low == high else f"{low}-{high}"
    return f"{_place(address, text)}->{text}/{protocol}" if address else f"{text}/{protocol}"


def _place(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
