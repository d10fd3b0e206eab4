"""``pull``: manifest, configuration, then all layers at once, each unpacked while it arrives.

Progress is told in Docker's messages. Nothing of the image can be seen before every digest was verified: of
the manifest (when it was asked for by digest), of the configuration (the image's id), of each blob as it
came, and of each unpacked archive against the configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from wharfie.errors import NotSupported, Unavailable
from wharfie.images import config as configs
from wharfie.images import manifests, reference
from wharfie.images.fetching import Fetcher
from wharfie.images.image import Image
from wharfie.images.layers import Layer
from wharfie.images.leftovers import Leftovers
from wharfie.images.manifests import BadManifest, Descriptor, Manifest, NoSuchPlatform
from wharfie.images.platform import Platform
from wharfie.images.registry.repository import Repository
from wharfie.images.store import ImageStore
from wharfie.images.transfers import Message, Tell, Transfer, Transfers
from wharfie.support.faults import point
from wharfie.support.ids import short_id

_NESTED = 3

Progress = Callable[[dict[str, object]], None]


class Tools(NamedTuple):
    """What all pulls of a daemon share."""

    store: ImageStore
    transfers: Transfers
    fetcher: Fetcher
    leftovers: Leftovers


class Pull:
    """One pull of one name from one endpoint."""

    def __init__(
        self,
        tools: Tools,
        repository: Repository,
        name: reference.Reference,
        platform: Platform | None,
        progress: Progress,
    ) -> None:
        self._tools = tools
        self._repository = repository
        self._store = tools.store
        self._name = name
        self._wanted = platform
        self._tell: Tell = progress
        self._joined: list[Transfer] = []

    async def run(self) -> tuple[Image, bool]:
        """The image, and whether it is new here."""
        wanted = self._name.digest or self._name.tag
        point("a manifest is asked for")
        manifest, body, digest, top = await self._manifest(wanted)
        self._tell({"status": f"Pulling from {self._name.path}", "id": wanted})
        known = self._store.catalog.image(manifest.config.digest)
        if known is None:
            image = await self._fetch(manifest, body, digest, top)
        else:
            point("a pull names a known image")
            with self._store.catalog.db.transaction():
                for name, tagged in self._names(top):
                    self._store.catalog.set_name(name, known.id, tagged=tagged)
            image = self._store.image_of(known)
        self._tell({"status": f"Digest: {top}"})
        return image, known is None

    def _names(self, top: str) -> list[tuple[str, bool]]:
        names = [(self._name.with_digest(top).canonical, False)]
        if self._name.tag and not self._name.digest:
            names.append((self._name.canonical, True))
        return names

    async def _manifest(self, wanted: str) -> tuple[Manifest, bytes, str, str]:
        """The image's manifest, its bytes and digest, and the digest of what the name stands for."""
        body, media_type, digest = await self._repository.manifest(wanted)
        top = digest
        for _depth in range(_NESTED):
            found = manifests.parse(body, media_type)
            if isinstance(found, Manifest):
                return found, body, digest, top
            chosen = manifests.choose(found, self._wanted or Platform.of_host())
            body, media_type, digest = await self._repository.manifest(chosen.digest)
        raise BadManifest("the manifest list leads to further lists without end")

    async def _fetch(self, manifest: Manifest, body: bytes, digest: str, top: str) -> Image:
        point("a configuration is asked for")
        keep = False
        try:
            raw = await self._config(manifest.config)
            document = configs.decode(raw)
            self._check(document, manifest)
            diff_ids = document.rootfs.diff_ids or []
            for layer in manifest.layers:
                self._tell({"status": "Pulling fs layer", "progressDetail": {}, "id": short_id(layer.digest)})
            wanted = dict(zip(diff_ids, manifest.layers, strict=True))
            done = await self._layers(wanted)
            image = await self._register(raw, [done[diff_id] for diff_id in diff_ids], body, digest, top)
            self._remember(wanted)
        except (asyncio.CancelledError, Unavailable):
            keep = True  # to be taken up again
            raise
        finally:
            await asyncio.shield(self._let_go(keep=keep))
        return image

    async def _config(self, wanted: Descriptor) -> bytes:
        async def work(_: Tell) -> bytes:
            async with self._repository.transport:
                return await self._repository.small_blob(wanted, configs.CONFIG_LIMIT)

        transfer = self._tools.transfers.join((self._name.domain, wanted.digest), work, self._tell)
        self._joined.append(transfer)
        document: bytes = await asyncio.shield(transfer.result)
        return document

    async def _register(self, raw: bytes, layers: list[Layer], body: bytes, digest: str, top: str) -> Image:
        point("all layers of a pull are here")
        self._store.layers.put_blob(digest, body)
        point("a pulled image is about to get its rows")
        with self._store.catalog.db.transaction():
            self._store.catalog.add_blob(digest, len(body), "manifest")
            image = self._store.register(raw, layers, names=self._names(top), manifest=digest)
        point("a pulled image has its rows")
        return image

    def _remember(self, layers: dict[str, Descriptor]) -> None:
        """The registry has these blobs: a push need not send them there again."""
        for diff_id, layer in layers.items():
            self._store.catalog.remember_blob(
                diff_id, layer.digest, layer.size, layer.media_type, self._name.name
            )

    def _check(self, document: configs.ImageConfig, manifest: Manifest) -> None:
        if len(document.rootfs.diff_ids or []) != len(manifest.layers):
            raise BadManifest("the manifest and the image configuration differ in their number of layers")
        if document.os != "linux":
            raise NotSupported(
                f'image operating system "{document.os}" cannot be used on this platform: linux'
            )
        theirs = Platform(document.os, document.architecture, document.variant)
        if self._wanted is not None and self._wanted.rank(theirs) is None:
            raise NoSuchPlatform(
                f"image with reference {self._name.familiar} was found but does not match the "
                f"specified platform: wanted {self._wanted}, actual: {theirs}"
            )

    async def _layers(self, wanted: dict[str, Descriptor]) -> dict[str, Layer]:
        """All layers by diff id: the same content twice in an image (an empty layer) is fetched once."""
        try:
            async with asyncio.TaskGroup() as group:
                work = {
                    diff_id: group.create_task(self._layer(diff_id, layer))
                    for diff_id, layer in wanted.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {diff_id: task.result() for diff_id, task in work.items()}

    async def _layer(self, diff_id: str, wanted: Descriptor) -> Layer:
        known = self._store.catalog.layer_by_diff(diff_id)
        if known is not None:
            shown = short_id(wanted.digest)
            self._tell({"status": "Already exists", "progressDetail": {}, "id": shown})
            return Layer(known.diff, known.size, known.blob)

        async def work(tell: Callable[[Message], None]) -> Layer:
            return await self._tools.fetcher.fetch(self._repository, diff_id, wanted, tell)

        key = (self._name.domain, diff_id, wanted.digest)
        transfer = self._tools.transfers.join(key, work, self._tell)
        self._joined.append(transfer)
        layer: Layer = await asyncio.shield(transfer.result)
        return layer

    async def _let_go(self, *, keep: bool) -> None:
        """What is fetched belongs to an image now, waits for another attempt, or is the store's to sweep."""
        for transfer in self._joined:
            alone = await self._tools.transfers.leave(transfer, self._tell)
            result = transfer.result
            if keep and alone and result.done() and not result.cancelled() and not result.exception():
                layer = result.result()
                if isinstance(layer, Layer) and self._store.catalog.layer_by_diff(layer.diff_id) is None:
                    self._tools.leftovers.keep_layer(layer)
