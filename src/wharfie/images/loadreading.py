"""An archive of images is read as it comes: layers are unpacked at once, the few small documents are kept.

Whoever wrote the archive put its index first or last; only what is in a member tells what it is. Something
compressed or an archive of its own is a layer and becomes a draft, beside which nothing is visible; what
begins like JSON is a document; the rest is passed over. What the index then does not name is dropped with
its draft.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from wharfie.images import archiveindex as index
from wharfie.images import config as configs
from wharfie.images import decompress, tar
from wharfie.images.catalog import LayerRow
from wharfie.images.layers import Draft, Layer, LayerStore
from wharfie.images.tar import BLOCK, BadArchive, Entry, TarReader
from wharfie.support.faults import point

MEMBERS_LIMIT = 1 << 16
DOCUMENTS_LIMIT = 64 << 20
"""Bytes of all documents of one archive."""
_PASSED_OVER = 1 << 20
_LINKS = 8

Tell = Callable[[str, int, int], None]
"""A layer's name, how much of it was taken, and how much there is."""


@dataclass(slots=True)
class Arrived:
    """A layer of the archive: unpacked into a draft, or one that the store has already."""

    layer: Layer
    draft: Draft | None


class ImageArchive:
    """The members of one archive; read in a thread."""

    def __init__(self, layers: LayerStore, known: Mapping[str, LayerRow], tell: Tell) -> None:
        """``known``: the store's layers by the digest of their archive."""
        self._store = layers
        self._known = known
        self._tell = tell
        self.documents: dict[str, bytes] = {}
        self.layers: dict[str, Arrived] = {}
        self._drafts: list[Draft] = []
        self._links: dict[str, str] = {}
        self._room = DOCUMENTS_LIMIT

    def read(self, read: decompress.Read) -> None:
        """Take the whole archive, compressed or not.

        Raises:
            BadArchive, BadCompression, ArchiveTooBig, OSError; drafts are the caller's to discard then as
            well.
        """
        _, source = decompress.opened(read)
        reader = TarReader(source)
        for count, entry in enumerate(reader):
            if count >= MEMBERS_LIMIT:
                raise BadArchive(f"the archive of images has more than {MEMBERS_LIMIT} members")
            self._member(reader, entry)
        reader.rest()

    def _member(self, reader: TarReader, entry: Entry) -> None:
        name = index.clean(tar.shown(entry.name))
        if entry.kind in (tar.SYMLINK, tar.HARDLINK):
            # Docker links equal layers to each other
            target = tar.shown(entry.link)
            self._links[name] = index.clean(
                target if entry.kind == tar.HARDLINK else f"{name.rpartition('/')[0]}/{target}"
            )
            return
        if entry.kind != tar.REGULAR or not entry.size:
            return
        if entry.sparse is not None:
            raise BadArchive(f'the archive of images has its member "{name}" as a sparse file')
        pieces = reader.content()
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= BLOCK:
                break
        if decompress.kind_of(head) or tar.begins_archive(head):
            self._layer(name, entry.size, head, pieces)
        elif head.lstrip()[:1] in (b"{", b"["):
            self._document(name, entry.size, head, pieces)
        elif entry.size > _PASSED_OVER:
            raise BadArchive(
                f'the archive of images has a member "{name}" that is neither layer nor document'
            )

    def _document(self, name: str, size: int, head: bytes, pieces: Iterator[bytes]) -> None:
        self._room -= size
        if size > configs.CONFIG_LIMIT or self._room < 0:
            raise BadArchive(f'the archive of images has a document "{name}" that is too long')
        self.documents[name] = b"".join([head, *pieces])

    def _layer(self, name: str, size: int, head: bytes, pieces: Iterator[bytes]) -> None:
        promised = index.digest_of(name)
        known = self._known.get(promised)
        taken = 0
        waiting = [head]

        def read() -> bytes:
            nonlocal taken
            piece = waiting.pop() if waiting else next(pieces, b"")
            taken += len(piece)
            self._tell(name, taken, size)
            return piece

        draft = None
        if known is not None:
            digest = _digest(read)
            layer = Layer(known.diff, known.size, known.blob)
        else:
            draft = self._store.draft()
            self._drafts.append(draft)
            layer = draft.fill(read, keep_blob=True)
            digest = layer.blob or layer.diff_id
        if promised and digest != promised:
            raise BadArchive(f"the archive is damaged: what it has as {promised} is something else")
        self.layers[name] = Arrived(layer, draft)
        point("load: a layer is unpacked")

    def layer(self, name: str) -> Arrived:
        """The layer of this name, or the one it links to.

        Raises:
            BadImageArchive: there is none.
        """
        at = name
        for _ in range(_LINKS):
            if at in self.layers:
                return self.layers[at]
            if at not in self._links:
                break
            at = self._links[at]
        raise index.BadImageArchive(f'the archive is incomplete: it has no layer "{name}"')

    def drafts(self) -> list[Draft]:
        """All that was begun, to be discarded at the end: what was placed is not there any more."""
        return self._drafts


def _digest(read: decompress.Read) -> str:
    whole = hashlib.sha256()
    while piece := read():
        whole.update(piece)
    return "sha256:" + whole.hexdigest()
