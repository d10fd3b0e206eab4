"""``build``: the context is packed and sent, the build shown, and its result put where it is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from wharfie.cli import buildcaches, buildoptions, buildoutput
from wharfie.cli.buildshow import Failure, shown
from wharfie.cli.context import Context, say, take_environment
from wharfie.cli.errors import CommandError
from wharfie.cli.pull import read_parts
from wharfie.client.packing import fingerprint, pack, rules
from wharfie.support import json
from wharfie.support.files import atomic_write

_OUTSIDE = ".wharfie.Dockerfile"
_SSH = ("git@", "ssh://")
_REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")


class Sent(NamedTuple):
    """What a build is given."""

    dockerfile: str
    remote: str
    parts: Iterator[bytes]
    key: str = ""


def build(context: Context, arguments: list[str]) -> int:
    """``build``."""
    options, words = buildoptions.BUILD.parse(arguments)
    take_environment(options, "build")
    progress = options.get("progress") or os.environ.get("BUILDKIT_PROGRESS") or "auto"
    if progress not in buildoptions.PROGRESS:
        raise CommandError(
            f"invalid progress mode {progress!r}: it is one of {', '.join(buildoptions.PROGRESS)}", 125
        )
    if options.get("quiet"):
        progress = "quiet"
    isolation = options.get("isolation", "default")
    if isolation not in ("", "default"):
        raise CommandError(f"Invalid isolation: \"{isolation}\" - linux only supports 'default'")
    results = buildoutput.outputs(options)
    names = buildoutput.names_of(options, results)
    sent = _context(options, words[0])
    contexts = _contexts(context, options)
    exports, places = buildcaches.exported(options)
    imports = buildcaches.imported(context, options)
    given = buildoptions.Given(
        names, sent.dockerfile, sent.remote, contexts, buildcaches.named(options), imports, exports
    )
    target = buildoptions.target(context, options, given)
    parts = sent.parts
    if sent.key:
        target += f"&contextkey={sent.key}"
        if context.api.get(f"/wharfie/build/context?key={sent.key}")["Known"]:
            target, parts = target + "&contextkept=1", iter(())
    if sent.remote.startswith(_SSH) and os.environ.get("SSH_AUTH_SOCK"):
        options.setdefault("ssh", ["default"])
    headers = buildoptions.headers(context, options)
    display = shown("plain" if options.get("check") and progress == "auto" else progress)
    try:
        response = context.api.upload("POST", target, parts, headers=headers)
        identifier = display.follow(response.lines())
    except Failure as failure:
        raise CommandError(failure.message, failure.code) from None
    finally:
        display.close()
    if options.get("check"):
        return 1 if display.found else 0
    buildcaches.fetch(context, places)
    _finish(context, options, results, identifier, names)
    if progress == "quiet":
        say(identifier)
    return 0


def _finish(
    context: Context,
    options: dict[str, Any],
    results: list[buildoutput.Output],
    identifier: str,
    names: list[str],
) -> None:
    if options.get("iidfile"):
        atomic_write(options["iidfile"], identifier.encode(), mode=0o644, sync=False)
    pushed = None
    for one in results:
        pushed = buildoutput.put(context, one, identifier) or pushed
    if options.get("metadata-file"):
        buildoutput.metadata(context, options["metadata-file"], identifier, names, pushed)


def _context(options: dict[str, Any], place: str) -> Sent:
    """The Dockerfile's name, the remote address, and what is sent."""
    name = options.get("file") or ""
    if place == "-":
        return _standard_input(name)
    if place.startswith(_REMOTE) and not os.path.isdir(place):
        return Sent(name or "Dockerfile", place, iter(()))
    if os.path.isfile(place):
        raise CommandError(
            f"unable to prepare context: {place} is a file: a context is a directory, a URL or -"
        )
    if not os.path.isdir(place):
        raise CommandError(f'unable to prepare context: path "{place}" not found')
    extra: dict[str, bytes] = {}
    if name == "-":
        extra[_OUTSIDE] = sys.stdin.buffer.read()
        ignored = rules(place, "")
        return Sent(_OUTSIDE, "", pack(place, ignored, {_OUTSIDE}, extra))
    path = name or os.path.join(place, "Dockerfile")
    if not name and not os.path.exists(path) and os.path.exists(path.lower()):
        path = os.path.join(place, "dockerfile")
    if not os.path.exists(path) and name and os.path.exists(os.path.join(place, name)):
        path = os.path.join(place, name)
    if not os.path.isfile(path):
        raise CommandError(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {path}: no "
            "such file or directory"
        )
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(place))
    ignored = rules(place, path)
    keep = {".dockerignore"}
    if inside.startswith("../"):
        with open(path, "rb") as file:
            extra[_OUTSIDE] = file.read()
        inside = _OUTSIDE
    keep |= {inside, f"{inside}.dockerignore"}
    key = "" if extra else fingerprint(place, ignored, keep, inside)
    return Sent(inside, "", pack(place, ignored, keep, extra), key)


def _standard_input(name: str) -> Sent:
    """A Dockerfile, or an archive with the whole context."""
    head = os.read(0, 1 << 20)
    while len(head) < 512 and (more := os.read(0, 1 << 20)):
        head += more
    archive = head[257:262] == b"ustar" or head[:3] in (b"\x1f\x8b\x08", b"BZh") or head[:4] in (
        b"\x28\xb5\x2f\xfd", b"\xfd7zX",
    )  # fmt: skip
    if archive:
        return Sent(name or "Dockerfile", "", _chained(head, read_parts(0)))
    if name:
        raise CommandError("invalid argument: can't use stdin for both build context and dockerfile")
    data = head + b"".join(read_parts(0))
    return Sent("Dockerfile", "", pack_files({"Dockerfile": data}))


def pack_files(files: dict[str, bytes]) -> Iterator[bytes]:
    """An archive of these files alone."""
    import tempfile

    with tempfile.TemporaryDirectory() as empty:
        yield from pack(empty, None, set(), files)


def _chained(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _contexts(context: Context, options: dict[str, Any]) -> dict[str, str]:
    """``--build-context``: a directory is sent before the build, everything else only named."""
    found = {}
    for text in options.get("build-context") or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(f"invalid context value: {text}, expected key=value", 125)
        if value.startswith(("docker-image://", *_REMOTE)):
            found[name] = value
            continue
        if not os.path.isdir(value):
            raise CommandError(f'failed to get build context {name}: path "{value}" not found')
        response = context.api.upload(
            "POST", "/wharfie/build/context", pack(value, rules(value, ""), set(), {})
        )
        found[name] = "upload:" + json.loads(response.read())["Key"]
    return found
