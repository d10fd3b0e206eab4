"""The image store as a whole: archives in and out, squashed images, and its check."""

from __future__ import annotations

from typing import cast

from wharfie.api.answers import Answer, Stream, json_answer
from wharfie.api.backends import Progress, Store
from wharfie.api.call import Call
from wharfie.api.hijack import Connection
from wharfie.api.router import Route
from wharfie.api.streaming import send_all, send_progress
from wharfie.errors import InvalidArgument
from wharfie.wire.base import decode
from wharfie.wire.images import IdResponse, PlatformJSON

TAR = "application/x-tar"


def routes(store: Store) -> list[Route]:
    """Docker's paths for ``save`` and ``load``, and our own for ``image squash`` and ``system check``."""

    async def save(call: Call) -> Stream:
        if not call.texts("names"):
            raise InvalidArgument("no image is named to save")
        return await _saved(store, call, call.texts("names"))

    async def save_one(call: Call) -> Stream:
        return await _saved(store, call, [call.argument])

    async def load(call: Call) -> Answer | Stream:
        body = cast(Connection, call.request.protocol).body()

        async def work(progress: Progress) -> None:
            await store.load(
                body or call.upload(), platform=platform(call), quiet=call.flag("quiet"), progress=progress
            )

        return await send_progress(call, work)

    async def squash(call: Call) -> Answer:
        repository, tag = call.text("repo"), call.text("tag")
        made = await store.squash(
            call.argument,
            reference=f"{repository}:{tag}" if tag and repository else repository,
            message=call.text("comment"),
            epoch=call.number("epoch"),
        )
        return json_answer(IdResponse(id=made), 201)

    async def check(call: Call) -> Answer:
        return json_answer(await store.check(repair=call.flag("repair")))

    return [
        ("GET", "/images/get", save),
        ("GET", "/images/{}/get", save_one),
        ("POST", "/images/load", load),
        ("POST", "/images/{}/squash", squash),
        ("POST", "/wharfie/system/check", check),
    ]


def platform(call: Call) -> str:
    """The parameter ``platform``."""
    return platform_of(call.text("platform"))


def platform_of(text: str) -> str:
    """``os/arch`` as it is, or made of OCI's JSON as newer clients send it; raises InvalidArgument."""
    if not text.startswith("{"):
        return text
    found = decode(text.encode(), PlatformJSON)
    return "/".join(part for part in (found.os, found.architecture, found.variant) if part)


async def _saved(store: Store, call: Call, names: list[str]) -> Stream:
    async with store.save(names, platform=platform(call)) as pieces:
        return await send_all(call, pieces, Stream(call.request, TAR))
