"""``build --output``: files in a directory, a tar archive, an image archive, a registry."""

from __future__ import annotations

import io
import os
from typing import Any

from wharfie.cli import credentials
from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.outfile import put as write
from wharfie.cli.pulling import follow
from wharfie.cli.references import split
from wharfie.client.api import query, quote
from wharfie.client.http import Response


def put(context: Context, output: dict[str, str], identifier: str, names: list[str]) -> None:
    """One output; raises CommandError, ApiError."""
    kind, place = output["type"], output.get("dest", "")
    if kind == "local":
        _local(context, identifier, place)
    elif kind == "tar":
        _stream(context, f"/images/{quote(identifier)}/rootfs", place)
    elif kind in ("oci", "docker") and place:
        wanted = [output["name"]] if output.get("name") else names or [identifier]
        _stream(context, "/images/get" + query(names=wanted), place)
    elif kind == "oci":
        raise CommandError("dest is required for oci output: dest=FILE, or dest=- for standard output", 125)
    elif kind == "registry" or output.get("push") == "true":
        for name in names:
            repository, tag, _ = split(name)
            target = f"/images/{quote(repository, '/')}/push" + query(tag=tag or "latest")
            follow(context, "POST", target, fd=2, quiet=False, headers=credentials.header(context, name))


def _stream(context: Context, target: str, place: str) -> None:
    if place in ("", "-") and os.isatty(1):
        raise CommandError("refusing to write an archive to a terminal: use dest=FILE, or redirect", 125)
    connection, response = context.api.stream("GET", target)
    try:
        write(response, None if place in ("", "-") else place, "failed to write the output")
    finally:
        connection.close()


def _local(context: Context, identifier: str, place: str) -> None:
    from wharfie.cli.extract import Extractor

    os.makedirs(place, exist_ok=True)
    connection, response = context.api.stream("GET", f"/images/{quote(identifier)}/rootfs")
    root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        extractor = Extractor(root, [], owners=os.geteuid() == 0, whole=True)
        extractor.run(io.BufferedReader(_Body(response), 1 << 20))
    finally:
        os.close(root)
        connection.close()


class _Body(io.RawIOBase):
    """A response's body as a file."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self._response = response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._response.read_some(len(buffer))
        buffer[: len(data)] = data
        return len(data)
