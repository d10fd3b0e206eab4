"""``export``: a container's files as a tar archive."""

from __future__ import annotations

import os

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.client.api import quote
from wharfie.client.http import Response

EXPORT = Command(
    "export [OPTIONS] CONTAINER",
    "Write a container's files as a tar archive",
    (("output", "o", "string", "Write to a file instead of standard output"),),
    needs=1,
    most=1,
    aliases="container export, export",
)
_CHUNK = 1 << 20


def export(context: Context, arguments: list[str]) -> int:
    """``export``."""
    options, (name,) = EXPORT.parse(arguments)
    output = options.get("output")
    if not output and os.isatty(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    connection, response = context.api.stream("GET", f"/containers/{quote(name)}/export")
    try:
        if not output:
            _write(response, 1)
            return 0
        _save(response, output)
    finally:
        connection.close()
    return 0


def _save(response: Response, output: str) -> None:
    """Complete, or not there: the name appears when all is written."""
    draft = f"{output}.{os.getpid()}.part"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"failed to export container: {error.strerror}: {output}") from None
    try:
        _write(response, fd)
        os.rename(draft, output)
    except BaseException:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)


def _write(response: Response, fd: int) -> None:
    while data := response.read_some(_CHUNK):
        while data:
            data = data[os.write(fd, data) :]
