"""Image references as far as the command line has to understand them (the daemon parses them in earnest)."""

from __future__ import annotations

from wharfie.cli.errors import CommandError
from wharfie.client.references import split
from wharfie.errors import InvalidArgument

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_TAG = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ_")


class InvalidReference(InvalidArgument):
    """This names no image."""


def target(words: list[str]) -> tuple[str, str]:
    """Name and tag of the new image that the second word names, if there is one; raises CommandError."""
    if len(words) < 2:
        return "", ""
    try:
        validate(words[1])
    except InvalidReference as error:
        raise CommandError(str(error)) from None
    name, tag, _ = split(words[1])
    return name, tag


def validate(text: str) -> None:
    """Raises InvalidReference in Docker's words."""
    name, tag, digest = split(text)
    path = name
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        path = rest
    plain_tag = tag.replace(".", "").replace("-", "")
    bad_tag = text.endswith(":") or (tag and (tag[0] not in _TAG or not _TAG.issuperset(plain_tag)))
    if "@" in text and ":" not in digest:
        raise InvalidReference("invalid reference format")
    parts = path.lower().split("/")
    if bad_tag or len(tag) > 128 or not all(_component(part) for part in parts):
        raise InvalidReference("invalid reference format")
    if path != path.lower():
        shown = f"library/{path}" if "/" not in name else path
        raise InvalidReference(f"invalid reference format: repository name ({shown}) must be lowercase")


def _component(text: str) -> bool:
    return (
        bool(text)
        and text[0] in _LOWER
        and text[-1] in _LOWER
        and _LOWER.issuperset(text.replace(".", "").replace("-", "").replace("_", ""))
    )
