"""Images between the routes and the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from wharfie.api.backends import Filters, Progress
from wharfie.engine.events import EventBus
from wharfie.engine.system import System
from wharfie.images.distribution import Distribution
from wharfie.images.image import Image
from wharfie.images.reference import parse
from wharfie.images.store import ImageStore
from wharfie.wire.containers import GraphDriver
from wharfie.wire.images import (
    HistoryItem,
    ImageConfig,
    ImageDelete,
    ImageInspect,
    ImagePrune,
    ImageSummary,
    RootFS,
)

# inside the class "list" is a method
Deletes = list[ImageDelete]


class ImageService:
    """The backend of the image routes."""

    def __init__(
        self, store: ImageStore, distribution: Distribution, system: System, events: EventBus
    ) -> None:
        self._store = store
        self._distribution = distribution
        self._system = system
        self._events = events

    def list(
        self, *, all: bool, filters: Filters, digests: bool, shared_size: bool
    ) -> Sequence[ImageSummary]:
        """``docker images``."""
        found = self._store.list({name: [*values] for name, values in filters.items()}, all)
        shared = {}
        if shared_size:
            shared = {one.image.id: one.shared for one in self._store.disk_usage().images}
        return [
            _summary(image, shared.get(image.id, -1), len(self._system.image_users(image.id)))
            for image in found
        ]

    def inspect(self, ref: str, *, platform: str) -> ImageInspect:
        """``docker image inspect``."""
        return _inspection(self._store.get(ref, platform=platform or None))

    def history(self, ref: str, *, platform: str) -> Sequence[HistoryItem]:
        """``docker history``."""
        self._store.get(ref, platform=platform or None)
        return [
            HistoryItem(
                comment=item.comment,
                created=item.created,
                created_by=item.created_by,
                id=item.id,
                size=item.size,
                tags=item.tags or None,
            )
            for item in self._store.history(ref)
        ]

    async def import_image(
        self,
        stream: AsyncIterator[bytes],
        *,
        reference: str,
        changes: Sequence[str],
        message: str,
        platform: str,
        epoch: int | None,
        progress: Progress,
    ) -> None:
        """``docker import``."""
        image = await self._store.import_image(
            stream,
            ref=reference or None,
            changes=[*changes],
            message=message,
            platform=platform or None,
            epoch=epoch,
        )
        self._events.emit("image", "import", image.id, {"name": reference or image.id})
        progress({"status": image.id})

    async def bootstrap(self, name: str, *, suite: str, progress: Progress) -> None:
        """Make an image of the distribution's packages."""
        image = await self._store.bootstrap(name, suite=suite or None, progress=progress)
        self._events.emit("image", "import", image.id, {"name": name})

    async def tag(self, ref: str, target: str) -> None:
        """``docker tag``."""
        self._store.tag(ref, target)
        name = parse(target).with_default_tag().familiar
        self._events.emit("image", "tag", self._store.get(ref).id, {"name": name})

    async def remove(self, ref: str, *, force: bool, noprune: bool, platform: str) -> Sequence[ImageDelete]:
        """``docker rmi``."""
        identifier = self._store.get(ref, platform=platform or None).id
        records = self._store.remove(ref, force=force, noprune=noprune, in_use=self._system.image_users)
        return self._tell(records, identifier)

    async def prune(self, filters: Filters) -> ImagePrune:
        """``docker image prune``."""
        given = {name: [*values] for name, values in filters.items()}
        done = self._store.prune(given, self._system.image_users)
        reclaimed = done.reclaimed + self._distribution.leftovers.clear()
        deleted = self._tell(done.deleted, "")
        self._events.emit("image", "prune", "", {"reclaimed": str(reclaimed)})
        return ImagePrune(images_deleted=deleted or None, space_reclaimed=reclaimed)

    def _tell(self, records: Sequence[dict[str, str]], identifier: str) -> Deletes:
        found = []
        for record in records:
            untagged, deleted = record.get("Untagged", ""), record.get("Deleted", "")
            if untagged:
                self._events.emit("image", "untag", identifier or untagged, {"name": identifier or untagged})
            elif deleted.startswith("sha256:"):
                self._events.emit("image", "delete", deleted, {"name": deleted})
            found.append(ImageDelete(untagged=untagged, deleted=deleted))
        return found


def _summary(image: Image, shared: int, containers: int) -> ImageSummary:
    return ImageSummary(
        containers=containers,
        created=image.created_unix,
        id=image.id,
        labels=image.config.labels,
        parent_id=image.parent,
        repo_digests=image.repo_digests,
        repo_tags=image.repo_tags,
        shared_size=shared,
        size=image.size,
    )


def _inspection(image: Image) -> ImageInspect:
    document = image.document
    data = {"UpperDir": image.lower[0]} if image.lower else {}
    if len(image.lower) > 1:
        data["LowerDir"] = ":".join(image.lower[1:])
    return ImageInspect(
        id=image.id,
        repo_tags=image.repo_tags,
        repo_digests=image.repo_digests,
        parent=image.parent,
        comment=document.comment,
        created=image.created,
        docker_version=document.docker_version,
        author=document.author,
        config=msgspec.convert(msgspec.to_builtins(image.config), ImageConfig),
        architecture=image.architecture,
        variant=image.variant,
        os=image.os,
        os_version=document.os_version,
        size=image.size,
        graph_driver=GraphDriver(name="overlay2", data=data),
        root_fs=RootFS(layers=image.diff_ids or None),
    )
