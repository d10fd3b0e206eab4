"""Networks and containers that are there already: ``network create``, ``connect``, ``disconnect``, ``rm``.

::

    connect      record + seat, joining, in one commit ─▶ veth, addresses, routes ─▶ names, ports, files
    disconnect   record + seat, leaving, in one commit ─▶ veth gone ─▶ seat gone ─▶ names, ports, files

What is committed is what shall be. A daemon that dies in between leaves a seat that is joining or leaving,
and the next one begins anew what it joins and ends what it leaves (:meth:`Networking.reconcile`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence

import msgspec

from wharfie.engine import filesets, seating
from wharfie.engine.container import Container, Record
from wharfie.engine.context import Context
from wharfie.errors import Conflict, Forbidden, InvalidArgument, NotFound, WharfieError
from wharfie.network import live, reconciling
from wharfie.network.model import (
    JOINING,
    LEAVING,
    Endpoint,
    Mode,
    ModeKind,
    Network,
    NetworkUnavailable,
)
from wharfie.support.faults import point
from wharfie.wire.config import EndpointSettings

_log = logging.getLogger(__name__)


class Networking:
    """The verbs."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def users(self, network: Network) -> list[Container]:
        """The containers that are to be in a network, running or not."""
        return [
            container
            for container in self._context.registry.all()
            if any(name in (network.name, network.id) for name, _ in seating.wished(container))
        ]

    async def connect(self, network: Network, container: Container, asked: EndpointSettings) -> None:
        """Put a container into a further network; raises InvalidArgument, Forbidden, AddressUnavailable."""
        async with container.lock:
            self._check(network, container)
            if any(name in (network.name, network.id) for name, _ in seating.wished(container)):
                raise Forbidden(
                    f"endpoint with name {container.name} already exists in network {network.name}"
                )
            networks = self._context.networks
            networks.check(network.name, seating.wish_of(asked, container.host_config))
            pid = container.status.pid if container.status.running else 0
            record = container.record
            wished = {name: one or EndpointSettings() for name, one in seating.wished(container)}
            changed = msgspec.structs.replace(
                record, networks={**wished, network.name: asked}, detached=False
            )
            with self._context.registry.transaction():
                self._context.registry.set_record(container, changed)
                if pid:
                    try:
                        seat = networks.seat(network.name, seating.wish(container, asked, first=False))
                        seat = networks.mark(seat, JOINING)
                    except BaseException:
                        container.record = record
                        raise
            point("a connection is recorded")
            if pid:
                try:
                    await self._join(container, seat, pid)
                except BaseException:
                    self._context.registry.set_record(container, record)
                    networks.leave(seat)
                    raise
            self._emit(network, container, "connect")

    async def _join(self, container: Container, seat: Endpoint, pid: int) -> None:
        networks = self._context.networks
        before = networks.endpoints(container.id)
        await networks.departures.over([seat])
        try:
            await asyncio.to_thread(live.attach, pid, seat, before)
        except OSError as error:
            raise NetworkUnavailable(
                f"container {container.name} cannot be connected: {error.strerror}"
            ) from error
        await self._settle(container, pid)
        _add_hosts(container, seat)
        point("the hosts file names it")
        if seat.rate:
            networks.limit(seat)
        networks.mark(seat, "")
        point("a connection is whole")

    async def _settle(self, container: Container, pid: int) -> None:
        """Ports, names and files after its networks have changed."""
        networks = self._context.networks
        networks.publishing.move(container.id)
        point("ports are where the gateway is")
        seats = networks.endpoints(container.id)
        for seat in seats:
            if seat.egress:
                networks.restrictions.apply(seat)
        if seating.embedded(seats):
            seating.inform(self._context, container, seats)
            await networks.porter.open(container.id, pid)
        else:
            networks.porter.forget(container.id)
        point("the porter knows its networks")
        filesets.rewrite_resolver(container, networks.files, embedded=seating.embedded(seats))

    async def disconnect(self, network: Network, container: Container, *, force: bool = False) -> None:
        """Take a container out of a network; raises Forbidden, InvalidArgument."""
        async with container.lock:
            if Mode.parse(container.host_config.network_mode).kind in (ModeKind.HOST, ModeKind.CONTAINER):
                raise InvalidArgument(
                    "container cannot be disconnected from host network or connected to host network"
                )
            known = [name for name, _ in seating.wished(container) if name in (network.name, network.id)]
            if not known:
                the = "" if container.status.running else "the "
                raise Forbidden(f"container {container.id} is not connected to {the}network {network.name}")
            networks = self._context.networks
            seat = next(
                (one for one in networks.endpoints(container.id) if one.network_id == network.id), None
            )
            with self._context.registry.transaction():
                self._context.registry.set_record(container, _without(container, network))
                if seat is not None:
                    networks.publishing.move_from(container.id, seat)
                    seat = networks.mark(seat, LEAVING)
            point("a disconnection is recorded")
            if seat is not None:
                await self._part(container, seat)
            self._emit(network, container, "disconnect")

    async def _part(self, container: Container, seat: Endpoint) -> None:
        networks = self._context.networks
        rest = [one for one in networks.endpoints(container.id) if one.id != seat.id]
        pid = container.status.pid if container.status.running else 0
        if pid:
            try:
                await asyncio.to_thread(live.detach, pid, seat, rest)
            except OSError as error:
                _log.warning("container %s keeps %s: %s", container.short_id, seat.interface_name, error)
            _remove_hosts(container, seat)
        networks.leave(seat)
        point("a seat is given up")
        if pid and container.status.pid == pid:
            await self._settle(container, pid)

    def _check(self, network: Network, container: Container) -> None:
        mode = Mode.parse(container.host_config.network_mode)
        if network.name == "host":
            raise InvalidArgument(
                "container cannot be disconnected from host network or connected to host network"
            )
        if mode.kind in (ModeKind.CONTAINER, ModeKind.HOST):
            raise InvalidArgument(
                "container sharing network namespace with another container or host cannot be connected to "
                "any other network"
            )
        private = mode.kind is ModeKind.NONE and any(name == "none" for name, _ in seating.wished(container))
        if private or network.name == "none":
            raise InvalidArgument(
                "container cannot be connected to multiple networks with one of the networks in private "
                "(none) mode"
            )
        if container.status.state.value in ("removing", "dead"):
            raise Conflict(f"container {container.id} is marked for removal and cannot be connected")

    def _emit(self, network: Network, container: Container, action: str) -> None:
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self._context.events.emit("network", action, network.id, attributes)

    async def reconcile(self) -> None:
        """At the daemon's start: the devices of running containers are what their seats say."""
        networks = self._context.networks
        running = self._running()
        kept = [one.id for one in running]
        published = [port for seat in networks.store.all() for port in seat.published]
        networks.porter.adopt(kept, [port.key for port in published])
        self._introduce(running)
        missing = reconciling.compare(networks)
        for container in running:
            seats = networks.endpoints(container.id)
            for seat in [one for one in seats if one.id in missing and not one.phase]:
                try:
                    await asyncio.to_thread(live.attach, container.status.pid, seat, seats)
                except OSError as error:
                    _log.warning("network %s of %s: %s", seat.network, container.short_id, error)
            await self._answer(container)
            for seat in [one for one in seats if one.phase]:
                try:
                    await self._finish(container, seat)
                except (OSError, WharfieError) as error:
                    _log.warning("network %s of %s: %s", seat.network, container.short_id, error)
        networks.publishing.hand_over()

    async def _finish(self, container: Container, seat: Endpoint) -> None:
        """What an earlier daemon had begun."""
        if seat.phase == LEAVING:
            await self._part(container, seat)
            return
        pid = container.status.pid
        rest = [one for one in self._context.networks.endpoints(container.id) if one.id != seat.id]
        await asyncio.to_thread(live.detach, pid, seat, rest)
        _remove_hosts(container, seat)
        await self._join(container, seat, pid)

    def _introduce(self, running: Sequence[Container]) -> None:
        """Tell the porter of all of them, before the first one asks for another."""
        networks = self._context.networks
        for container in running:
            seats = networks.endpoints(container.id)
            for seat in seats:
                if seat.user_defined:
                    networks.porter.seat(seat)
            if seating.embedded(seats):
                seating.inform(self._context, container, seats)
        networks.porter.told()

    async def _answer(self, container: Container) -> None:
        """Have the porter listen where it does not yet."""
        networks = self._context.networks
        if seating.embedded(networks.endpoints(container.id)):
            try:
                await networks.porter.open(container.id, container.status.pid)
            except (OSError, WharfieError) as error:
                _log.warning("names of %s: %s", container.short_id, error)

    async def porter_lost(self) -> None:
        """The porter died: another one learns everything."""
        self._context.networks.publishing.lost()
        running = self._running()
        self._introduce(running)
        for container in running:
            await self._answer(container)
        self._context.networks.publishing.hand_over()

    def _running(self) -> list[Container]:
        return [one for one in self._context.registry.all() if one.status.running and one.status.pid]


