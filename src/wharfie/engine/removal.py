"""Removing containers.

::

    running? ── force: kill, wait ──▶ REMOVING ─▶ directory renamed to tmp/ ─▶ row deleted: name, id are free
                                                                                └─▶ volumes ─▶ destroy ─▶ tree

What takes time, the tree, comes last and in the background; a crash before the row is deleted leaves a
container without files, which recovery finishes, and after it a tree in tmp/, which recovery sweeps.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence

from wharfie.engine import filters, lifecycle, waiting, writable
from wharfie.engine.container import Container, State
from wharfie.engine.context import Context
from wharfie.engine.registry import NoSuchContainer
from wharfie.engine.stopping import Stopping
from wharfie.engine.supervisor import Supervisor
from wharfie.errors import Conflict, InternalError, InvalidArgument, NotFound, WharfieError
from wharfie.images.image import ContainerUse
from wharfie.support.files import remove_tree
from wharfie.support.tasks import spawn
from wharfie.wire.containers import ContainerPrune

_log = logging.getLogger(__name__)


class Removal:
    """The verbs ``remove`` and ``prune``."""

    def __init__(self, context: Context, supervisor: Supervisor, stopping: Stopping) -> None:
        self._context = context
        self._supervisor = supervisor
        self._stopping = stopping

    async def remove(
        self,
        container: Container,
        ref: str,
        *,
        force: bool = False,
        volumes: bool = False,
        link: bool = False,
    ) -> None:
        """Remove it; raises Conflict when it runs and is not to be killed."""
        if link:
            raise InvalidArgument(f"{ref} is not a link: links between containers are not supported")
        if container.status.state is State.REMOVING:
            raise Conflict(f"removal of container {ref} is already in progress")
        if container.status.active:
            _check_stopped(container, force)
            await self._stopping.end(container)
        async with container.lock:
            if not self._context.registry.knows(container.id):
                # auto-remove was quicker: what was asked for is done
                return
            if container.status.active:
                _check_stopped(container, force)
                await self._stopping.end(container)
            await self._remove(container, volumes=volumes)

    async def auto_remove(self, container: Container) -> None:
        """What ``--rm`` asks for."""
        async with container.lock:
            if self._context.registry.knows(container.id) and not container.status.active:
                await self._remove(container, volumes=True)

    async def finish(self, container: Container) -> None:
        """At the daemon's start: complete a removal that the last daemon began."""
        async with container.lock:
            await self._remove(container, volumes=container.host_config.auto_remove)

    def image_users(self, image_id: str) -> list[ContainerUse]:
        """The containers made from an image."""
        return [
            ContainerUse(container.id, container.status.active, container.config.image)
            for container in self._context.registry.all()
            if uses_image(container, image_id)
        ]

    async def prune(self, given: Mapping[str, Sequence[str]]) -> ContainerPrune:
        """Remove all that do not run and pass the filters."""
        chosen = filters.pruned(given)
        deleted, freed = [], 0
        for container in self._context.registry.all():
            if container.status.active or not chosen(container):
                continue
            size = await asyncio.to_thread(writable.written_size, container)
            try:
                await self.remove(container, container.id)
            except (Conflict, NotFound):
                continue
            deleted.append(container.id)
            freed += size
        self._context.events.emit("container", "prune", "", {"reclaimed": str(freed)})
        return ContainerPrune(containers_deleted=deleted or None, space_reclaimed=freed)

    async def _remove(self, container: Container, *, volumes: bool) -> None:
        self._supervisor.apply(container, lifecycle.RemovalBegan())
        self._supervisor.release(container)
        pending, container.pending = container.pending, []
        for item in pending:
            item.fail(NoSuchContainer(container.name))
        try:
            doomed = discard(self._context.paths.tmp, container.directory)
        except OSError as error:
            self._supervisor.apply(container, lifecycle.RemovalFailed(str(error)))
            raise InternalError(f"cannot remove container {container.id}: {error}") from error
        try:
            self._context.registry.remove(container)
        except WharfieError as error:
            # a full disk: its tree goes all the same, which may make the room that the next try needs
            self._clear_later(container, doomed)
            self._supervisor.apply(container, lifecycle.RemovalFailed(error.message))
            raise
        self._give_up_image(container)
        if volumes:
            await self._remove_volumes(container)
        self._context.registry.emit(container, "destroy")
        waiting.wake_removed(container)
        self._clear_later(container, doomed)

    @staticmethod
    def _clear_later(container: Container, doomed: str) -> None:
        if doomed:
            spawn(f"clear {container.short_id}", asyncio.to_thread(_clear, doomed))

    def _give_up_image(self, container: Container) -> None:
        mounted = {point.image for point in container.record.mounts if point.image}
        for image_id in {container.image_id, *mounted}:
            try:
                self._context.images.release(image_id, self.image_users)
            except WharfieError as error:
                _log.warning("image %s stays until it is pruned: %s", image_id, error)

    async def _remove_volumes(self, container: Container) -> None:
        for point in container.record.mounts:
            if point.type != "volume" or not point.anonymous:
                continue
            users = [other.id for other in self._context.registry.all() if uses_volume(other, point.name)]
            try:
                await self._context.volumes.remove(point.name, users=users)
            except WharfieError as error:
                _log.info("volume %s stays: %s", point.name, error)


def _check_stopped(container: Container, force: bool) -> None:
    if force:
        return
    state = container.status.state.value
    if container.status.paused:
        hint = "is paused and must be unpaused first"
    else:
        hint = f"is {state}: stop the container before removing or force remove"
    raise Conflict(f'cannot remove container "/{container.name}": container {hint}')


def uses_image(container: Container, image_id: str) -> bool:
    """Whether it was made from an image, or mounts it."""
    return container.image_id == image_id or any(point.image == image_id for point in container.record.mounts)


def uses_volume(container: Container, name: str) -> bool:
    """Whether one of its mounts is this volume."""
    return any(point.type == "volume" and point.name == name for point in container.record.mounts)


def discard(tmp: str, directory: str) -> str:
    """Move a directory to where trees wait for their removal; its new path, or empty. Raises OSError."""
    doomed = f"{tmp}/removed-{os.path.basename(directory)}"
    try:
        os.rename(directory, doomed)
    except FileNotFoundError:
        if not os.path.lexists(directory):
            return ""
        os.makedirs(tmp, 0o700, exist_ok=True)
        os.rename(directory, doomed)
    return doomed


def _clear(path: str) -> None:
    try:
        remove_tree(path)
    except OSError as error:
        _log.warning("what is left of a container cannot be removed: %s", error)
