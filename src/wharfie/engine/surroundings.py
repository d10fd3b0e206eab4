"""What a container's start and end mean to its networks and volumes, told as events of theirs."""

from __future__ import annotations

from collections.abc import Iterable

from wharfie.engine.container import Container
from wharfie.engine.context import Context

_DRIVERS = {"none": "null", "host": "host"}


def made(context: Context, volumes: Iterable[str]) -> None:
    """Volumes were made for a container."""
    for name in volumes:
        context.events.emit("volume", "create", name, {"driver": "local"})


def joined(context: Context, container: Container) -> None:
    """It has its networks and volumes: right before it starts."""
    _networks(context, container, "connect")
    for point in container.record.mounts:
        if point.type == "volume":
            attributes = {
                "container": container.id,
                "destination": point.destination,
                "driver": point.driver or "local",
                "propagation": point.propagation,
                "read/write": "true" if point.rw else "false",
            }
            context.events.emit("volume", "mount", point.name, attributes)


def left(context: Context, container: Container) -> None:
    """It is about to give them back."""
    _networks(context, container, "disconnect")
    for point in container.record.mounts:
        if point.type == "volume":
            attributes = {"container": container.id, "driver": point.driver or "local"}
            context.events.emit("volume", "unmount", point.name, attributes)


def _networks(context: Context, container: Container, action: str) -> None:
    for seat in context.networks.endpoints(container.id):
        attributes = {
            "container": container.id,
            "name": seat.network,
            "type": _DRIVERS.get(seat.network, seat.driver),
        }
        context.events.emit("network", action, seat.network_id, attributes)
