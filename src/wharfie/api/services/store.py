"""The image store as a whole between the routes and the store itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from wharfie.api.backends import Progress
from wharfie.engine.events import EventBus
from wharfie.engine.system import System
from wharfie.images.pipe import Source
from wharfie.images.store import ImageStore
from wharfie.wire.images import StoreCheck, StoreProblem


class StoreService:
    """The backend of the store's routes."""

    def __init__(self, store: ImageStore, system: System, events: EventBus) -> None:
        self._store = store
        self._system = system
        self._events = events

    @asynccontextmanager
    async def save(self, refs: Sequence[str], *, platform: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """``docker save``."""
        found = self._store.chosen([*refs], platform=platform or None)
        async with self._store.save(found) as pieces:
            yield pieces
        for saved in found:
            name = saved.names[0].familiar if saved.names else saved.image.id
            self._events.emit("image", "save", saved.image.id, {"name": name})

    async def load(
        self, stream: AsyncIterator[bytes] | Source, *, platform: str, quiet: bool, progress: Progress
    ) -> None:
        """``docker load``."""
        for image in await self._store.load(
            stream, platform=platform or None, quiet=quiet, progress=progress
        ):
            name = image.repo_tags[0] if image.repo_tags else image.id
            self._events.emit("image", "load", image.id, {"name": name})

    async def squash(self, ref: str, *, reference: str, message: str, epoch: int | None) -> str:
        """Our ``image squash``."""
        image = await self._store.squash(ref, target=reference or None, message=message, epoch=epoch)
        if reference and image.repo_tags:
            self._events.emit("image", "tag", image.id, {"name": image.repo_tags[0]})
        return image.id

    async def check(self, *, repair: bool) -> StoreCheck:
        """Our ``system check``."""
        done = await self._store.check(repair=repair, in_use=self._system.image_users)
        return StoreCheck(
            images=done.images,
            layers=done.layers,
            blobs=done.blobs,
            bytes=done.bytes,
            busy=done.busy,
            problems=[
                StoreProblem(kind=one.kind, what=one.what, action=one.action, repaired=one.repaired)
                for one in done.problems
            ],
        )
