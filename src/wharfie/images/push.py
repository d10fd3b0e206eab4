"""``push``: each layer that the registry lacks, then the configuration, then the manifest that names them.

An image that was pulled is pushed with the manifest it came by, byte for byte, as long as all of its blobs
can be had in the same form; its digest is then the same everywhere. Otherwise a manifest of Docker's schema 2
is made (OCI's, if a layer is compressed in a way that only OCI knows), with the compressed layers that are
kept and with gzip for the others.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from wharfie.images import decompress, manifests, reference
from wharfie.images.catalog import LayerRow
from wharfie.images.fetching import bar, retrying
from wharfie.images.image import Image
from wharfie.images.layersource import FileSource, MadeSource
from wharfie.images.manifests import Descriptor, Manifest
from wharfie.images.registry.upload import Upload
from wharfie.images.store import ImageStore
from wharfie.support.faults import point
from wharfie.support.ids import short_id

_EVERY = 0.1
_CHECKED = 4
"""Known forms of a layer that a registry is asked about."""
_TYPES = {"gzip": manifests.DOCKER_GZIP, "zstd": manifests.OCI_ZSTD}

Progress = Callable[[dict[str, object]], None]


class Push:
    """One image to one name."""

    def __init__(
        self,
        store: ImageStore,
        upload: Upload,
        name: reference.Reference,
        image: Image,
        slots: asyncio.Semaphore,
        progress: Progress,
    ) -> None:
        self._store = store
        self._upload = upload
        self._name = name
        self._image = image
        self._slots = slots
        self._tell = progress

    async def run(self) -> None:
        """Push; raises RegistryUnreachable, RegistryDenied."""
        rows = {row.diff: row for row in self._store.catalog.layers(self._image.id)}
        exact = await asyncio.to_thread(self._exact, rows)
        for row in reversed(rows.values()):
            self._say("Preparing", row)
        try:
            async with asyncio.TaskGroup() as group:
                work = {
                    diff_id: group.create_task(self._layer(row, exact[2][diff_id] if exact else None))
                    for diff_id, row in rows.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        point("all layers of a push are there")
        await self._upload.small_blob(self._image.raw)
        if exact is not None:
            body, media_type, _ = exact
        else:
            order = [work[diff_id].result() for diff_id in self._image.diff_ids]
            body, media_type = manifests.make(self._image.id, len(self._image.raw), order)
        point("a manifest is about to be pushed")
        digest = await self._upload.manifest(self._name.tag, body, media_type)
        point("a manifest was pushed")
        with self._store.catalog.db.transaction():
            self._store.catalog.set_name(
                self._name.with_digest(digest).canonical, self._image.id, tagged=False
            )
        self._tell({"status": f"{self._name.tag}: digest: {digest} size: {len(body)}"})
        self._tell(
            {"progressDetail": {}, "aux": {"Tag": self._name.tag, "Digest": digest, "Size": len(body)}}
        )

    def _say(self, status: str, row: LayerRow) -> None:
        self._tell({"status": status, "progressDetail": {}, "id": short_id(row.diff)})

    def _exact(self, rows: dict[str, LayerRow]) -> tuple[bytes, str, dict[str, Descriptor]] | None:
        """The manifest the image came by with its layers by diff id, if it can be pushed as it is."""
        if not self._image.manifest.startswith("sha256:"):
            return None
        try:
            with open(self._store.layers.blob(self._image.manifest), "rb") as file:
                body = file.read(manifests.LIMIT)
            found = manifests.parse(body, manifests.own_type(body))
        except (OSError, manifests.BadManifest):
            return None
        if not isinstance(found, Manifest) or len(found.layers) != len(self._image.diff_ids):
            return None
        layers = dict(zip(self._image.diff_ids, found.layers, strict=True))
        same = all(layer.digest in (rows[diff].blob, diff) for diff, layer in layers.items())
        return (body, manifests.own_type(body), layers) if same else None

    async def _layer(self, row: LayerRow, wanted: Descriptor | None) -> Descriptor:
        """Have the registry hold a layer; what the manifest says of it."""
        if self._slots.locked():
            self._say("Waiting", row)
        async with self._slots:
            point("a layer's push begins")
            found = await self._known(row, wanted)
            if found is not None:
                return found
            kept = "" if wanted is not None and wanted.digest == row.diff else row.blob
            return await self._send(row, kept, plain=wanted is not None and not kept)

    async def _known(self, row: LayerRow, wanted: Descriptor | None) -> Descriptor | None:
        """A form of the layer that is there, or can be taken over from another repository of the registry."""
        forms: dict[str, Descriptor] = {}
        sources: dict[str, str] = {}
        if wanted is not None:
            forms[wanted.digest] = wanted
        here = self._name.domain + "/"
        for digest, size, media, repository in self._store.catalog.remembered_blobs(row.diff):
            if repository.startswith(here) and (wanted is None or wanted.digest == digest):
                forms.setdefault(digest, Descriptor(digest, size, media))
                if repository != self._name.name:
                    sources.setdefault(digest, repository.removeprefix(here))
        if wanted is None and row.blob not in ("", *forms):
            size, media = await asyncio.to_thread(self._kept, row.blob)
            if media:
                forms[row.blob] = Descriptor(row.blob, size, media)
        for form in list(forms.values())[:_CHECKED]:
            if await self._upload.has_blob(form.digest) is not None:
                self._say("Layer already exists", row)
                return self._done(row, form)
        for digest, source in sources.items():
            if await self._upload.mount(digest, source):
                self._say(f"Mounted from {source}", row)
                return self._done(row, forms[digest])
        return None

    async def _send(self, row: LayerRow, kept: str, *, plain: bool) -> Descriptor:
        """Upload the blob ``kept``, or the archive made anew, compressed unless it is to be ``plain``."""
        told = 0.0

        def count(sent: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _EVERY:
                told = now
                # what is compressed on the way has no size yet; Docker too measures it by the layer's
                self._tell(bar("Pushing", short_id(row.diff), sent, source.size or max(row.size, sent)))

        source: FileSource | MadeSource
        size, media = await asyncio.to_thread(self._kept, kept) if kept else (0, "")
        if media:
            source = FileSource(self._store.layers.blob(kept), kept, size, count)
        else:
            directory = self._store.layers.directory(row.directory)
            source = MadeSource(directory, compressed=not plain, count=count)
            media = manifests.DOCKER_TAR if plain else manifests.DOCKER_GZIP
        self._tell(bar("Pushing", short_id(row.diff), 0, source.size or row.size))
        point("an upload begins")
        await self._upload.blob(source, lambda seconds: self._say(retrying(seconds), row))
        point("an upload is whole")
        self._say("Pushed", row)
        return self._done(row, Descriptor(source.digest, source.size, media))

    def _kept(self, digest: str) -> tuple[int, str]:
        """Size and type of a blob that is kept; no type if a registry would not take it."""
        with open(self._store.layers.blob(digest), "rb") as file:
            kind = decompress.kind_of(file.read(decompress.LONGEST_MAGIC))
            return os.fstat(file.fileno()).st_size, _TYPES.get(kind, "")

    def _done(self, row: LayerRow, form: Descriptor) -> Descriptor:
        self._store.catalog.remember_blob(row.diff, form.digest, form.size, form.media_type, self._name.name)
        return form
