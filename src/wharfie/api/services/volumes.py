"""Volumes between the routes and their manager."""

from __future__ import annotations

import asyncio

from wharfie.api.backends import Filters
from wharfie.engine.events import EventBus
from wharfie.engine.system import System
from wharfie.errors import InvalidArgument
from wharfie.support.units import format_time
from wharfie.volumes.manager import VolumeManager
from wharfie.volumes.model import Volume as Domain
from wharfie.wire.volumes import Volume, VolumeCreate, VolumeList, VolumePrune

_LISTING = frozenset({"dangling", "driver", "label", "name"})
_PRUNING = frozenset({"all", "label", "label!"})


class VolumeService:
    """The backend of the volume routes."""

    def __init__(self, manager: VolumeManager, system: System, events: EventBus) -> None:
        self._manager = manager
        self._system = system
        self._events = events

    def list(self, filters: Filters) -> VolumeList:
        """``docker volume ls``."""
        _check(filters, _LISTING)
        return VolumeList(volumes=[_wire(one) for one in self._manager.list() if self._listed(one, filters)])

    def inspect(self, name: str) -> Volume:
        """``docker volume inspect``."""
        return _wire(self._manager.get(name))

    def create(self, body: VolumeCreate) -> Volume:
        """``docker volume create``."""
        known = {volume.name for volume in self._manager.list()}
        made = self._manager.create(
            body.name, driver=body.driver, options=body.driver_opts, labels=body.labels
        )
        if made.name not in known:
            self._events.emit("volume", "create", made.name, {"driver": made.driver})
        return _wire(made)

    async def remove(self, name: str, *, force: bool) -> None:
        """``docker volume rm``."""
        self._manager.remove(name, users=self._system.volume_users(name), force=force)
        self._events.emit("volume", "destroy", name, {"driver": "local"})

    async def prune(self, filters: Filters) -> VolumePrune:
        """``docker volume prune``: anonymous volumes nobody uses, or all of those."""
        _check(filters, _PRUNING)
        everything = [value.lower() for value in filters.get("all", ())] in (["1"], ["true"])
        candidates = [
            volume.name
            for volume in self._manager.list()
            if (everything or volume.anonymous)
            and _labelled(volume, filters)
            and not self._system.volume_users(volume.name)
        ]
        await asyncio.sleep(0)
        done = self._manager.prune(candidates)
        for name in done.names:
            self._events.emit("volume", "destroy", name, {"driver": "local"})
        self._events.emit("volume", "prune", "", {"reclaimed": str(done.bytes)})
        return VolumePrune(volumes_deleted=[*done.names] or None, space_reclaimed=done.bytes)

    def _listed(self, volume: Domain, filters: Filters) -> bool:
        names = filters.get("name")
        drivers = filters.get("driver")
        dangling = filters.get("dangling")
        if names and not any(name in volume.name for name in names):
            return False
        if drivers and volume.driver not in drivers:
            return False
        if dangling:
            unused = not self._system.volume_users(volume.name)
            if unused is not (dangling[0].lower() in ("1", "true")):
                return False
        return _labelled(volume, filters)


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
        labels=volume.labels or None,
        mountpoint=volume.mountpoint,
        name=volume.name,
        options=volume.options or None,
        scope=volume.scope,
    )
