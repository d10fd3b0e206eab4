"""``push`` and ``search``."""

from __future__ import annotations

import sys

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.cli.pulling import follow, full_name
from wharfie.cli.references import validate
from wharfie.cli.table import ellipsis
from wharfie.cli.trust import check
from wharfie.client import credentials
from wharfie.client.api import query, quote
from wharfie.client.references import split

PUSH = Command(
    "push [OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    (
        ("all-tags", "a", "flag", "Push all tags of the repository"),
        ("disable-content-trust", "", "flag", ""),
        ("platform", "", "string", "Push this platform's image, which must be what the name stands for"),
        ("quiet", "q", "flag", "Do not show progress"),
    ),
    needs=1,
    most=1,
    aliases="image push, push",
)
SEARCH = Command(
    "search [OPTIONS] TERM",
    "Search Docker Hub, or the registry that the term begins with",
    (
        ("filter", "f", "filter", "Only those that match (name=value): is-official, is-automated, stars"),
        FORMAT,
        ("limit", "", "int", "At most so many results"),
        ("no-trunc", "", "flag", "Do not shorten"),
    ),
    needs=1,
    most=1,
)
_SEARCH_COLUMNS = [
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
]


def push(context: Context, arguments: list[str]) -> int:
    """``push``."""
    options, words = PUSH.parse(arguments)
    validate(words[0])
    check(options, "push", words[0])
    name, tag, digest = split(words[0])
    if digest:
        raise CommandError("cannot push a digest reference")
    every, quiet = options.get("all-tags", False), options.get("quiet", False)
    if every and tag:
        raise CommandError("tag can't be used with --all-tags/-a")
    if not every and not tag:
        tag = "latest"
        if not quiet:
            sys.stdout.write("Using default tag: latest\n")
            sys.stdout.flush()
    target = f"/images/{quote(name, '/:')}/push" + query(
        tag="" if every else tag, platform=options.get("platform")
    )
    # the daemon wants the header even from those who have nothing to say, as Docker's does
    headers = credentials.header(context.user, name) or {"X-Registry-Auth": "e30="}
    follow(context, "POST", target, fd=1, quiet=quiet, headers=headers)
    if quiet:
        sys.stdout.write(full_name(name if every else f"{name}:{tag}") + "\n")
    return 0


def search(context: Context, arguments: list[str]) -> int:
    """``search``."""
    options, words = SEARCH.parse(arguments)
    target = "/images/search" + query(
        term=words[0], limit=options.get("limit"), filters=filters(options.get("filter"))
    )
    found = context.api.call("GET", target, headers=credentials.header(context.user, words[0])) or []
    found.sort(key=lambda one: -one["star_count"])
    whole = options.get("no-trunc", False)
    rows = []
    for one in found:
        about = " ".join(str(one.get("description") or "").split())
        rows.append(
            {
                "Description": about if whole else ellipsis(about, 45),
                "IsAutomated": "[OK]" if one.get("is_automated") else "",
                "IsOfficial": "[OK]" if one.get("is_official") else "",
                "Name": one["name"],
                "StarCount": str(one["star_count"]),
            }
        )
    show(rows, _SEARCH_COLUMNS, options.get("format"))
    return 0
