"""Images, and our own way to make one of the distribution's packages."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from wharfie.api.answers import Answer, Stream, empty_answer, json_answer
from wharfie.api.backends import Images, Progress
from wharfie.api.call import Call
from wharfie.api.router import Handler, Route
from wharfie.api.streaming import send_progress
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.wire.images import AuthConfig


def registry_auth(header: str) -> AuthConfig | None:
    """The header ``X-Registry-Auth``: URL-safe base64 of JSON; None when it is absent or says nothing.

    Raises:
        InvalidArgument: it is malformed.
    """
    if not header:
        return None
    try:
        text = urlsafe_b64decode(header + "=" * (-len(header) % 4))
        found = msgspec.json.decode(text, type=AuthConfig) if text.strip() else AuthConfig()
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidArgument(f"invalid X-Registry-Auth header: {error}") from None
    return None if found == AuthConfig() else found


def _reference(name: str, tag: str) -> str:
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


def _refuse(what: str) -> Handler:
    async def refuse(call: Call) -> Answer:
        raise NotSupported(f"{what} is not supported by wharfie")

    return refuse


def routes(images: Images) -> list[Route]:
    """Docker's paths below ``/images``."""

    async def listing(call: Call) -> Answer:
        return json_answer(
            images.list(
                all=call.flag("all"),
                filters=call.filters(),
                digests=call.flag("digests"),
                shared_size=call.flag("shared-size"),
            )
        )

    async def create(call: Call) -> Answer | Stream:
        if call.has("fromImage"):
            return await _pull(images, call)
        if call.has("fromSrc"):
            return await _import(images, call)
        raise InvalidArgument("either fromImage or fromSrc must be given")

    async def bootstrap(call: Call) -> Answer | Stream:
        name = call.text("name")
        if not name:
            raise InvalidArgument("no image is named to make")

        async def work(progress: Progress) -> None:
            await images.bootstrap(name, suite=call.text("suite"), progress=progress)

        return await send_progress(call, work)

    async def inspect(call: Call) -> Answer:
        return json_answer(images.inspect(call.argument))

    async def history(call: Call) -> Answer:
        return json_answer(images.history(call.argument))

    async def tag(call: Call) -> Answer:
        await images.tag(call.argument, _reference(call.text("repo"), call.text("tag")))
        return empty_answer(201)

    async def remove(call: Call) -> Answer:
        return json_answer(
            await images.remove(call.argument, force=call.flag("force"), noprune=call.flag("noprune"))
        )

    async def prune(call: Call) -> Answer:
        return json_answer(await images.prune(call.filters()))

    return [
        ("GET", "/images/json", listing),
        ("POST", "/images/create", create),
        ("POST", "/images/prune", prune),
        ("GET", "/images/search", _refuse("searching registries")),
        ("GET", "/images/get", _refuse("saving images")),
        ("POST", "/images/load", _refuse("loading images")),
        ("GET", "/images/{}/get", _refuse("saving images")),
        ("POST", "/images/{}/push", _refuse("pushing images")),
        ("GET", "/images/{}/json", inspect),
        ("GET", "/images/{}/history", history),
        ("POST", "/images/{}/tag", tag),
        ("DELETE", "/images/{}", remove),
        ("POST", "/wharfie/images/bootstrap", bootstrap),
    ]


async def _pull(images: Images, call: Call) -> Answer | Stream:
    reference = _reference(call.text("fromImage"), call.text("tag"))
    auth = registry_auth(call.request.headers.get("X-Registry-Auth", ""))

    async def work(progress: Progress) -> None:
        await images.pull(reference, platform=call.text("platform"), auth=auth, progress=progress)

    return await send_progress(call, work)


async def _import(images: Images, call: Call) -> Answer | Stream:
    if call.text("fromSrc") != "-":
        raise NotSupported("wharfie imports what the client sends only: fromSrc must be -")
    repository = call.text("repo")
    options: dict[str, Any] = {
        "reference": _reference(repository, call.text("tag")) if repository else "",
        "changes": call.texts("changes"),
        "message": call.text("message") or "Imported from -",
        "platform": call.text("platform"),
    }

    async def work(progress: Progress) -> None:
        await images.import_image(call.upload(), progress=progress, **options)

    return await send_progress(call, work)
