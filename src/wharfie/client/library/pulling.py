"""Images on their way from and to a registry, with the user's credentials for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from wharfie.client import credentials, references
from wharfie.client.api import quote
from wharfie.client.library.engine import Engine

Told = Callable[[dict[str, Any]], object]


async def authorization(engine: Engine, name: str, auth: tuple[str, str] | None) -> dict[str, str]:
    """The header for an image's registry: of ``auth``, else of the user's settings; empty without any."""
    if auth is not None:
        given = {"username": auth[0], "password": auth[1], "serveraddress": credentials.registry_of(name)}
        return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(given).encode()).decode()}
    return await engine.transport.apart(lambda: credentials.header(engine.settings, name))


async def pull(
    engine: Engine,
    reference: str,
    *,
    platform: str | None = None,
    auth: tuple[str, str] | None = None,
    told: Told | None = None,
) -> None:
    """Fetch an image; raises TransferFailed."""
    name, tag, digest = references.split(reference)
    query = {"fromImage": name, "tag": digest or tag or "latest", "platform": platform}
    headers = await authorization(engine, name, auth)
    await engine.progress("/images/create", query, headers=headers, told=told)


async def push(
    engine: Engine, reference: str, *, auth: tuple[str, str] | None = None, told: Told | None = None
) -> None:
    """Send an image; raises TransferFailed."""
    name, tag, _ = references.split(reference)
    headers = await authorization(engine, name, auth) or {"X-Registry-Auth": "e30="}
    await engine.progress(
        f"/images/{quote(name, '/:')}/push", {"tag": tag or "latest"}, headers=headers, told=told
    )
