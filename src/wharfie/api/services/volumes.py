"""Volumes between the routes and their manager."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from wharfie.api.backends import Filters
from wharfie.engine.events import EventBus
from wharfie.engine.filters import boolean
from wharfie.engine.system import System
from wharfie.engine.volumefiles import VolumeFiles
from wharfie.errors import InvalidArgument, Unavailable
from wharfie.support.units import format_time
from wharfie.volumes import options, trees
from wharfie.volumes.manager import VolumeManager
from wharfie.volumes.model import Volume as Domain
from wharfie.wire.volumes import Volume, VolumeCreate, VolumeList, VolumePrune

_LISTING = frozenset({"dangling", "driver", "label", "name"})
_PRUNING = frozenset({"all", "label", "label!"})


class VolumeService:
    """The backend of the volume routes."""

    def __init__(self, manager: VolumeManager, files: VolumeFiles, system: System, events: EventBus) -> None:
        self._manager = manager
        self._files = files
        self._system = system
        self._events = events

    def list(self, filters: Filters) -> VolumeList:
        """``docker volume ls``."""
        _check(filters, _LISTING)
        boolean("dangling", filters.get("dangling", ["true"]))
        return VolumeList(volumes=[_wire(one) for one in self._manager.list() if self._listed(one, filters)])

    def inspect(self, name: str) -> Volume:
        """``docker volume inspect``."""
        return _wire(self._manager.get(name))

    async def create(self, body: VolumeCreate) -> Volume:
        """``docker volume create``."""
        known = self._manager.find(body.name) is not None
        made = self._manager.create(
            body.name, driver=body.driver, options=body.driver_opts, labels=body.labels
        )
        if known:
            return _wire(made)
        if options.kind(made.options) is options.Kind.DISK:
            try:
                await asyncio.to_thread(trees.prepare_disk, made)
            except BaseException:
                await self._manager.remove(made.name, force=True)
                raise
        self._events.emit("volume", "create", made.name, {"driver": made.driver})
        return _wire(made)

    def update(self, name: str) -> None:
        """``docker volume update``: of cluster volumes only, as Docker says."""
        raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    def export(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """``wharfie volume export``."""
        return self._files.export(name)

    async def import_(self, name: str, stream: AsyncIterator[bytes]) -> None:
        """``wharfie volume import``."""
        await self._files.import_(name, stream)

    async def remove(self, name: str, *, force: bool) -> None:
        """``docker volume rm``."""
        await self._manager.remove(name, users=self._system.volume_users(name), force=force)
        self._events.emit("volume", "destroy", name, {"driver": "local"})

    async def prune(self, filters: Filters) -> VolumePrune:
        """``docker volume prune``: anonymous volumes nobody uses, or all of those whose files are ours."""
        _check(filters, _PRUNING)
        everything = _every(filters.get("all", ()))
        candidates = [
            volume.name
            for volume in self._manager.list()
            if (everything or volume.anonymous)
            and options.kind(volume.options) in (options.Kind.PLAIN, options.Kind.DISK)
            and _labelled(volume, filters)
        ]
        done = await self._manager.prune(candidates, self._system.volume_users)
        for name in done.names:
            self._events.emit("volume", "destroy", name, {"driver": "local"})
        self._events.emit("volume", "prune", "", {"reclaimed": str(done.bytes)})
        return VolumePrune(volumes_deleted=[*done.names], space_reclaimed=done.bytes)

    def _listed(self, volume: Domain, filters: Filters) -> bool:
        names = filters.get("name")
        drivers = filters.get("driver")
        dangling = filters.get("dangling")
        if names and not any(_matches(name, volume.name) for name in names):
            return False
        if drivers and volume.driver not in drivers:
            return False
        if dangling:
            unused = not self._system.volume_users(volume.name)
            if unused is not boolean("dangling", dangling):
                return False
        return _labelled(volume, filters)


def _matches(pattern: str, name: str) -> bool:
    """Docker's filters by name are regular expressions; what is none matches by itself only."""
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return pattern == name


def _every(values: Sequence[str]) -> bool:
    for value in values:
        if value.lower() not in ("0", "1", "t", "f", "true", "false"):
            raise InvalidArgument(
                f"invalid filter 'all': strconv.ParseBool: parsing \"{value}\": invalid syntax"
            )
    return [value.lower() for value in values] in (["1"], ["t"], ["true"])


def _check(filters: Filters, known: frozenset[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def _labelled(volume: Domain, filters: Filters) -> bool:
    def has(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in volume.labels and (not equals or volume.labels[name] == value)

    return all(map(has, filters.get("label", ()))) and not any(map(has, filters.get("label!", ())))


def _wire(volume: Domain) -> Volume:
    return Volume(
        created_at=format_time(volume.created_ns // 1_000_000_000 * 1_000_000_000),
        driver=volume.driver,
        labels=dict(sorted(volume.labels.items())) or None,
        mountpoint=volume.mountpoint,
        name=volume.name,
        options=dict(sorted(volume.options.items())) or None,
        scope=volume.scope,
    )
