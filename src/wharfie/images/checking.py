"""``system check``: whether disk and catalog agree, whether every digest is right, and what can be mended.

Everything is read: each layer's archive is put together and digested, each blob, each configuration. Only
what was found is touched, and only when asked to::

    layer missing or damaged   made again from its compressed blob; without one, its images are removed
    blob missing or damaged    forgotten: the layer can make an archive without it
    image damaged              removed
    size wrong                 corrected
    row that leads nowhere     removed
    file without a row         removed, unless somebody is making images at this moment

An image that a container uses is not removed, and a layer below a running one not replaced: that is told
instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import zstandard

from wharfie.errors import InternalError, WharfieError
from wharfie.images import config as configs
from wharfie.images import tarsplit
from wharfie.images.catalog import ImageRow, LayerRow
from wharfie.images.image import ContainerUse
from wharfie.images.layers import LayerStore, tree_size
from wharfie.images.saving import batches
from wharfie.support.faults import point
from wharfie.support.ids import short_id

if TYPE_CHECKING:
    from wharfie.images.store import ImageStore

InUse = Callable[[str], list[ContainerUse]]
_UNREADABLE = (OSError, InternalError, zstandard.ZstdError, struct.error)
_CHUNK = 1 << 20
_ORPHANS = {"layers": "orphan directory", "tmp": "left-over"}


@dataclass(slots=True)
class Problem:
    """Something wrong, and what was done or can be done."""

    kind: str
    what: str
    action: str
    repaired: bool = False


@dataclass(slots=True)
class Report:
    """What a check looked at and found."""

    images: int = 0
    layers: int = 0
    blobs: int = 0
    bytes: int = 0
    busy: bool = False
    """Somebody was making images, so files without a row were not looked for."""
    problems: list[Problem] = field(default_factory=list)


async def check(store: ImageStore, *, repair: bool, in_use: InUse) -> Report:
    """Look, and with ``repair`` mend; see :meth:`ImageStore.check`."""
    with store.keeping():
        work = _Check(store, repair, in_use)
        work.rows()
        await work.blobs()
        await work.layers()
        work.images()
        await asyncio.to_thread(work.remove, work.files())
        point("check: all is mended")
        return work.report


async def recheck(store: ImageStore, names: set[str], *, in_use: InUse) -> Report:
    """Look at these files alone (directories of layers, digests of blobs), and mend."""
    with store.keeping():
        work = _Check(store, True, in_use)
        if names:
            store.catalog.forget_steps(names)
            await work.blobs(names)
            await work.layers(names)
            store.catalog.drop_unsynced(names - work.unmended)
            store.discard_files(names)
        return work.report


def digest_of(pieces: Iterable[bytes]) -> tuple[str, int]:
    """Digest and length of a stream."""
    whole, size = hashlib.sha256(), 0
    for piece in pieces:
        whole.update(piece)
        size += len(piece)
    return "sha256:" + whole.hexdigest(), size


def _of_file(path: str) -> tuple[str, int]:
    with open(path, "rb", buffering=0) as file:
        return digest_of(iter(lambda: file.read(_CHUNK), b""))


class _Check:
    def __init__(self, store: ImageStore, repair: bool, in_use: InUse) -> None:
        self._store = store
        self._catalog = store.catalog
        self._disk: LayerStore = store.layers
        self._repair = repair
        self._in_use = in_use
        self._broken_blobs: set[str] = set()
        self.unmended: set[str] = set()
        """Directories of layers that are damaged and had to stay."""
        self.report = Report()

    def _tell(self, kind: str, what: str, action: str, repaired: bool) -> None:
        self.report.problems.append(Problem(kind, what, action, repaired))

    def rows(self) -> None:
        """Rows that lead nowhere."""
        found = self._catalog.dangling()
        for table, count in found.items():
            if self._repair:
                self._catalog.drop_dangling(table)
            done = "removed" if self._repair else "can be removed"
            self._tell("dangling rows", f"{count} in the table {table}", done, self._repair)

    async def blobs(self, names: set[str] | None = None) -> None:
        """Every compressed layer and manifest; of ``names`` only, if given."""
        for digest, size in self._catalog.all_blobs():
            if names is not None and digest not in names:
                continue
            self.report.blobs += 1
            try:
                found, length = await asyncio.to_thread(_of_file, self._disk.blob(digest))
            except FileNotFoundError:
                self._lose_blob("missing blob", digest)
                continue
            except OSError as error:
                self._lose_blob("damaged blob", f"{digest}: {error.strerror}", digest)
                continue
            self.report.bytes += length
            if found != digest:
                self._lose_blob("damaged blob", digest)
            elif length != size:
                if self._repair:
                    self._catalog.set_blob_size(digest, length)
                self._wrong_size(f"blob {digest}: {size}, and it is {length} bytes")

    def _wrong_size(self, what: str) -> None:
        self._tell("wrong size", what, "corrected" if self._repair else "can be corrected", self._repair)

    def _lose_blob(self, kind: str, what: str, digest: str = "") -> None:
        digest = digest or what
        self._broken_blobs.add(digest)
        if self._repair:
            self._catalog.forget_blob(digest)
            self._store.discard_files([digest])
        action = "forgotten" if self._repair else "can be forgotten"
        self._tell(kind, what, f"{action}; the layer's own files make the archive without it", self._repair)

    async def layers(self, names: set[str] | None = None) -> None:
        """Every layer, its archive and its size; of ``names`` only, if given."""
        for row in self._catalog.distinct_layers():
            if names is not None and row.directory not in names:
                continue
            self.report.layers += 1
            fault = await asyncio.to_thread(self._fault, row)
            if fault:
                await self._broken_layer(row, fault)
                continue
            size = await asyncio.to_thread(tree_size, self._disk.diff(row.directory))
            if size != row.size:
                if self._repair:
                    self._catalog.set_layer_size(row.directory, size)
                self._wrong_size(f"layer {row.diff}: {row.size}, and it is {size} bytes")

    def _fault(self, row: LayerRow) -> str:
        """In a thread: what is wrong with a layer's files; empty if nothing."""
        directory = self._disk.directory(row.directory)
        if not os.path.isdir(os.path.join(directory, "diff")):
            return "missing layer"
        try:
            found, size = digest_of(chain.from_iterable(batches(tarsplit.assemble(directory))))
        except _UNREADABLE:
            return "damaged layer"
        self.report.bytes += size
        return "" if found == row.diff else "damaged layer"

    async def _broken_layer(self, row: LayerRow, fault: str) -> None:
        users = self._catalog.images_with(row.directory)
        running = [use for image in users for use in self._in_use(image) if use.running]
        blob = row.blob if row.blob not in self._broken_blobs else ""
        self.unmended.add(row.directory)
        if running:
            self._tell(fault, row.diff, f"stop container {short_id(running[0].id)} and check again", False)
            return
        if blob and not self._repair:
            self._tell(fault, row.diff, "can be made again from its blob", False)
            return
        if blob:
            made: bool = await asyncio.to_thread(self._remake, row)
            if made:
                self._tell(fault, row.diff, "made again from its blob", True)
                self.unmended.discard(row.directory)
                return
        self._lose_images(fault, row.diff, users)
        if not self._catalog.images_with(row.directory):
            self.unmended.discard(row.directory)

    def _remake(self, row: LayerRow) -> bool:
        """In a thread: unpack a layer's blob again; whether that gave the layer."""
        draft = self._disk.draft()
        try:
            with open(self._disk.blob(row.blob), "rb", buffering=0) as file:
                layer = draft.fill(lambda: file.read(_CHUNK), keep_blob=False)
            if layer.diff_id != row.diff:
                return False
            gone = self._disk.hide([row.directory], [])
            self._disk.place(draft, layer)
            self._disk.sync()
            self._disk.remove(gone)
            return True
        except (WharfieError, OSError):
            return False
        finally:
            draft.discard()

    def _lose_images(self, fault: str, what: str, images: Iterable[str]) -> None:
        """Images that cannot be whole any more."""
        shown = {image: self._shown(image) for image in images}
        used = [use for image in shown for use in self._in_use(image)]
        names = ", ".join(shown.values()) or "none"
        if used:
            action = f"container {short_id(used[0].id)} uses it: remove that and check again"
            self._tell(fault, what, action, False)
            return
        if self._repair:
            with self._catalog.db.transaction():
                for image in shown:
                    self._catalog.drop_image(image, ghost=False)
                garbage = self._catalog.collect()
            point("check: images are gone")
            self._store.discard(garbage)
        action = f"{'removed' if self._repair else 'can be removed'}: {names}; pull or load it again"
        self._tell(fault, what, action, self._repair)

    def _shown(self, image: str) -> str:
        names = [name for name, tagged in self._catalog.names(image) if tagged]
        return names[0] if names else short_id(image)

    def images(self) -> None:
        """Every configuration, and whether the image has the layers it speaks of."""
        for row in self._catalog.every_image():
            self.report.images += 1
            if not self._whole(row):
                self._lose_images("damaged image", row.id, [row.id])

    def _whole(self, row: ImageRow) -> bool:
        document = row.config.encode()
        if configs.image_id(document) != row.id:
            return False
        chains = configs.chain_ids(configs.decode(document).rootfs.diff_ids or [])
        return chains == [layer.chain for layer in self._catalog.layers(row.id)]

    def files(self) -> list[str]:
        """Files without a row.

        Taken away: in one step on the event loop, so that none is placed meanwhile.
        """
        if self._store.workers > 1:
            self.report.busy = True
            return []
        # what lost its row a moment ago goes with this check's own end
        loose = [
            path
            for path in self._disk.loose(self._catalog.directories(), self._catalog.blobs())
            if not self._store.is_expected(path)
        ]
        for path in loose:
            kind = _ORPHANS.get(os.path.basename(os.path.dirname(path)), "orphan blob")
            self._tell(kind, path, "removed" if self._repair else "can be removed", self._repair)
        return self._disk.hide_paths(loose) if self._repair else []

    def remove(self, hidden: list[str]) -> None:
        """In a thread: remove what was taken away."""
        for problem in self._disk.remove(hidden):
            self._tell("left-over", str(problem), "stays until the daemon's next start", False)
