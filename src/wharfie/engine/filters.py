"""Filters of ``ps``, ``container prune`` and ``events``: Docker's names, each a predicate.

Values of one filter are alternatives, different filters must all hold; labels alone must all hold.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

from wharfie.engine.container import Container, State
from wharfie.errors import InvalidArgument
from wharfie.support.units import timestamp
from wharfie.wire.events import Event

Given = Mapping[str, Sequence[str]]
Chooses = Callable[[Container], bool]

LISTED = frozenset(
    (
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    )
)
PRUNED = frozenset(("label", "label!", "until"))
_ACTORS = (
    "config",
    "container",
    "daemon",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
)
"""Filters of events by whom they are about."""
_WITH_WORDS = frozenset(("exec_create", "exec_start", "health_status"))
"""Events that say more behind a colon."""


class InvalidFilter(InvalidArgument):
    """A filter that there is not, or a value it cannot have."""

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__(f"invalid filter '{name}'" + ("" if value is None else f"={value}'"))


def check(given: Given, known: frozenset[str]) -> None:
    """Raises InvalidFilter."""
    for name in given:
        if name not in known:
            raise InvalidFilter(name)


def has_labels(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Whether all of ``key`` or ``key=value`` are there."""
    for item in wanted:
        key, equals, value = item.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def boolean(name: str, values: Sequence[str]) -> bool:
    """What a filter that is yes or no says; raises InvalidArgument."""
    found = {value in ("1", "true") for value in values if value in ("0", "1", "false", "true")}
    if len(found) != 1:
        raise InvalidArgument(f"invalid filter '{name}=[{' '.join(values)}]'")
    return found.pop()


def statuses(given: Given) -> frozenset[str]:
    """The states asked for; raises InvalidArgument."""
    known = [state.value for state in State]
    for value in given.get("status", ()):
        if value not in known:
            raise InvalidArgument(f"invalid filter 'status={value}'")
    return frozenset(given.get("status", ()))


def exit_codes(given: Given) -> frozenset[int]:
    """The exit codes asked for; raises InvalidArgument."""
    found = set()
    for value in given.get("exited", ()):
        try:
            found.add(int(value))
        except ValueError:
            raise InvalidArgument(
                f"invalid filter 'exited={value}': strconv.Atoi: parsing \"{value}\": invalid syntax"
            ) from None
    return frozenset(found)


def matches_name(wanted: Sequence[str], name: str) -> bool:
    """Whether one of the patterns occurs in the name, with or without its slash."""
    for pattern in wanted:
        try:
            if re.search(pattern, f"/{name}") or re.search(pattern, name):
                return True
        except re.error:
            if pattern in name:
                return True
    return False


def pruned(given: Given) -> Chooses:
    """Which stopped containers a prune takes; raises InvalidFilter."""
    check(given, PRUNED)
    moment = until(given)
    wanted, unwanted = given.get("label", ()), given.get("label!", ())

    def chosen(container: Container) -> bool:
        labels = container.config.labels or {}
        if moment is not None and container.created > moment:
            return False
        if unwanted and has_labels(unwanted, labels):
            return False
        return has_labels(wanted, labels)

    return chosen


def until(given: Given) -> int | None:
    """The moment of the filter of this name, in nanoseconds; raises InvalidArgument."""
    values = given.get("until", ())
    if not values:
        return None
    if len(values) > 1:
        raise InvalidArgument("more than one until filter specified")
    try:
        seconds, _, fraction = timestamp(values[0], time.time_ns()).partition(".")
        return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def events(given: Given) -> Callable[[Event], bool]:
    """Which events a subscriber wants; a filter that nobody knows has no effect, as with Docker."""
    actions = given.get("event", ())

    def wanted(event: Event) -> bool:
        if actions and not _is_action(event.action, actions):
            return False
        if given.get("type") and event.type not in given["type"]:
            return False
        if given.get("scope") and event.scope not in given["scope"]:
            return False
        for kind in _ACTORS:
            refs = given.get(kind, ())
            if refs and not _is_actor(event, refs):
                return False
        images = given.get("image", ())
        if images and not _is_image(event, images):
            return False
        return has_labels(given.get("label", ()), event.actor.attributes)

    return wanted


def _is_action(action: str, wanted: Sequence[str]) -> bool:
    if not _WITH_WORDS.isdisjoint(wanted):
        return any(action.startswith(item) for item in wanted)
    return action in wanted


def _is_actor(event: Event, refs: Sequence[str]) -> bool:
    """Whether its id or its name begins so, whatever kind it is: a network is found by ``volume``, too."""
    name = event.actor.attributes.get("name", "")
    return any(event.actor.id.startswith(ref) or name.startswith(ref) for ref in refs)


def _is_image(event: Event, refs: Sequence[str]) -> bool:
    if event.type == "image":
        name = event.actor.attributes.get("name", event.actor.id)
    elif event.type == "container":
        name = event.actor.attributes.get("image", "")
    else:
        return False
    bare = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return any(ref in (name, bare, event.actor.id) for ref in refs)
