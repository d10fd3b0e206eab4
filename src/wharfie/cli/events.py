"""``events``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from wharfie.cli.context import Context
from wharfie.cli.listing import filters
from wharfie.cli.logs import moment
from wharfie.cli.options import Command
from wharfie.client.api import query

EVENTS = Command(
    "events [OPTIONS]",
    "Show what happens, as it happens",
    (
        (
            "filter",
            "f",
            "filter",
            "Only those that match: container, daemon, event, image, label, network, type, volume",
        ),
        ("format", "", "string", "Print by a Go template, or 'json'"),
        ("since", "", "string", "Begin with what happened after this moment"),
        ("until", "", "string", "End at this moment"),
    ),
    most=0,
    aliases="system events, events",
)


def events(context: Context, arguments: list[str]) -> int:
    """Print one line per event until interrupted."""
    options, _ = EVENTS.parse(arguments)
    form = options.get("format")
    show: Callable[[Any], str] = line
    if form:
        from wharfie.cli.format.template import Template, to_json

        template = Template(form)
        show = to_json if form == "json" else lambda event: template.render(_fields(event))
    connection, response = context.api.stream(
        "GET",
        "/events"
        + query(
            since=moment("since", options.get("since")),
            until=moment("until", options.get("until")),
            filters=filters(options.get("filter")),
        ),
    )
    try:
        for event in response.lines():
            sys.stdout.write(show(event) + "\n")
            sys.stdout.flush()
    finally:
        connection.close()
    return 0


def _fields(event: dict[str, Any]) -> dict[str, Any]:
    """An event's fields by the names that templates have for them."""
    names = {
        "Scope": "scope",
        "Time": "time",
        "TimeNano": "timeNano",
        "Status": "status",
        "ID": "id",
        "From": "from",
    }
    return {**{name: event.get(key, "") for name, key in names.items()}, **event}


def line(event: dict[str, Any]) -> str:
    """``2024-01-31T12:00:00.123456789+01:00 container start <id> (image=busybox, name=x)``."""
    import time

    nanoseconds = event.get("timeNano") or event.get("time", 0) * 1_000_000_000
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    shown = f"{zone[:3]}:{zone[3:]}" if local.tm_gmtoff else "Z"
    when = time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{fraction:09d}{shown}"
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    text = f"{when} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    if attributes:
        text += " (" + ", ".join(f"{name}={value}" for name, value in sorted(attributes.items())) + ")"
    return text
