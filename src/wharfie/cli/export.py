"""``export``: a container's files as a tar archive."""

from __future__ import annotations

import os

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.outfile import put
from wharfie.client.api import quote

EXPORT = Command(
    "export [OPTIONS] CONTAINER",
    "Write a container's files as a tar archive",
    (("output", "o", "string", "Write to a file instead of standard output"),),
    needs=1,
    most=1,
    aliases="container export, export",
)


def export(context: Context, arguments: list[str]) -> int:
    """``export``."""
    options, (name,) = EXPORT.parse(arguments)
    fetch(context, f"/containers/{quote(name)}/export", options.get("output"), "container")
    return 0


def fetch(context: Context, target: str, output: str | None, what: str) -> None:
    """Write what the daemon answers to a file, or to standard output if that is no terminal."""
    if not output and os.isatty(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    connection, response = context.api.stream("GET", target)
    try:
        put(response, output, f"failed to export {what}")
    finally:
        connection.close()
