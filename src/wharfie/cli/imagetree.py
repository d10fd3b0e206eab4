"""``images --tree``: each image once, with all its names, what it takes, and whether a container uses it."""

from __future__ import annotations

import sys
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.support import units

_HEAD = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
_LEGEND = "Info ->  U In Use"
_WARNING = "WARNING: This is an experimental feature. The output may change and shouldn't be depended on."
_APART = ("quiet", "no-trunc", "digests", "format")


def check(options: dict[str, Any]) -> None:
    """Raises CommandError for what does not go together with a tree, as Docker's command line has it."""
    for name in _APART:
        if options.get(name):
            raise CommandError(f"--{name} is not yet supported with --tree")


def show(context: Context, found: list[dict[str, Any]]) -> None:
    """Print the tree of ``GET /images/json``'s answer."""
    containers = context.api.get("/containers/json?all=1") or []
    used = {container["ImageID"] for container in containers}
    rows: list[tuple[str, ...]] = []
    for one in found:
        names = [name for name in one.get("RepoTags") or [] if name != "<none>:<none>"] or ["<untagged>"]
        rows += [(name,) for name in names[:-1]]
        content = sum(part["Size"]["Content"] for part in one.get("Manifests") or [])
        rows.append(
            (
                names[-1],
                one["Id"].removeprefix("sha256:")[:12],
                units.format_size(one["Size"]),
                units.format_size(content),
                "U" if one["Id"] in used else "",
            )
        )
    widths = [max(len(row[at]) for row in [_HEAD, *rows] if at < len(row)) for at in range(len(_HEAD))]
    width = sum(widths) + 3 * (len(widths) - 1)
    lines = [_WARNING, _LEGEND.rjust(width), "", _line(_HEAD, widths), *(_line(row, widths) for row in rows)]
    sys.stdout.write("\n".join(lines) + "\n")


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = []
    for at, cell in enumerate(row):
        numbers = at in (2, 3) and row is not _HEAD
        cells.append(cell.rjust(widths[at]) if numbers else cell.ljust(widths[at]))
    return "   ".join(cells).rstrip()
