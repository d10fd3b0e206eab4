"""Images, and our own way to make one of the distribution's packages."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from wharfie.api import versions
from wharfie.api.answers import Answer, Stream, empty_answer, json_answer
from wharfie.api.backends import Images, Progress, Registries
from wharfie.api.call import Call
from wharfie.api.router import Route
from wharfie.api.routes.registries import pull, reference_of
from wharfie.api.routes.store import platform, platform_of
from wharfie.api.streaming import send_progress
from wharfie.errors import InvalidArgument
from wharfie.images import webfile
from wharfie.images.webfile import redacted

_EVERY = 0.1
"""Seconds between two messages of progress."""


def routes(images: Images, registries: Registries) -> list[Route]:
    """Docker's paths below ``/images``."""
    return ImageRoutes(images, registries).table()


class ImageRoutes:
    """The handlers."""

    def __init__(self, images: Images, registries: Registries) -> None:
        self._images = images
        self._registries = registries

    async def listing(self, call: Call) -> Answer:
        """``images``."""
        filters = call.filters()
        if not call.at_least(1, 41) and call.has("filter"):
            filters["reference"] = [*filters.get("reference", ()), call.text("filter")]
        found = self._images.list(
            all=call.flag("all"),
            filters=filters,
            digests=call.flag("digests"),
            shared_size=call.at_least(1, 42) and call.flag("shared-size"),
        )
        return json_answer(versions.older(call, found, versions.IMAGE_LIST))

    async def create(self, call: Call) -> Answer | Stream:
        """``pull`` and ``import``."""
        if call.has("fromImage"):
            return await pull(self._registries, call)
        if call.has("fromSrc"):
            return await _import(self._images, call)
        raise InvalidArgument("either fromImage or fromSrc must be given")

    async def bootstrap(self, call: Call) -> Answer | Stream:
        """An image of the distribution's packages."""
        name = call.text("name")
        if not name:
            raise InvalidArgument("no image is named to make")

        async def work(progress: Progress) -> None:
            await self._images.bootstrap(name, suite=call.text("suite"), progress=progress)

        return await send_progress(call, work)

    async def inspect(self, call: Call) -> Answer:
        """``image inspect``."""
        found = self._images.inspect(call.argument, platform=platform(call))
        return json_answer(versions.older(call, found, versions.IMAGE))

    async def history(self, call: Call) -> Answer:
        """``history``."""
        return json_answer(self._images.history(call.argument, platform=platform(call)))

    async def tag(self, call: Call) -> Answer:
        """``tag``."""
        await self._images.tag(call.argument, reference_of(call.text("repo"), call.text("tag")))
        return empty_answer(201)

    async def remove(self, call: Call) -> Answer:
        """``rmi``; an image is for one platform here, so more than one cannot be meant."""
        platforms = [platform_of(text) for text in call.texts("platforms")]
        if len(platforms) > 1:
            raise InvalidArgument("multiple platforms are not supported")
        done = await self._images.remove(
            call.argument,
            force=call.flag("force"),
            noprune=call.flag("noprune"),
            platform="".join(platforms),
        )
        return json_answer(done)

    async def prune(self, call: Call) -> Answer:
        """``image prune``."""
        return json_answer(await self._images.prune(call.filters()))

    def table(self) -> list[Route]:
        """Method, path and handler."""
        return [
            ("GET", "/images/json", self.listing),
            ("POST", "/images/create", self.create),
            ("POST", "/images/prune", self.prune),
            ("GET", "/images/{}/json", self.inspect),
            ("GET", "/images/{}/history", self.history),
            ("POST", "/images/{}/tag", self.tag),
            ("DELETE", "/images/{}", self.remove),
            ("POST", "/wharfie/images/bootstrap", self.bootstrap),
        ]


async def _import(images: Images, call: Call) -> Answer | Stream:
    source = call.text("fromSrc")
    repository = call.text("repo")
    options: dict[str, Any] = {
        "reference": reference_of(repository, call.text("tag")) if repository else "",
        "changes": call.texts("changes"),
        "message": call.text("message") or f"Imported from {redacted(source)}",
        "platform": call.text("platform"),
        "epoch": call.number("epoch"),
    }

    async def work(progress: Progress) -> None:
        if source == "-":
            await images.import_image(call.upload(), progress=progress, **options)
            return
        address = source if "://" in source else f"http://{source}"
        progress({"status": f"Downloading from {redacted(address)}"})
        async with webfile.opened(address) as found:
            stream = _counted(found, progress)
            await images.import_image(stream, progress=progress, **options)

    return await send_progress(call, work)


async def _counted(found: webfile.WebFile, progress: Progress) -> AsyncIterator[bytes]:
    size, told = 0, 0.0
    async for piece in found.pieces:
        size += len(piece)
        if time.monotonic() - told > _EVERY:
            told = time.monotonic()
            progress({"status": "Importing", "progressDetail": {"current": size, "total": found.size}})
        yield piece
