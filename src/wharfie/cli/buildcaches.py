"""``build --cache-from`` and ``--cache-to``: what is here is sent before, or fetched after."""

from __future__ import annotations

import io
import os
import re
import secrets
import tarfile
from typing import Any

from wharfie.cli.buildoptions import fields
from wharfie.cli.buildoutput import Body
from wharfie.cli.context import Context, warn
from wharfie.cli.errors import CommandError
from wharfie.client.api import query
from wharfie.client.packing import pack
from wharfie.support import json
from wharfie.support.files import atomic_write

_CHUNK = 1 << 20
_GOOD = re.compile(r"(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})\Z")
_INDEX = "index.json"
_NAME = "org.opencontainers.image.ref.name"


def attributes(text: str, option: str) -> dict[str, str]:
    """``type=…,…``; a mere name is a reference of a registry."""
    if "=" not in text:
        return {"type": "registry", "ref": text}
    return fields(text, option)


def imported(context: Context, options: dict[str, Any]) -> list[dict[str, str]]:
    """What the daemon is told of ``--cache-from``, local ones sent; raises CommandError."""
    found = []
    for text in options.get("cache-from") or []:
        if "=" not in text:
            continue  # the name of an image, which the daemon may have
        given = attributes(text, "cache-from")
        if given.get("type") == "local":
            source = given.pop("src", "")
            if not source:
                raise CommandError("local cache importer requires src")
            if not os.path.isfile(os.path.join(source, _INDEX)):
                warn(f"WARNING: local cache import at {source} not found: it has no {_INDEX}")
                continue
            response = context.api.upload("POST", "/wharfie/build/context", pack(source, None, set(), {}))
            given["key"] = json.loads(response.read())["Key"]
        found.append(given)
    return found


def named(options: dict[str, Any]) -> list[str]:
    """Images that may have a cache in them."""
    return [text for text in options.get("cache-from") or [] if "=" not in text]


def exported(options: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """What the daemon is told of ``--cache-to``, and directories by the keys they are fetched with."""
    found, places = [], {}
    for text in options.get("cache-to") or []:
        given = attributes(text, "cache-to")
        if given.get("type") == "local":
            place = given.pop("dest", "")
            if not place:
                raise CommandError("local cache exporter requires dest")
            given["key"] = secrets.token_hex(32)
            places[given["key"]] = place
        found.append(given)
    return found, places


def fetch(context: Context, places: dict[str, str]) -> None:
    """Write local caches where they are wanted, what names them last; raises CommandError."""
    for key, place in places.items():
        connection, response = context.api.stream("GET", "/wharfie/build/cache/archive" + query(key=key))
        try:
            for name in ("", "blobs", "blobs/sha256"):
                os.makedirs(os.path.join(place, name), exist_ok=True)
            body = io.BufferedReader(Body(response), _CHUNK)
            with tarfile.open(fileobj=body, mode="r|") as archive:
                for entry in archive:
                    content = archive.extractfile(entry)
                    if content is None or not _GOOD.match(entry.name):
                        raise CommandError(f"the daemon sent a cache with {entry.name!r} in it")
                    _put(place, entry.name, content)
        except OSError as error:
            raise CommandError(f"failed to write the cache to {place}: {error.strerror or error}") from None
        finally:
            connection.close()


def _put(place: str, name: str, content: Any) -> None:
    path = os.path.join(place, name)
    if name == _INDEX:
        atomic_write(path, _joined(path, content.read()), mode=0o644, sync=False)
    elif not os.path.exists(path):
        temporary = f"{path}.{os.getpid()}"
        try:
            with open(temporary, "wb") as file:
                while piece := content.read(_CHUNK):
                    file.write(piece)
            os.replace(temporary, path)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise


def _joined(path: str, new: bytes) -> bytes:
    """The index with what it had under other tags."""
    found = json.loads(new)
    tags = {(one.get("annotations") or {}).get(_NAME) for one in found["manifests"]}
    try:
        with open(path, "rb") as file:
            old = json.loads(file.read()).get("manifests") or []
    except (OSError, ValueError):
        old = []
    found["manifests"] += [one for one in old if (one.get("annotations") or {}).get(_NAME) not in tags]
    return json.dumps(found).encode()
