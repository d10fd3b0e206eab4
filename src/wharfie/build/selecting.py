"""Records of the build cache, and which of them a filter of ``builder du`` or ``builder prune`` means."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wharfie.errors import InvalidArgument
from wharfie.support.units import parse_duration

REGULAR, MOUNT = "regular", "exec.cachemount"
"""What the cache holds, in the words of Docker's ``builder du``: steps, and cache mounts."""
_TRUE, _FALSE = ("", "1", "true"), ("0", "false")
_SWITCHES = ("inuse", "mutable", "immutable", "shared", "private")
_TEXTS = ("id", "type", "description", "parent", "parents")
_TIMES = ("until", "unused-for")
_BESIDE = ("keep-storage",)


@dataclass(frozen=True, slots=True)
class Record:
    """One step that was done, or one cache mount; times in nanoseconds."""

    id: str
    type: str
    description: str
    size: int
    created: int
    used: int
    uses: int
    in_use: bool = False
    shared: bool = False

    @property
    def mutable(self) -> bool:
        """Whether steps write to it."""
        return self.type == MOUNT


class Chosen(Protocol):
    """Which records somebody means, however it was said."""

    @property
    def any(self) -> bool:
        """Whether something is left out at all."""

    def matches(self, record: Record) -> bool:
        """Whether a record is meant."""


class Selection:
    """What all filters together mean."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        """Raises InvalidArgument for one that there is not."""
        self._until = 0
        self._texts: dict[str, Sequence[str]] = {}
        self._switches: dict[str, bool] = {}
        for name, values in filters.items():
            if name in _TIMES:
                self._until = _before(name, values)
            elif name in _TEXTS:
                self._texts[name] = values
            elif name in _SWITCHES:
                self._switches[name] = _switch(name, values)
            elif name not in _BESIDE:
                raise InvalidArgument(f"invalid filter '{name}'")

    @property
    def any(self) -> bool:
        """Whether something is left out at all."""
        return bool(self._until or self._texts or self._switches)

    def matches(self, record: Record) -> bool:
        """Whether a record is meant."""
        if self._until and record.used >= self._until:
            return False
        found = {
            "inuse": record.in_use,
            "mutable": record.mutable,
            "immutable": not record.mutable,
            "shared": record.shared,
            "private": not record.shared,
        }
        if any(found[name] != wanted for name, wanted in self._switches.items()):
            return False
        return all(self._says(record, name, values) for name, values in self._texts.items())

    @staticmethod
    def _says(record: Record, name: str, values: Sequence[str]) -> bool:
        if name == "id":
            return any(record.id.startswith(value) for value in values)
        if name == "type":
            return record.type in values
        # no record of ours has a parent: a key is made of the content below
        return name == "description" and record.description in values


def _before(name: str, values: Sequence[str]) -> int:
    for text in values:
        try:
            return time.time_ns() - parse_duration(text)
        except ValueError as error:
            raise InvalidArgument(f"invalid filter '{name}={text}': {error}") from None
    return 0


def _switch(name: str, values: Sequence[str]) -> bool:
    if len(values) > 1 or any(value.lower() not in _TRUE + _FALSE for value in values):
        raise InvalidArgument(f"invalid filter '{name}={','.join(values)}': it is true or false")
    return not values or values[0].lower() in _TRUE
