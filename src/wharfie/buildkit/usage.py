"""``buildx du`` and ``buildx prune``: records of the build cache, and which of them a filter means.

A filter is a list of conditions that all hold: ``type==regular,shared,description~=^RUN``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from wharfie.build.selecting import Record
from wharfie.buildkit.messages import control
from wharfie.buildkit.vertexes import stamp
from wharfie.errors import InvalidArgument

_CONDITION = re.compile(r"(!?)([a-z]+)(?:(==|=|~=|!=)(.*))?", re.DOTALL)


class Filter:
    """Which records are meant; any of ``texts`` will do."""

    def __init__(self, texts: Sequence[str], unused_for: int = 0) -> None:
        """``unused_for``: nanoseconds. Raises InvalidArgument."""
        self._before = time.time_ns() - unused_for if unused_for else 0
        self._any_of = [_conditions(text) for text in texts if text]

    @property
    def any(self) -> bool:
        """Whether something is left out at all."""
        return bool(self._before or self._any_of)

    def matches(self, record: Record) -> bool:
        """Whether a record is meant."""
        if self._before and record.used >= self._before:
            return False
        if not self._any_of:
            return True
        fields = _fields(record)
        return any(all(_holds(fields, *one) for one in conditions) for conditions in self._any_of)


_Condition = tuple[str, str, str]


def _conditions(text: str) -> list[_Condition]:
    found = []
    for part in text.split(","):
        matched = _CONDITION.fullmatch(part.strip())
        if matched is None:
            raise InvalidArgument(f"failed to parse prune filters [{text}]")
        negated, name, operator, value = matched.groups()
        if operator == "~=":
            try:
                re.compile(value)
            except re.error as error:
                raise InvalidArgument(f"failed to parse prune filters [{text}]: {error}") from None
        found.append((name, "!" if negated else operator or "", value or ""))
    return found


def _fields(record: Record) -> dict[str, str]:
    flags = {
        "inuse": record.in_use,
        "mutable": record.mutable,
        "immutable": not record.mutable,
        "shared": record.shared,
        "private": not record.shared,
    }
    return {
        "id": record.id,
        "type": record.type,
        "description": record.description,
        "parents": "",
        **{name: "true" if value else "" for name, value in flags.items()},
    }


def _holds(fields: dict[str, str], name: str, operator: str, value: str) -> bool:
    found = fields.get(name, "")
    if operator == "~=":
        return re.search(value, found) is not None
    if operator == "!=":
        return found != value
    if operator in ("==", "="):
        return found == value or (value == "false" and not found)
    return bool(found) != (operator == "!")


def message_of(record: Record) -> Any:
    """A record as clients read it."""
    return control.UsageRecord(
        id=record.id,
        mutable=record.mutable,
        in_use=record.in_use,
        size=record.size,
        created=stamp(record.created),
        used=stamp(record.used),
        uses=record.uses,
        description=record.description,
        type=record.type,
        shared=record.shared,
    )
