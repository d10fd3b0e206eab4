"""``system check`` and ``image squash``: what Docker has no command for."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context, say
from wharfie.cli.epoch import source_date
from wharfie.cli.images import image_path
from wharfie.cli.options import Command
from wharfie.cli.references import target
from wharfie.cli.table import table
from wharfie.client.api import query
from wharfie.support.units import format_size

CHECK = Command(
    "system check [OPTIONS]",
    "Read all that the image store holds and tell what is damaged, or mend it",
    (
        ("quiet", "q", "flag", "Print problems only"),
        ("repair", "", "flag", "Mend what can be mended, and remove what cannot"),
    ),
    most=0,
)
SQUASH = Command(
    "image squash [OPTIONS] IMAGE [REPOSITORY[:TAG]]",
    "Make an image of one layer with the same files",
    (("message", "m", "string", "Message for the image's history"),),
    needs=1,
    most=2,
)


def check(context: Context, arguments: list[str]) -> int:
    """``system check``; the exit code is 1 while something is damaged."""
    options, _ = CHECK.parse(arguments)
    found = context.api.post("/wharfie/system/check" + query(repair=options.get("repair")))
    problems = found["Problems"]
    if not options.get("quiet"):
        sys.stdout.write(
            f"Checked {found['Images']} images, {found['Layers']} layers and {found['Blobs']} blobs: "
            f"{format_size(found['Bytes'])}\n"
        )
        if found["Busy"]:
            sys.stdout.write("Images are being made at this moment: left-over files were not looked for\n")
        if not problems:
            sys.stdout.write("No problems found\n")
    if problems:
        rows = [["PROBLEM", "WHAT", "DONE" if options.get("repair") else "TO BE DONE"]]
        rows += [[one["Kind"], one["What"], one["Action"]] for one in problems]
        sys.stdout.write(table(rows))
    return 0 if all(one["Repaired"] for one in problems) else 1


def squash(context: Context, arguments: list[str]) -> int:
    """``image squash``."""
    options, words = SQUASH.parse(arguments)
    name, tag = target(words)
    asked = query(repo=name, tag=tag, comment=options.get("message"), epoch=source_date())
    say(context.api.post(f"/images/{image_path(words[0])}/squash{asked}", {})["Id"])
    return 0
