"""Where a build's results go: the store, a directory of the client's, an archive.

Attributes that an exporter does not know mean nothing to it, as in BuildKit.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from wharfie.build.cacheexport import digest_of
from wharfie.build.work import full_name
from wharfie.buildkit.engine import Engine
from wharfie.buildkit.filesend import send_archive, send_tree
from wharfie.buildkit.results import Outcome
from wharfie.buildkit.session import Session
from wharfie.buildkit.vertexes import Vertex
from wharfie.errors import NotSupported
from wharfie.images import config as configs
from wharfie.images import saving, snapshots
from wharfie.images.catalog import ImageRow, LayerRow
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced
from wharfie.images.reference import Reference, parse
from wharfie.images.store import ImageStore

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """What an exporter works with."""

    engine: Engine
    session: Session
    vertex: Vertex
    number: int
    """Which of a request's exporters this is."""


class Exporter(Protocol):
    """One place where results go."""

    title: str

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """Hand them over; what the client is told."""


class ToStore:
    """``moby``: an image in the store, with its names."""

    title = "exporting to image"

    def __init__(self, attributes: Attributes) -> None:
        """Raises InvalidArgument, NotSupported."""
        self._names = [name.strip() for name in attributes.get("name", "").split(",") if name.strip()]
        self._full = _names(attributes)

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """The image appears."""
        if len(outcomes) > 1:
            raise NotSupported("an image for several platforms cannot be kept here: build one for each")
        outcome, vertex = outcomes[0], target.vertex
        vertex.status("exporting layers")
        names = [(name, True) for name in self._full]
        image = target.engine.store.register(outcome.document, outcome.state.layers, names=names)
        vertex.status("exporting layers", done=True)
        vertex.status(f"writing image {image.id}", done=True)
        for name, full in zip(self._names, self._full, strict=True):
            vertex.status(f"naming to {parse(name).canonical}", done=True)
            target.engine.tagged(image.id, parse(full).familiar)
        found = {"containerimage.digest": image.id, "containerimage.config.digest": image.id}
        if self._names:
            found["image.name"] = ",".join(parse(name).canonical for name in self._names)
        return found


class ToDirectory:
    """``local``: the files of the image in a directory of the client's."""

    title = "exporting to client directory"

    def __init__(self, attributes: Attributes) -> None:
        self._split = attributes.get("platform-split", "")

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """Each platform below a directory of its own where there are several."""
        split = len(outcomes) > 1 if not self._split else self._split == "true"
        for outcome in outcomes:
            shown = "copying files" + (f" {outcome.platform}" if len(outcomes) > 1 else "")
            prefix = str(outcome.platform).replace("/", "_").encode() if split else b""
            size = 0

            def told(count: int, shown: str = shown) -> None:
                nonlocal size
                size = count
                target.vertex.status(shown, current=count)

            told(0)
            with _root(target.engine, outcome) as root:
                await send_tree(target.session, target.number, root, prefix, told)
            target.vertex.status(shown, current=size, done=True)
        return {}


class ToArchive:
    """``tar``: the files of the image as one archive."""

    title = "exporting to client tarball"

    def __init__(self, attributes: Attributes) -> None:
        """None of them changes anything."""

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """The archive goes to the client."""
        if len(outcomes) > 1:
            raise NotSupported("an archive of files for several platforms is not supported: use type=local")
        target.vertex.status("sending tarball")
        with _root(target.engine, outcomes[0]) as root:
            async with aclosing(Produced("pack a tree", lambda write: pack_root(root, write))) as pieces:
                await send_archive(target.session, target.number, pieces)
        target.vertex.status("sending tarball", done=True)
        return {}


class ToImageArchive:
    """``oci`` and ``docker``: the image in an archive, whose layout is both's."""

    def __init__(self, attributes: Attributes, kind: str = "oci") -> None:
        """Raises InvalidArgument, NotSupported."""
        self.title = f"exporting to {kind} image format"
        self._names = _names(attributes)
        if attributes.get("tar") == "false":
            raise NotSupported("an image as a directory of files is not supported: leave out tar=false")

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """The archive goes to the client."""
        store, vertex = target.engine.store, target.vertex
        vertex.status("exporting layers")
        images = [_saved(store, outcome, [parse(full) for full in self._names]) for outcome in outcomes]
        body, kind = await asyncio.to_thread(saving.manifest_of, store, images[0])
        digest = digest_of(body)
        vertex.status("exporting layers", done=True)
        vertex.status(f"exporting manifest {digest}", done=True)
        vertex.status(f"exporting config {images[0].image.id}", done=True)
        vertex.status("sending tarball")
        async with saving.save(store, images) as pieces:
            await send_archive(target.session, target.number, pieces)
        vertex.status("sending tarball", done=True)
        described = msgspec.json.encode({"mediaType": kind, "digest": digest, "size": len(body)})
        found = {
            "containerimage.digest": digest,
            "containerimage.config.digest": images[0].image.id,
            "containerimage.descriptor": b64encode(described).decode(),
        }
        if self._names:
            found["image.name"] = ",".join(self._names)
        return found


class ToDockerArchive(ToImageArchive):
    """``docker``: for one platform."""

    def __init__(self, attributes: Attributes) -> None:
        """Raises InvalidArgument, NotSupported."""
        super().__init__(attributes, "docker")

    async def export(self, target: Target, outcomes: Sequence[Outcome]) -> dict[str, str]:
        """The archive goes to the client."""
        if len(outcomes) > 1:
            raise NotSupported("docker exporter does not currently support exporting manifest lists")
        return await super().export(target, outcomes)


_KINDS: dict[str, type[ToStore | ToDirectory | ToArchive | ToImageArchive]] = {
    "moby": ToStore, "image": ToStore, "local": ToDirectory, "tar": ToArchive,
    "oci": ToImageArchive, "docker": ToDockerArchive,
}  # fmt: skip


def exporters(request: Any) -> list[Exporter]:
    """What a request wants; raises InvalidArgument, NotSupported."""
    wanted = [(one.type, dict(one.attributes)) for one in request.exporters]
    if not wanted and request.exporter:
        wanted = [(request.exporter, dict(request.exporter_attributes))]
    found: list[Exporter] = []
    for kind, attributes in wanted:
        if kind not in _KINDS:
            raise NotSupported(f"exporter {kind} is not supported: it is one of {', '.join(_KINDS)}")
        found.append(_KINDS[kind](attributes))
    return found


def _names(attributes: Attributes) -> list[str]:
    """Whole names for an image; raises InvalidArgument."""
    return [full_name(name.strip()) for name in attributes.get("name", "").split(",") if name.strip()]


def _saved(store: ImageStore, outcome: Outcome, names: list[Reference]) -> saving.Saved:
    """An outcome as an image that is in no catalog."""
    layers = outcome.state.layers
    chains = configs.chain_ids([layer.diff_id for layer in layers])
    rows = [
        LayerRow(chain, chains[at - 1] if at else "", layer.diff_id, layer.directory, layer.size, layer.blob)
        for at, (chain, layer) in enumerate(zip(chains, layers, strict=True))
    ]
    row = ImageRow(configs.image_id(outcome.document), "", outcome.document.decode(), 0, 0, "")
    return saving.Saved(store.image_of(row), rows, names)


@contextmanager
def _root(engine: Engine, outcome: Outcome) -> Iterator[int]:
    """All files of an outcome, as an open directory."""
    lower = outcome.work.shop.lower(outcome.state.layers)
    root = snapshots.mount_read_only(lower[1:], lower[0])
    try:
        yield root
    finally:
        os.close(root)
