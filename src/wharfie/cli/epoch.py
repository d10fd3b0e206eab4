"""SOURCE_DATE_EPOCH: the time that nothing in a new image is later than (reproducible-builds.org)."""

from __future__ import annotations

from wharfie.cli.errors import CommandError
from wharfie.support.environment import variable


def source_date() -> str | None:
    """Seconds since 1970, or None where the variable is not set."""
    text = variable("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isdigit():
        raise CommandError(f"invalid SOURCE_DATE_EPOCH {text!r}: it is seconds since 1970")
    return text
