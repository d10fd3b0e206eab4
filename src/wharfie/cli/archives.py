"""``save`` and ``load``: images as archives."""

from __future__ import annotations

import os
import stat
import sys

from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.outfile import put
from wharfie.cli.progress import Progress
from wharfie.cli.pull import read_parts
from wharfie.client.api import query

SAVE = Command(
    "save [OPTIONS] IMAGE [IMAGE...]",
    "Write images to a tar archive (the layouts of Docker and of OCI at once)",
    (
        ("output", "o", "string", "Write to a file instead of standard output"),
        ("platform", "", "string", "Only if the image is for this platform (os[/arch[/variant]])"),
    ),
    needs=1,
    aliases="image save, save",
)
LOAD = Command(
    "load [OPTIONS]",
    "Take the images of a tar archive (as docker, podman and skopeo write them)",
    (
        ("input", "i", "string", "Read from a file instead of standard input"),
        ("platform", "", "string", "Take the images for this platform (os[/arch[/variant]])"),
        ("quiet", "q", "flag", "Do not show progress"),
    ),
    most=0,
    aliases="image load, load",
)


def save(context: Context, arguments: list[str]) -> int:
    """``save``."""
    options, words = SAVE.parse(arguments)
    output = options.get("output")
    if not output and os.isatty(1):
        raise CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    asked = query(names=words, platform=options.get("platform"))
    connection, response = context.api.stream("GET", f"/images/get{asked}")
    try:
        put(response, output, "failed to save image")
    finally:
        connection.close()
    return 0


def load(context: Context, arguments: list[str]) -> int:
    """``load``."""
    options, _ = LOAD.parse(arguments)
    source = options.get("input")
    if not source and os.isatty(0):
        raise CommandError("requested load from stdin, but stdin is empty")
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC) if source else 0
    except OSError as error:
        raise CommandError(f"open {source}: {(error.strerror or '').lower()}") from None
    quiet = bool(options.get("quiet")) or not os.isatty(1)
    asked = query(quiet=quiet, platform=options.get("platform"))
    progress = Progress(1, quiet=False)
    target = f"/images/load{asked}"
    left = _left(fd)
    if left:
        response = context.api.upload_file("POST", target, fd, left, beside=not quiet)
    else:
        response = context.api.upload("POST", target, read_parts(fd), beside=not quiet)
    for message in response.lines():
        if "error" in message:
            progress.close()
            sys.stdout.flush()
            raise CommandError(message["error"])
        progress.show(message)
    progress.close()
    return 0


def _left(fd: int) -> int:
    """How much of a regular file is still to be read; 0 for anything else."""
    status = os.fstat(fd)
    return max(status.st_size - os.lseek(fd, 0, os.SEEK_CUR), 0) if stat.S_ISREG(status.st_mode) else 0
