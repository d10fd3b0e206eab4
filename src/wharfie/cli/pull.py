"""``pull``, ``import`` and ``image bootstrap``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from wharfie.cli.context import Context, take_environment, take_platform
from wharfie.cli.epoch import source_date
from wharfie.cli.errors import CommandError
from wharfie.cli.options import Command
from wharfie.cli.progress import Progress
from wharfie.cli.pulling import bootstrap as make
from wharfie.cli.pulling import full_name
from wharfie.cli.pulling import pull as fetch
from wharfie.cli.references import validate
from wharfie.client.api import query
from wharfie.client.references import split, with_tag

_PLATFORM = ("platform", "", "string", "Platform of the image (os/arch)")
_QUIET = ("quiet", "q", "flag", "Do not show progress")
PULL = Command(
    "pull [OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    (
        ("all-tags", "a", "flag", "Download all tags of the repository"),
        ("disable-content-trust", "", "flag", ""),
        _PLATFORM,
        _QUIET,
    ),
    needs=1,
    most=1,
    aliases="image pull, pull",
)
IMPORT = Command(
    "import [OPTIONS] file|- [REPOSITORY[:TAG]]",
    "Make an image of a tar archive",
    (
        ("change", "c", "list", "Apply a Dockerfile instruction to the image"),
        ("message", "m", "string", "Message for the image's history"),
        _PLATFORM,
    ),
    needs=1,
    most=2,
    aliases="image import, import",
)
BOOTSTRAP = Command(
    "image bootstrap [OPTIONS] NAME[:SUITE]",
    "Make an image from the distribution's own packages, without a registry: busybox, or debian[:suite]",
    (_QUIET,),
    needs=1,
    most=1,
)
_CHUNK = 1 << 20


def pull(context: Context, arguments: list[str]) -> int:
    """``pull``."""
    options, words = PULL.parse(arguments)
    validate(words[0])
    take_environment(options, "pull", words[0])
    _, tag, digest = split(words[0])
    every = options.get("all-tags", False)
    if every and (tag or digest):
        raise CommandError("tag can't be used with --all-tags/-a")
    quiet = options.get("quiet", False)
    if not every and not tag and not digest and not quiet:
        sys.stdout.write("Using default tag: latest\n")
        sys.stdout.flush()
    fetch(context, words[0], options.get("platform"), quiet=quiet, all_tags=every)
    named = full_name(words[0])
    sys.stdout.write(f"{named if every else with_tag(named)}\n")
    return 0


def import_image(context: Context, arguments: list[str]) -> int:
    """``import``."""
    options, words = IMPORT.parse(arguments)
    take_platform(options)
    source, reference = words[0], words[1] if len(words) > 1 else ""
    if reference:
        validate(reference)
    remote = source.startswith(("http://", "https://"))
    name, tag, _ = split(reference) if reference else ("", "", "")
    target = "/images/create" + query(
        fromSrc=source if remote else "-",
        repo=name,
        tag=tag,
        message=options.get("message"),
        changes=options.get("change"),
        platform=options.get("platform"),
        epoch=source_date(),
    )
    if remote:
        _, response = context.api.stream("POST", target)
    else:
        response = context.api.upload("POST", target, read_parts(open_source(source)))
    progress = Progress(1, quiet=False)
    try:
        for message in response.lines():
            if "error" in message:
                raise CommandError(message["error"])
            progress.show(message)
    finally:
        progress.close()
    return 0


def open_source(source: str) -> int:
    """A descriptor of an archive: a file, or ``-`` for standard input, which must be no terminal."""
    if source == "-" and os.isatty(0):
        raise CommandError("refusing to read an archive from a terminal: redirect standard input")
    try:
        return 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandError(f"open {source}: {(error.strerror or '').lower()}") from None


def read_parts(fd: int) -> Iterator[bytes]:
    """What a descriptor has, in large parts."""
    while data := os.read(fd, _CHUNK):
        yield data


def bootstrap(context: Context, arguments: list[str]) -> int:
    """``image bootstrap``."""
    options, words = BOOTSTRAP.parse(arguments)
    name, _, suite = words[0].partition(":")
    make(context, name, suite, fd=1, quiet=options.get("quiet", False))
    return 0
