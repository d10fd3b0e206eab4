"""The images of one daemon.

The catalog (rows) belongs to the event loop; archives are worked on in threads. An image appears in one
transaction, when all its layers are in place; what is interrupted before leaves only files without rows,
swept at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from wharfie.errors import Conflict, InvalidArgument
from wharfie.images import bootstrap as packages
from wharfie.images import (
    checking,
    committing,
    disk,
    importing,
    loading,
    reference,
    removal,
    saving,
    squashing,
)
from wharfie.images import config as configs
from wharfie.images import filters as listing
from wharfie.images.catalog import GHOST, Catalog, Garbage, ImageRow, LayerRow
from wharfie.images.durability import Durability
from wharfie.images.history import created_seconds, history_of
from wharfie.images.image import (
    ContainerUse,
    DiskUsage,
    HistoryItem,
    Image,
    ImageNotFound,
    Pruned,
)
from wharfie.images.layers import Draft, Layer, LayerStore
from wharfie.images.pipe import InwardPipe, PipeBroken, Produced, Source, ended, in_thread
from wharfie.images.platform import Platform
from wharfie.state.db import Database
from wharfie.support.faults import point
from wharfie.support.ids import is_hex, short_id
from wharfie.support.tasks import spawn

_log = logging.getLogger(__name__)
_DECODED = 1024

Progress = Callable[[dict[str, object]], None]
InUse = Callable[[str], list[ContainerUse]]
# inside the class "list" is docker's word for looking through the images
Images = list[Image]
History = list[HistoryItem]
Records = list[dict[str, str]]
Layers = list[Layer]
Words = list[str]
SavedImages = list[saving.Saved]


class LayerVanished(Conflict):
    """Another image was removed while this one was made on its layers."""


class ImageStore:
    """Names, configurations and layers, and all that is done with them."""

    def __init__(self, data_root: str, db: Database) -> None:
        self.catalog = Catalog(db)
        self.layers = LayerStore(data_root)
        self.durability = Durability(self.catalog, self.layers)
        self._decoded: dict[str, configs.ImageConfig] = {}
        self._at_work = 0
        self._deferred: set[str] = set()
        self.spared: set[str] = set()
        """Names of what has no row and yet stays: a pull may be taken up again."""
        self.catalog.collect()
        for problem in self.layers.sweep(self.catalog.directories(), self.catalog.blobs()):
            _log.warning("a left-over of an interrupted pull stays: %s", problem)

    # looking

    def get(self, ref: str, *, platform: str | None = None) -> Image:
        """The image that a name, an id or the beginning of an id stands for.

        Raises:
            ImageNotFound: there is none. NoSuchPlatform: it is for another platform than this.
        """
        image = self.image_of(self.find(ref)[0])
        saving.check_platform(image, ref, Platform.parse(platform) if platform else None)
        return image

    def by_id(self, image_id: str) -> Image:
        """The image of exactly this id, even one removed by force that a container still needs."""
        row = self.catalog.image(image_id, ghosts=True)
        if row is None:
            raise ImageNotFound(f"No such image: {image_id}")
        return self.image_of(row)

    def find(self, ref: str) -> tuple[ImageRow, reference.Reference | None]:
        """The row behind ``ref``, and the name if it was a name (None: it was an id)."""
        digits = ref.removeprefix("sha256:")
        if reference.is_image_id(ref):
            row = self.catalog.image("sha256:" + digits)
            if row is None:
                raise ImageNotFound(f"No such image: {ref}")
            return row, None
        try:
            named = reference.parse(ref)
        except reference.InvalidReference:
            if not (ref.startswith("sha256:") and is_hex(digits)):
                raise
            named = None
        if named is not None:
            full = named.with_digest(named.digest) if named.digest else named.with_default_tag()
            image_id = self.catalog.image_of(full.canonical)
            row = None if image_id is None else self.catalog.image(image_id)
            if row is not None:
                return row, full
        if is_hex(digits) and len(digits) < 64:
            found = self.catalog.ids_with_prefix("sha256:" + digits)
            row = self.catalog.image(found[0]) if len(found) == 1 else None
            if row is not None:
                return row, None
        shown = ref if named is None else named.with_default_tag().familiar
        raise ImageNotFound(f"No such image: {shown}")

    def image_of(self, row: ImageRow) -> Image:
        """A row with all that belongs to it."""
        return self._made(row, self.catalog.names(row.id), self.catalog.layer_directories(row.id))

    def _made(self, row: ImageRow, known_as: list[tuple[str, bool]], directories: list[str]) -> Image:
        document = self._decoded.get(row.id)
        if document is None:
            if len(self._decoded) >= _DECODED:
                self._decoded.clear()
            document = self._decoded[row.id] = configs.decode(row.config.encode())
        names = [(reference.parse(name).familiar, tagged) for name, tagged in known_as]
        return Image(
            id=row.id,
            document=document,
            lower=[self.layers.diff(directory) for directory in reversed(directories)],
            repo_tags=[name for name, tagged in names if tagged],
            repo_digests=[name for name, tagged in names if not tagged],
            size=row.size,
            parent=row.parent,
            raw=row.config.encode(),
            manifest=row.manifest,
            created_unix=row.created,
        )

    def images(self) -> Images:
        """Every image, newest first."""
        names, directories = self.catalog.all_names(), self.catalog.all_layer_directories()
        return [
            self._made(row, names.get(row.id, []), directories.get(row.id, []))
            for row in self.catalog.images()
        ]

    def list(self, filters: listing.Filters | None = None, all: bool = False) -> Images:
        """What ``docker images`` shows; raises InvalidArgument for a filter it does not have."""
        return listing.listed(self, filters or {}, all=all)

    def history(self, ref: str) -> History:
        """How an image came to be, newest step first."""
        return history_of(self, self.get(ref))

    def disk_usage(self, in_use: InUse | None = None) -> DiskUsage:
        """What images take on disk."""
        return disk.usage(self, in_use)

    # naming and removing

    def tag(self, ref: str, target: str) -> None:
        """Give the image ``ref`` the name ``target`` too, taking it from any other."""
        row, _ = self.find(ref)
        name = reference.parse(target)
        if name.digest:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        self.catalog.set_name(name.with_default_tag().canonical, row.id, tagged=True)

    def remove(self, ref: str, *, force: bool = False, noprune: bool = False, in_use: InUse) -> Records:
        """Docker's ``rmi``: what was untagged and deleted, in order; raises ImageInUse."""
        return removal.remove(self, ref, force=force, prune=not noprune, in_use=in_use)

    def prune(self, filters: listing.Filters | None, in_use: InUse) -> Pruned:
        """Docker's ``image prune``."""
        return removal.prune(self, filters or {}, in_use)

    def release(self, image_id: str, in_use: InUse) -> None:
        """A container of the image is gone: if nothing but containers needed it, it may go with the last."""
        row = self.catalog.image(image_id, ghosts=True)
        if row is not None and row.manifest == GHOST and not in_use(image_id):
            self.collect(in_use)

    def collect(self, in_use: InUse) -> int:
        """Drop ghosts whose containers are gone, and unused layers; the bytes that were freed."""
        with self.catalog.db.transaction():
            for ghost in self.catalog.ghosts():
                if not in_use(ghost):
                    self.catalog.drop_image(ghost, ghost=False)
            garbage = self.catalog.collect()
        return self.discard(garbage)

    def discard(self, garbage: Garbage) -> int:
        """Remove the files of what :meth:`Catalog.collect` found, its transaction being over.

        The bytes freed.
        """
        self.discard_files([*garbage.directories, *garbage.blobs])
        return garbage.reclaimed

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """While this lasts no layer or blob leaves the disk.

        At the end of the last one everything goes that has no row by then: what was removed meanwhile, and
        what was placed for an image that did not come to be.
        """
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            self._let_go()

    @property
    def workers(self) -> int:
        """How many are making or reading images."""
        return self._at_work

    def discard_files(self, names: Iterable[str]) -> None:
        """Remove directories and blobs (by their digest) that have no row any more, as soon as may be."""
        self._deferred.update(names)
        self._let_go()

    def is_expected(self, path: str) -> bool:
        """Whether a file without a row is to be removed already, or stays for a pull to be taken up again."""
        name = os.path.basename(path)
        return bool({name, f"sha256:{name}"} & (self._deferred | self.spared))

    def discard_paths(self, paths: Words) -> None:
        """Remove left-overs, in the background."""
        if paths:
            try:
                spawn("remove layers", asyncio.to_thread(self._remove, paths))
            except RuntimeError:  # used without an event loop
                self._remove(paths)

    def _let_go(self) -> None:
        if self._at_work:
            return
        candidates = self._deferred | self.layers.placed
        if not candidates:
            return
        loose = candidates - self.catalog.directories() - self.catalog.blobs() - self.spared
        self._deferred.clear()
        self.layers.placed.clear()
        blobs = {name for name in loose if name.startswith("sha256:")}
        self.discard_paths(self.layers.hide(sorted(loose - blobs), sorted(blobs)))

    def _remove(self, hidden: Words) -> None:
        for problem in self.layers.remove(hidden):
            _log.warning("a removed layer stays on disk until the next start: %s", problem)

    # making

    def register(
        self,
        document: bytes,
        layers: Layers,
        *,
        names: Iterable[tuple[str, bool]] = (),
        manifest: str = "",
        parent: str = "",
    ) -> Image:
        """An image whose layers are in place appears, with its names, in one transaction.

        Raises:
            LayerVanished: a layer that was there is not any more.
        """
        decoded = configs.decode(document)
        diff_ids = decoded.rootfs.diff_ids or []
        chains = configs.chain_ids(diff_ids)
        rows = [
            LayerRow(
                chain, chains[at - 1] if at else "", layer.diff_id, layer.directory, layer.size, layer.blob
            )
            for at, (chain, layer) in enumerate(zip(chains, layers, strict=True))
        ]
        for layer in layers:
            if not os.path.isdir(self.layers.diff(layer.directory)):
                raise LayerVanished(f"layer {short_id(layer.diff_id)} was removed meanwhile; try again")
        identifier = configs.image_id(document)
        size = sum(layer.size for layer in layers)
        created = created_seconds(decoded)
        row = ImageRow(identifier, manifest, document.decode(), size, created, parent)
        with self.catalog.db.transaction():
            for layer in layers:
                if layer.blob and layer.blob_size:
                    self.catalog.add_blob(layer.blob, layer.blob_size, "layer")
            self.catalog.add_image(row, rows)
            for name, tagged in names:
                self.catalog.set_name(name, identifier, tagged=tagged)
            files = [name for layer in layers for name in (layer.directory, layer.blob)]
            self.durability.note([*files, manifest])
            point("an image's rows are written")
        self.durability.settle()
        return self.by_id(identifier)

    @asynccontextmanager
    async def drafted(self) -> AsyncIterator[Draft]:
        """A layer to be made; dropped unless it was placed."""
        with self.keeping():
            # no thread: whoever is cancelled meanwhile would not know of these few directories
            draft = self.layers.draft()
            try:
                yield draft
            finally:
                await asyncio.shield(spawn("drop layer draft", asyncio.to_thread(draft.discard)))

    async def fill_from(self, draft: Draft, stream: AsyncIterator[bytes], *, place: bool = True) -> Layer:
        """Unpack a stream of the event loop's into a draft, and place it."""
        pipe = InwardPipe()
        feeder = spawn("feed layer", pipe.feed(stream))

        def work() -> Layer:
            try:
                layer = draft.fill(pipe.read, keep_blob=False)
                if place:
                    self.layers.place(draft, layer)
                return layer
            finally:
                pipe.abandon()

        worker = in_thread("unpack layer", work)
        try:
            return await asyncio.shield(worker)
        finally:
            feeder.cancel()
            pipe.close(PipeBroken("the import was given up"))
            await ended(feeder, worker)

    async def load(
        self,
        stream: AsyncIterator[bytes] | Source,
        *,
        platform: str | None = None,
        quiet: bool = False,
        progress: Progress,
    ) -> Images:
        """The images of an archive that ``save`` of any engine wrote; all of them appear, or none.

        Raises:
            BadImageArchive, BadArchive, DigestMismatch, NoSuchPlatform: it is not one, or is damaged.
        """
        target = Platform.parse(platform) if platform else None
        return await loading.load(self, stream, target, progress, quiet)

    def chosen(self, refs: Words, *, platform: str | None = None) -> SavedImages:
        """What a ``save`` of these names is about; raises ImageNotFound, NoSuchPlatform."""
        return saving.chosen(self, refs, Platform.parse(platform) if platform else None)

    def save(self, images: SavedImages) -> AbstractAsyncContextManager[Produced]:
        """One archive with these images."""
        return saving.save(self, images)

    async def recover(self, in_use: InUse) -> checking.Report:
        """At a start: look at what a power failure may have torn, and mend it; see :mod:`durability`."""
        report = await checking.recheck(self, self.durability.suspects(), in_use=in_use)
        for problem in report.problems:
            _log.warning("after a power failure: %s %s: %s", problem.kind, problem.what, problem.action)
        self.durability.settle()
        return report

    async def check(self, *, repair: bool, in_use: InUse) -> checking.Report:
        """Look whether disk and catalog agree and every digest is right; mend what can be mended."""
        return await checking.check(self, repair=repair, in_use=in_use)

    async def import_image(
        self,
        stream: AsyncIterator[bytes],
        *,
        ref: str | None = None,
        changes: Words | None = None,
        message: str = "",
        platform: str | None = None,
        epoch: int | None = None,
    ) -> Image:
        """An image of one layer from an archive of a root file system.

        With ``epoch`` (seconds) its layer depends on the files only, and nothing in it is later than that.
        """
        return await importing.import_image(
            self,
            stream,
            ref=ref,
            changes=changes or [],
            message=message,
            platform=platform,
            epoch=epoch,
        )

    async def commit(
        self,
        base: Image,
        upper: str,
        *,
        ref: str | None = None,
        author: str = "",
        message: str = "",
        changes: Words | None = None,
        config: configs.RunConfig | None = None,
        created_by: str = "",
        squash: bool = False,
        epoch: int | None = None,
    ) -> Image:
        """``base`` with the content of ``upper`` as one layer more; ``config`` in place of the base's.

        ``squash``: one layer in all. ``epoch``: as for :meth:`import_image`.
        """
        wanted = committing.Commit(
            ref=ref,
            author=author,
            message=message,
            changes=changes or [],
            config=config,
            created_by=created_by,
            squash=squash,
            epoch=epoch,
        )
        return await committing.commit(self, base, upper, wanted)

    async def squash(
        self, ref: str, *, target: str | None = None, message: str = "", epoch: int | None = None
    ) -> Image:
        """An image of one layer with the same tree and configuration as ``ref``."""
        return await squashing.squash(self, self.get(ref), target=target, message=message, epoch=epoch)

    async def bootstrap(self, name: str, *, suite: str | None = None, progress: Progress) -> Image:
        """``busybox`` or ``debian[:suite]`` from the distribution's packages.

        Raises:
            InvalidArgument: another name. Unavailable: a program is missing, or no mirror can be reached.
        """
        return await packages.bootstrap(self, name, suite=suite, progress=progress)
