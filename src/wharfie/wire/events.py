"""One line of the event stream."""

from __future__ import annotations

from wharfie.wire.base import Wire, always, named, optional


class Actor(Wire, frozen=True, kw_only=True):
    """What an event happened to."""

    id: str = named("ID")
    attributes: dict[str, str] = always({})


class Event(Wire, frozen=True, kw_only=True):
    """An event; ``status``, ``id`` and ``from`` repeat it in the form of old for containers and images."""

    status: str = optional("", "status")
    id: str = optional("", "id")
    from_: str = optional("", "from")
    type: str
    action: str
    actor: Actor
    scope: str = always("local", "scope")
    time: int = named("time")
    time_nano: int = named("timeNano")