def _without(container: Container, network: Network) -> Record:
    """Its record without a network; the mode names another one, if there is one."""
    record = container.record
    rest = {
        name: asked for name, asked in seating.wished(container) if name not in (network.name, network.id)
    }
    networks = {name: asked or EndpointSettings() for name, asked in rest.items()}
    return msgspec.structs.replace(record, networks=networks, detached=not networks)


def _add_hosts(container: Container, seat: Endpoint) -> None:
    name = container.config.hostname
    lines = "".join(f"{address}\t{name}\n" for address in (seat.address, seat.address6) if address)
    try:
        fd = os.open(f"{container.directory}/hosts", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise NotFound(f"container {container.name} has no hosts file") from error
    try:
        os.write(fd, lines.encode())
    finally:
        os.close(fd)


def _remove_hosts(container: Container, seat: Endpoint) -> None:
    path = f"{container.directory}/hosts"
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        lines = os.read(fd, 1 << 20).decode(errors="surrogateescape").splitlines(keepends=True)
        gone = {address for address in (seat.address, seat.address6) if address}
        kept = [line for line in lines if line.split("\t")[0] not in gone]
        os.ftruncate(fd, 0)
        os.pwrite(fd, "".join(kept).encode(errors="surrogateescape"), 0)
    finally:
        os.close(fd)
