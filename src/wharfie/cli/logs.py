"""``logs``."""

from __future__ import annotations

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.streams import copy
from wharfie.client.api import query, quote

LOGS = Command(
    "logs [OPTIONS] CONTAINER",
    "Show a container's output",
    (
        ("details", "", "flag", "Show the attributes given with --log-opt"),
        ("follow", "f", "flag", "Go on as more is written"),
        ("since", "", "string", "Only what is newer (2013-01-02T13:23:37Z, or 42m for 42 minutes)"),
        ("tail", "n", "string", 'Only so many of the last lines (default "all")'),
        ("timestamps", "t", "flag", "Show when each line was written"),
        ("until", "", "string", "Only what is older (a time, or 42m for 42 minutes)"),
    ),
    needs=1,
    most=1,
    aliases="container logs, logs",
)


def moment(name: str, text: str | None) -> str | None:
    """A time as the API wants it; raises CommandError."""
    if not text:
        return None
    from wharfie.support.units import timestamp

    try:
        return timestamp(text)
    except ValueError as error:
        raise CommandError(f'invalid value for "{name}": {error}') from None


def logs(context: Context, arguments: list[str]) -> int:
    """Print the log to standard output and standard error."""
    options, words = LOGS.parse(arguments)
    target = f"/containers/{quote(words[0])}"
    connection, response = context.api.stream(
        "GET",
        f"{target}/logs"
        + query(
            stdout=1,
            stderr=1,
            blocks=1,
            follow=options.get("follow"),
            timestamps=options.get("timestamps"),
            details=options.get("details"),
            tail=options.get("tail"),
            since=moment("since", options.get("since")),
            until=moment("until", options.get("until")),
        ),
    )
    kind = response.headers.get("content-type", "")
    framed = kind.endswith("multiplexed-stream")
    if not framed and not kind.endswith("raw-stream"):
        # an engine older than API 1.42 does not say
        framed = not context.api.get(f"{target}/json")["Config"]["Tty"]
    try:
        copy(response.parts(), framed=framed)
    finally:
        connection.close()
    return 0
