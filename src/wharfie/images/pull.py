"""``pull``: manifest, configuration, then all layers at once, each unpacked while it arrives.

Progress is told in Docker's messages. Nothing of the image can be seen before every digest was verified: of
the manifest (when it was asked for by digest), of the configuration (the image's id), of each blob as it
came, and of each unpacked archive against the configuration.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from wharfie.errors import NotSupported
from wharfie.images import config as configs
from wharfie.images import manifests, reference
from wharfie.images.image import Image, RegistryAuth
from wharfie.images.layers import DigestMismatch, Layer
from wharfie.images.manifests import BadManifest, Descriptor, Manifest, NoSuchPlatform
from wharfie.images.pipe import InwardPipe, PipeBroken, ended, in_thread
from wharfie.images.platform import Platform
from wharfie.images.registry import Registry, is_insecure
from wharfie.support.ids import short_id
from wharfie.support.tasks import spawn

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

PARALLEL = 3
"""Layers at a time; Docker's number."""
_EVERY = 0.1
_NESTED = 3

Progress = Callable[[dict[str, object]], None]


class Pull:
    """One pull of one name."""

    def __init__(
        self,
        store: ImageStore,
        name: reference.Reference,
        platform: Platform | None,
        auth: RegistryAuth | None,
        progress: Progress,
    ) -> None:
        self._store = store
        self._name = name
        self._wanted = platform
        self._auth = auth
        self._progress = progress
        self._slots = asyncio.Semaphore(PARALLEL)

    async def run(self) -> Image:
        """Pull; see :meth:`ImageStore.pull`."""
        insecure = is_insecure(self._name.domain, self._store.insecure_registries)
        async with Registry(self._name, self._auth, insecure=insecure) as registry:
            wanted = self._name.digest or self._name.tag
            self._tell({"status": f"Pulling from {self._name.path}", "id": wanted})
            manifest, body, digest, top = await self._manifest(registry, wanted)
            known = self._store.catalog.image(manifest.config.digest)
            if known is None:
                image = await self._fetch(registry, manifest, body, digest, top)
            else:
                for name, tagged in self._names(top):
                    self._store.catalog.set_name(name, known.id, tagged=tagged)
                image = self._store.image_of(known)
        self._tell({"status": f"Digest: {top}"})
        outcome = "Downloaded newer image for" if known is None else "Image is up to date for"
        self._tell({"status": f"Status: {outcome} {self._name.familiar}"})
        return image

    def _tell(self, message: dict[str, object]) -> None:
        self._progress(message)

    def _names(self, top: str) -> list[tuple[str, bool]]:
        names = [(self._name.with_digest(top).canonical, False)]
        if self._name.tag and not self._name.digest:
            names.append((self._name.canonical, True))
        return names

    async def _manifest(self, registry: Registry, wanted: str) -> tuple[Manifest, bytes, str, str]:
        """The image's manifest, its bytes and digest, and the digest of what the name stands for."""
        body, media_type, digest = await registry.manifest(wanted)
        top = digest
        for _depth in range(_NESTED):
            found = manifests.parse(body, media_type)
            if isinstance(found, Manifest):
                return found, body, digest, top
            chosen = manifests.choose(found, self._wanted or Platform.of_host())
            body, media_type, digest = await registry.manifest(chosen.digest)
        raise BadManifest("the manifest list leads to further lists without end")

    async def _fetch(
        self, registry: Registry, manifest: Manifest, body: bytes, digest: str, top: str
    ) -> Image:
        raw = await registry.small_blob(manifest.config, configs.CONFIG_LIMIT)
        document = configs.decode(raw)
        self._check(document, manifest)
        diff_ids = document.rootfs.diff_ids or []
        for layer in manifest.layers:
            self._tell({"status": "Pulling fs layer", "progressDetail": {}, "id": short_id(layer.digest)})
        # the same content twice in an image (an empty layer) is fetched once
        try:
            async with asyncio.TaskGroup() as group:
                work = {
                    diff_id: group.create_task(self._layer(registry, diff_id, layer))
                    for diff_id, layer in zip(diff_ids, manifest.layers, strict=True)
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        done = {diff_id: task.result() for diff_id, task in work.items()}
        self._store.layers.put_blob(digest, body)
        await asyncio.to_thread(self._store.layers.sync)
        with self._store.catalog.db.transaction():
            self._store.catalog.add_blob(digest, len(body), "manifest")
            return self._store.register(
                raw, [done[diff_id] for diff_id in diff_ids], names=self._names(top), manifest=digest
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

    async def _layer(self, registry: Registry, diff_id: str, wanted: Descriptor) -> Layer:
        shown = short_id(wanted.digest)
        known = self._store.catalog.layer_by_diff(diff_id)
        if known is not None:
            self._tell({"status": "Already exists", "progressDetail": {}, "id": shown})
            return Layer(known.diff, known.size, known.blob)
        if self._slots.locked():
            self._tell({"status": "Waiting", "progressDetail": {}, "id": shown})
        async with self._slots, self._store.drafted() as draft:
            pipe = InwardPipe()
            feeder = spawn(f"download {shown}", pipe.feed(self._download(registry, wanted, shown)))

            def work() -> Layer:
                try:
                    layer = draft.fill(pipe.read, keep_blob=True)
                finally:
                    pipe.abandon()
                if layer.diff_id != diff_id or (layer.blob or layer.diff_id) != wanted.digest:
                    raise DigestMismatch(f"filesystem layer verification failed for digest {wanted.digest}")
                self._store.layers.place(draft, layer)
                return layer

            worker = in_thread(f"unpack {shown}", work)
            try:
                layer = await asyncio.shield(worker)
            finally:
                feeder.cancel()
                pipe.close(PipeBroken("the pull was given up"))
                await ended(feeder, worker)
            self._tell({"status": "Pull complete", "progressDetail": {}, "id": shown})
            return layer

    async def _download(self, registry: Registry, wanted: Descriptor, shown: str) -> AsyncIterator[bytes]:
        """The blob, with its progress told."""
        taken = 0
        last = 0.0
        async for piece in registry.blob(wanted):
            taken += len(piece)
            now = time.monotonic()
            if now - last >= _EVERY:
                last = now
                self._tell(_bar("Downloading", shown, taken, wanted.size))
            yield piece
        self._tell({"status": "Verifying Checksum", "progressDetail": {}, "id": shown})
        self._tell({"status": "Download complete", "progressDetail": {}, "id": shown})
        self._tell(_bar("Extracting", shown, taken, wanted.size))


def _bar(status: str, shown: str, current: int, total: int) -> dict[str, object]:
    return {"status": status, "progressDetail": {"current": current, "total": total}, "id": shown}
