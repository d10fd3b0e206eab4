"""Builds: the context packed, secrets sent ahead, and the stream of messages read to the image's id."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wharfie.client import credentials, packing
from wharfie.client.library import trees
from wharfie.client.library.engine import Engine, Source
from wharfie.client.library.errors import BuildFailed, TransferFailed
from wharfie.client.library.pulling import Told
from wharfie.wire.build import UploadResponse

_OUTSIDE = ".wharfie.Dockerfile"
Secret = bytes | os.PathLike[str]


async def build(
    engine: Engine,
    context: str | os.PathLike[str] | Source | None,
    *,
    dockerfile: str | None,
    file: str,
    tags: Sequence[str],
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    secrets: Mapping[str, Secret],
    query: dict[str, Any],
    told: Told | None,
) -> str:
    """The id of the image that was built; raises BuildFailed, BadBuildContext."""
    headers = await engine.transport.apart(lambda: credentials.registry_config(engine.settings))
    if secrets:
        body = await engine.transport.apart(lambda: {"Secrets": _contents(secrets)})
        sent = await engine.call("POST", "/wharfie/build/inputs", UploadResponse, body=body)
        headers["X-Wharfie-Build"] = sent.key
    query = {
        **query,
        "t": list(tags),
        "buildargs": dict(arguments) or None,
        "labels": dict(labels) or None,
    }
    data: Source
    if context is None or isinstance(context, (str, os.PathLike)):
        data, query["dockerfile"] = _packed(context, dockerfile, file)
    else:
        data, query["dockerfile"] = context, file or "Dockerfile"
    output: list[str] = []
    identifier = ""

    def tell(message: dict[str, Any]) -> None:
        nonlocal identifier
        identifier = (message.get("aux") or {}).get("ID", identifier)
        output.append(message.get("stream", ""))
        if told is not None:
            told(message)

    try:
        await engine.progress("/build", query, headers=headers, data=data, told=tell)
    except TransferFailed as error:
        raise BuildFailed(error.message, "".join(output)) from None
    return identifier


def _contents(secrets: Mapping[str, Secret]) -> dict[str, str]:
    found = {}
    for name, value in secrets.items():
        if not isinstance(value, bytes):
            with open(value, "rb") as file:
                value = file.read()
        found[name] = b64encode(value).decode()
    return found


def _packed(context: str | os.PathLike[str] | None, text: str | None, file: str) -> tuple[Source, str]:
    """The archive to send, and the name of the Dockerfile in it."""
    name = file or "Dockerfile"
    if context is None:
        return trees.one_file(name, (text or "").encode(), 0o644), name
    directory = os.fspath(context)
    extra: dict[str, bytes] = {}
    if text is not None:
        name, extra = _OUTSIDE, {_OUTSIDE: text.encode()}
    ignored = packing.rules(directory, "" if extra else os.path.join(directory, name))
    keep = {".dockerignore", name, f"{name}.dockerignore"}
    parts: Iterator[bytes] = packing.pack(directory, ignored, keep, extra)
    return parts, name
