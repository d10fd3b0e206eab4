"""``images``, ``rmi``, ``tag`` and ``history``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.cli.listing import FORMAT, filters, show
from wharfie.cli.options import Command
from wharfie.cli.ps import local_time
from wharfie.cli.references import InvalidReference, validate
from wharfie.cli.table import ellipsis
from wharfie.client.api import query, quote
from wharfie.client.errors import ApiError
from wharfie.client.references import split
from wharfie.support import units

_WHOLE = ("no-trunc", "", "flag", "Do not shorten")
IMAGES = Command(
    "images [OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    (
        ("all", "a", "flag", "List those without a name that others are built on, too"),
        ("digests", "", "flag", "Show digests"),
        ("filter", "f", "filter", "Only those that match: before, dangling, label, reference, since, until"),
        FORMAT,
        _WHOLE,
        ("quiet", "q", "flag", "Print ids only"),
        ("tree", "", "flag", "Show each image once, with all of its names"),
    ),
    most=1,
    aliases="image ls, image list, images",
)
REMOVE = Command(
    "rmi [OPTIONS] IMAGE [IMAGE...]",
    "Remove images",
    (
        ("force", "f", "flag", "Remove names and images that are in use, too"),
        ("no-prune", "", "flag", "Keep parents without a name"),
        ("platform", "", "list", "Only if the image is for this platform (os[/arch[/variant]])"),
    ),
    needs=1,
    aliases="image rm, image remove, rmi",
)
TAG = Command(
    "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Give an image another name",
    needs=2,
    most=2,
    aliases="image tag, tag",
)
HISTORY = Command(
    "history [OPTIONS] IMAGE",
    "Show the layers of an image",
    (
        FORMAT,
        ("human", "H", "flag", "Sizes and dates for people (default true)"),
        _WHOLE,
        ("platform", "", "string", "Only if the image is for this platform (os[/arch[/variant]])"),
        ("quiet", "q", "flag", "Print ids only"),
    ),
    needs=1,
    most=1,
    aliases="image history, history",
)
_COLUMNS = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
]
_HISTORY_COLUMNS = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
]


def image_path(name: str) -> str:
    """An image's name inside a path of the API."""
    return quote(name, "/:@")


def images(context: Context, arguments: list[str]) -> int:
    """``images``."""
    options, words = IMAGES.parse(arguments)
    chosen = filters(options.get("filter")) or {}
    if words:
        chosen.setdefault("reference", {})[words[0]] = True
    if options.get("tree"):
        from wharfie.cli import imagetree

        imagetree.check(options)
    found = context.api.get("/images/json" + query(all=options.get("all"), filters=chosen or None))
    if options.get("tree"):
        imagetree.show(context, found)
        return 0
    whole, digests = options.get("no-trunc", False), options.get("digests", False)
    form = options.get("format") or context.settings.get("imagesFormat")
    shown = digests or "{{.Digest}}" in (form or "")
    rows = [row for one in found for row in image_rows(one, whole=whole, digests=shown)]
    if options.get("quiet"):
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    columns = list(_COLUMNS)
    if digests:
        columns.insert(2, ("Digest", "DIGEST"))
    show(rows, columns, form)
    return 0


def image_rows(one: dict[str, Any], *, whole: bool, digests: bool) -> list[dict[str, Any]]:
    """One row per name of an image, and with ``digests`` per digest of that name."""
    identifier = one["Id"] if whole else one["Id"].removeprefix("sha256:")[:12]
    return [
        {
            "Containers": str(one.get("Containers", -1)) if one.get("Containers", -1) >= 0 else "N/A",
            "CreatedAt": local_time(one["Created"]),
            "CreatedSince": units.ago(one["Created"] * units.SECOND) if one["Created"] > 0 else "N/A",
            "Digest": digest,
            "ID": identifier,
            "Repository": name,
            "SharedSize": "N/A",
            "Size": units.format_size(one["Size"]),
            "Tag": tag,
            "UniqueSize": "N/A",
            "VirtualSize": units.format_size(one.get("VirtualSize") or one["Size"]),
        }
        for name, tag, digest in _names(one, digests=digests)
    ]


def _names(one: dict[str, Any], *, digests: bool) -> Iterator[tuple[str, str, str]]:
    """Repository, tag and digest of each row; a digest has a row of its own only where no tag is."""
    by_name: dict[str, list[str]] = {}
    for text in one.get("RepoDigests") or []:
        name, _, digest = text.rpartition("@")
        if name != "<none>":
            by_name.setdefault(name, []).append(digest)
    tags = [split(name)[:2] for name in one.get("RepoTags") or [] if name != "<none>:<none>"]
    if not tags and not by_name:
        yield "<none>", "<none>", "<none>"
    for name, tag in tags:
        for digest in (digests and by_name.get(name)) or ["<none>"]:
            yield name, tag, digest
    tagged = {name for name, _ in tags}
    for name, found in by_name.items():
        if name not in tagged:
            for digest in found if digests else [""]:
                yield name, "<none>", digest


def remove(context: Context, arguments: list[str]) -> int:
    """``rmi``."""
    options, words = REMOVE.parse(arguments)
    force = options.get("force", False)
    platforms = [one for text in options.get("platform", []) for one in text.split(",")]
    asked = query(force=force, noprune=options.get("no-prune"), platforms=platforms)
    code = 0
    for word in words:
        try:
            done = context.api.call("DELETE", f"/images/{image_path(word)}{asked}")
        except ApiError as error:
            warn(str(error))
            if not (force and error.status == 404):
                code = 1
            continue
        for item in done or []:
            sys.stdout.write("".join(f"{what}: {name}\n" for what, name in item.items()))
        sys.stdout.flush()
    return code


def tag(context: Context, arguments: list[str]) -> int:
    """``tag``."""
    _, (source, target) = TAG.parse(arguments)
    try:
        validate(target)
    except InvalidReference as error:
        raise CommandError(
            f'Error parsing reference: "{target}" is not a valid repository/tag: {error}'
        ) from None
    name, version, _ = split(target)
    context.api.post(f"/images/{image_path(source)}/tag" + query(repo=name, tag=version or "latest"))
    return 0


def history(context: Context, arguments: list[str]) -> int:
    """``history``."""
    options, words = HISTORY.parse(arguments)
    whole, human = options.get("no-trunc", False), options.get("human", True)
    asked = query(platform=options.get("platform"))
    found = context.api.get(f"/images/{image_path(words[0])}/history{asked}")
    rows = []
    for one in found:
        identifier = (
            one["Id"] if whole or one["Id"] == "<missing>" else one["Id"].removeprefix("sha256:")[:12]
        )
        by = one["CreatedBy"].replace("\t", " ")
        created = one["Created"] * units.SECOND
        rows.append(
            {
                "Comment": one.get("Comment", ""),
                "CreatedAt": units.format_time(created),
                "CreatedBy": by if whole else ellipsis(by, 45),
                "CreatedSince": units.ago(created) if human else units.format_time(created),
                "ID": identifier,
                "Size": units.format_size(one["Size"]) if human else str(one["Size"]),
            }
        )
    if options.get("quiet"):
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    columns = [
        (field, heading if human or field != "CreatedSince" else "CREATED AT")
        for field, heading in _HISTORY_COLUMNS
    ]
    show(rows, columns, options.get("format"))
    return 0
