"""``build --output``: files in a directory, a tar archive, an image archive, a registry."""

from __future__ import annotations

import io
import os
import secrets
from dataclasses import dataclass
from typing import Any

from wharfie.cli.buildoptions import fields
from wharfie.cli.context import Context
from wharfie.cli.errors import CommandError
from wharfie.cli.outfile import put as write
from wharfie.cli.pulling import follow, full_name
from wharfie.client import credentials
from wharfie.client.api import query, quote
from wharfie.client.http import Response
from wharfie.client.references import split, with_tag
from wharfie.support import csvline, json
from wharfie.support.files import atomic_write

KINDS = ("local", "tar", "oci", "docker", "image", "registry")
_KEYS = {"type", "dest", "name", "push", "unpack", "store"}
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(slots=True)
class Output:
    """One place where the result goes."""

    kind: str
    place: str = ""
    names: tuple[str, ...] = ()
    push: bool = False


def outputs(options: dict[str, Any]) -> list[Output]:
    """``--output`` and ``--push``; ``--tag`` goes before names, as with buildx. Raises CommandError."""
    found = [_output(text) for text in options.get("output") or []]
    images = [one for one in found if one.kind == "image"]
    if options.get("push"):
        if not images:
            found.append(Output("image"))
            images = found[-1:]
        for one in images:
            one.push = True
    tags = tuple(options.get("tag") or ())
    for one in found:
        if tags and one.kind in ("image", "oci", "docker"):
            one.names = tags
        if one.push and not one.names:
            raise CommandError("tag is needed when pushing to registry")
    return found


def _output(text: str) -> Output:
    if "=" not in text:
        return Output("tar" if text == "-" else "local", text)
    given = fields(text, "output")
    kind = given.get("type", "")
    if kind not in KINDS:
        raise CommandError(f"unsupported output type {kind!r}: it is one of {', '.join(KINDS)}", 125)
    for key, value in given.items():
        if key not in _KEYS and value.lower() not in ("false", "0"):
            raise CommandError(f"--output {key}={value} is not supported", 125)
    if kind == "local" and not given.get("dest"):
        raise CommandError("dest is required for local output", 125)
    names = tuple(name for name in csvline.split(given.get("name", "")) if name)
    push = kind == "registry" or given.get("push", "").lower() in ("true", "1")
    return Output("image" if kind == "registry" else kind, given.get("dest", ""), names, push)


def names_of(options: dict[str, Any], results: list[Output]) -> list[str]:
    """All names that the image gets."""
    found = dict.fromkeys(options.get("tag") or ())
    for one in results:
        found.update(dict.fromkeys(one.names))
    return list(found)


def put(context: Context, output: Output, identifier: str) -> dict[str, Any] | None:
    """One output; what a registry says of the manifest, if it went to one. Raises CommandError, ApiError."""
    kind, place = output.kind, output.place
    if kind == "local":
        _local(context, identifier, place)
    elif kind == "tar":
        _stream(context, f"/images/{quote(identifier)}/rootfs", place)
    elif kind in ("oci", "docker") and place:
        _stream(context, "/images/get" + query(names=list(output.names) or [identifier]), place)
    elif kind == "oci":
        raise CommandError("dest is required for oci output: dest=FILE, or dest=- for standard output", 125)
    elif output.push:
        return _push(context, output.names)
    return None


def _push(context: Context, names: tuple[str, ...]) -> dict[str, Any] | None:
    described: dict[str, Any] | None = None
    for name in names:
        repository, tag, _ = split(name)
        target = f"/images/{quote(repository, '/')}/push" + query(tag=tag or "latest")
        headers = credentials.header(context.user, name)
        follow(context, "POST", target, fd=2, quiet=False, headers=headers)
        found = context.api.call("GET", f"/distribution/{quote(with_tag(name), '/')}/json", headers=headers)
        described = found["Descriptor"]
    return described


def metadata(
    context: Context, path: str, identifier: str, names: list[str], pushed: dict[str, Any] | None
) -> None:
    """``--metadata-file``, as buildx has it: of the manifest that was pushed, or that ``save`` writes."""
    described = context.api.get(f"/images/{quote(identifier)}/descriptor")
    if pushed:
        described.update({key: pushed[key] for key in ("digest", "size", "mediaType")})
    found: dict[str, Any] = {
        "buildx.build.ref": "default/default/" + "".join(secrets.choice(_ALPHABET) for _ in range(25)),
        "containerimage.config.digest": identifier,
        "containerimage.descriptor": described,
        "containerimage.digest": described["digest"],
    }
    if names:
        found["image.name"] = ",".join(full_name(with_tag(name)) for name in names)
    atomic_write(path, json.dumps(found).encode() + b"\n", mode=0o644, sync=False)


def _stream(context: Context, target: str, place: str) -> None:
    if place in ("", "-") and os.isatty(1):
        raise CommandError("refusing to write an archive to a terminal: use dest=FILE, or redirect", 125)
    connection, response = context.api.stream("GET", target)
    try:
        write(response, None if place in ("", "-") else place, "failed to write the output")
    finally:
        connection.close()


def _local(context: Context, identifier: str, place: str) -> None:
    from wharfie.client.extract import Extractor

    os.makedirs(place, exist_ok=True)
    connection, response = context.api.stream("GET", f"/images/{quote(identifier)}/rootfs")
    root = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        extractor = Extractor(root, [], owners=os.geteuid() == 0, whole=True)
        extractor.run(io.BufferedReader(Body(response), 1 << 20))
    finally:
        os.close(root)
        connection.close()


class Body(io.RawIOBase):
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
