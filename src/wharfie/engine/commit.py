"""The files of containers: ``cp``, ``diff``, ``export`` and ``commit``.

A running container is looked at through its own root, mounts included; a stopped one through an overlay that
is mounted at no path. ``export`` and ``diff`` are about the container's own layers and not about what is
mounted over them, so they read those beside the running container, and never write.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec

from wharfie.engine import copy, rootfs, writable
from wharfie.engine.container import Container
from wharfie.engine.containers import Containers
from wharfie.engine.users import owner_in
from wharfie.errors import Conflict, NotFound, WharfieError
from wharfie.images import snapshots, written
from wharfie.images.config import RunConfig
from wharfie.images.image import Image
from wharfie.images.pack import pack_root
from wharfie.images.pipe import Produced, to_its_end
from wharfie.images.store import ImageStore
from wharfie.wire.base import encode
from wharfie.wire.config import Config
from wharfie.wire.containers import Change

_Archive = tuple[dict[str, Any], AsyncIterator[bytes]]


class ContainerFiles:
    """What the API's archive, changes, export and commit routes ask for."""

    def __init__(self, containers: Containers, images: ImageStore) -> None:
        self._containers = containers
        self._images = images

    def _image(self, container: Container) -> Image:
        return self._images.by_id(container.image_id)

    async def stat(self, ref: str, path: str) -> dict[str, Any]:
        """Docker's PathStat of a path; raises PathNotFound."""
        container = self._containers.get(ref)
        with self._containers.rootfs_fd(container) as root, _named(ref):
            return await asyncio.to_thread(copy.stat_path, root, path)

    @asynccontextmanager
    async def archive(
        self, ref: str, path: str
    ) -> AsyncIterator[tuple[dict[str, Any], AsyncIterator[bytes]]]:
        """A path as a tar stream, with its PathStat; raises PathNotFound."""
        container = self._containers.get(ref)
        with self._containers.rootfs_fd(container) as root:
            with _named(ref):
                found = await asyncio.to_thread(copy.stat_path, root, path)
            pieces = copy.get_archive(root, path)
            try:
                yield found, pieces
            finally:
                await pieces.aclose()
        self._containers.emit(container, "archive-path")

    async def extract(
        self,
        ref: str,
        path: str,
        stream: AsyncIterator[bytes],
        *,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
    ) -> None:
        """Unpack an archive below a path; with ``copy_uid_gid`` for the user that the container runs as."""
        container, begun = self._containers.get(ref), rootfs.now()
        with self._containers.rootfs_fd(container) as root, _named(ref):
            owner = None
            if copy_uid_gid and container.config.user:
                owner = await asyncio.to_thread(owner_in, root, container.config.user)
            await copy.put_archive(
                root, path, stream, no_overwrite_dir_non_dir=no_overwrite_dir_non_dir, owner=owner
            )
            await to_its_end("sync a copy", lambda: rootfs.settle(container, begun))
        self._containers.emit(container, "extract-to-dir")

    @asynccontextmanager
    async def export(self, ref: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The container's file system as a tar stream, without what is mounted in it."""
        container = self._containers.get(ref)
        lower = self._image(container).lower
        root = await asyncio.to_thread(_read_only, container, lower)
        try:
            pieces = Produced(f"export {container.short_id}", lambda write: pack_root(root, write))
            async with aclosing(pieces):
                yield pieces
        finally:
            os.close(root)
        self._containers.emit(container, "export")

    async def changes(self, ref: str) -> Sequence[Change]:
        """What differs from the image."""
        container = self._containers.get(ref)
        found = await asyncio.to_thread(_changes, container, self._image(container).lower)
        return [Change(path=path, kind=kind) for kind, path in found]

    async def commit(
        self,
        ref: str,
        *,
        reference: str,
        author: str,
        message: str,
        changes: Sequence[str],
        config: Config | None,
        pause: bool,
        squash: bool = False,
        epoch: int | None = None,
    ) -> str:
        """An image of what the container has written, on top of its own; the new image's id."""
        container = self._containers.get(ref)
        run = merged(container.config, config)
        command = " ".join([*(container.config.entrypoint or ()), *(container.config.cmd or ())])
        held = pause and container.status.running and not container.status.paused
        if held:
            await self._containers.pause(container.id)
        try:
            with writable.opened(container) as own:
                image = await self._images.commit(
                    self._image(container),
                    own.upper,
                    ref=reference or None,
                    author=author,
                    message=message,
                    changes=[*changes],
                    config=run,
                    created_by=command,
                    squash=squash,
                    epoch=epoch,
                )
        finally:
            if held:
                await self._go_on(container)
        if image.repo_tags:
            self._containers.emit_for("image", "tag", image.id, {"name": image.repo_tags[0]})
        self._containers.emit(container, "commit", comment=message, imageID=image.id, imageRef=reference)
        return image.id

    async def _go_on(self, container: Container) -> None:
        try:
            await self._containers.unpause(container.id)
        except (Conflict, NotFound):
            # somebody killed or removed it, or unpaused it himself: its image is made all the same
            return


def _read_only(container: Container, lower: Sequence[str]) -> int:
    with writable.opened(container) as own:
        return snapshots.mount_read_only(lower, own.upper)


def _changes(container: Container, lower: Sequence[str]) -> list[tuple[int, str]]:
    with writable.opened(container) as own:
        return written.changes(lower, own.upper)


def merged(own: Config, given: Config | None) -> RunConfig:
    """The container's configuration for an image, with what was given in its place field by field."""
    fields = _fields(own)
    for name, value in _fields(given).items() if given is not None else ():
        if value not in (None, "", [], {}):
            fields[name] = value
    return msgspec.convert(fields, RunConfig)


def _fields(config: Config) -> dict[str, Any]:
    """A configuration in the form both kinds share: Docker's JSON."""
    return msgspec.to_builtins(msgspec.json.decode(encode(config), type=RunConfig))  # type: ignore[no-any-return]


class _named:
    """Puts the container's name, as it was asked for, into the message of a path that is not there."""

    def __init__(self, ref: str) -> None:
        self._ref = ref

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, copy.PathNotFound) and isinstance(error, WharfieError):
            raise copy.PathNotFound(f"{error.message} {self._ref}") from error
