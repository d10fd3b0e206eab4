"""``update --publish-add``, ``--publish-rm``, ``--network-rate``, ``--egress`` of a container that is there.

What is asked for changes in the record; of a running container the ports, rates and lists change at once, and
connections that are open stay open. Docker has none of this.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from functools import partial

import msgspec

from wharfie.engine import filesets, publishing, seating
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.network import egress, live, ports, rates, traffic
from wharfie.network.driveroptions import DriverOptions
from wharfie.network.manager import NetworkManager
from wharfie.network.model import Endpoint, Mode, ModeKind, Published
from wharfie.support.faults import point
from wharfie.wire.config import EndpointSettings, HostConfig, PortBinding
from wharfie.wire.containers import UpdateContainer

Taken = tuple[str, int, str]


def asks(body: UpdateContainer) -> bool:
    """Whether the update is about networks at all."""
    return bool(
        body.publish_add or body.publish_remove or body.network_rate is not None or body.egress is not None
    )


def merged(container: Container, body: UpdateContainer, seats: Sequence[Endpoint]) -> HostConfig:
    """The configuration after the update; raises InvalidArgument, Conflict."""
    host = container.host_config
    mode = Mode.parse(host.network_mode).kind
    if mode in (ModeKind.HOST, ModeKind.NONE, ModeKind.CONTAINER):
        raise Conflict(
            f"Cannot update container {container.id}: with the network {host.network_mode} it has no ports, "
            "rates or lists of its own"
        )
    bindings = {name: list(wanted or ()) for name, wanted in (host.port_bindings or {}).items()}
    for text in body.publish_remove or ():
        _remove(container, bindings, text, [one for seat in seats for one in seat.published])
    for name, wanted in (body.publish_add or {}).items():
        for one in wanted or ():
            if one in bindings.get(name, ()) and one.host_port:
                raise Conflict(f"port {one.host_port} of container {container.name} is published already")
            bindings.setdefault(name, []).append(one)
    changes: dict[str, object] = {"port_bindings": {name: found for name, found in bindings.items() if found}}
    if body.network_rate is not None:
        rates.parse(body.network_rate)
        changes["network_rate"] = "" if body.network_rate == "none" else body.network_rate
    if body.egress is not None:
        egress.joined(body.egress)
        changes["egress"] = "" if body.egress == "none" else body.egress
    changed = msgspec.structs.replace(host, **changes)
    ports.parse(publishing.bindings(changed))
    return changed


def check(context: Context, container: Container, changed: HostConfig) -> None:
    """Whether its networks can do it; raises NotSupported."""
    for name, asked in seating.wished(container):
        try:
            context.networks.check(name, seating.wish_of(asked or EndpointSettings(), changed))
        except NotFound:
            continue  # it has gone; who starts the container will be told


def parse_published(text: str) -> Taken:
    """``[address:]port[/protocol]`` of the host; raises InvalidArgument."""
    rest, _, protocol = text.partition("/")
    address, _, port = rest.rpartition(":")
    valid = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536
    if not valid or (protocol or "tcp") not in ("tcp", "udp", "sctp"):
        raise InvalidArgument(f"invalid published port {text}: it is [address:]port[/protocol]")
    return address.strip("[]"), int(port), protocol or "tcp"


def _remove(
    container: Container, bindings: dict[str, list[PortBinding]], text: str, published: Sequence[Published]
) -> None:
    address, port, protocol = parse_published(text)
    found = any(_is(one, (address, port, protocol)) for one in published)
    for name, wanted in bindings.items():
        if name.partition("/")[2] in (protocol, "" if protocol == "tcp" else protocol):
            kept = [
                one
                for one in wanted
                if one.host_port != str(port) or (address and one.host_ip.strip("[]") != address)
            ]
            found = found or len(kept) < len(wanted)
            bindings[name] = kept
    if not found:
        raise Conflict(f"container {container.name} publishes nothing at port {text}")


def _is(one: Published, taken: Taken) -> bool:
    address, port, protocol = taken
    return one.host_port == port and one.protocol == protocol and (not address or one.host_ip == address)


def apply(context: Context, container: Container, body: UpdateContainer, changed: HostConfig) -> None:
    """Do it on a running container; raises PortInUse, NetworkUnavailable, with nothing changed.

    It belongs into one transaction with the record's change: a daemon that dies in between leaves rows that
    say the one or the other, and the next one makes the kernel follow them.
    """
    networks = context.networks
    seats = networks.endpoints(container.id)
    before = [one for seat in seats for one in seat.published]
    gone = [
        one for one in before if any(_is(one, parse_published(text)) for text in body.publish_remove or ())
    ]
    networks.publishing.remove(container.id, gone)
    try:
        _publish(context, container, body, seats)
        _restrict(context, container, changed)
    except BaseException:
        present = [one for seat in networks.endpoints(container.id) for one in seat.published]
        networks.publishing.remove(container.id, [one for one in present if one not in before])
        back = [
            # one that the host's rules apply to must not come back past them
            ports.PortRequest(one.port, one.protocol, one.host_ip, one.host_port, one.host_port, one.proxied)
            for one in gone
        ]
        networks.publishing.add(container.id, back)
        raise


def _restrict(context: Context, container: Container, changed: HostConfig) -> None:
    """Rates and allow-lists."""
    networks = context.networks
    begun: list[tuple[Endpoint, Endpoint]] = []
    try:
        for seat in networks.endpoints(container.id):
            options = DriverOptions.parse(networks.get(seat.network_id).options)
            lists = ";".join(filter(None, (changed.egress, options.egress)))
            fresh = dataclasses.replace(seat, rate=changed.network_rate or options.rate, egress=lists)
            begun.append((seat, fresh))
            _hold(networks, seat, fresh)
    except BaseException:
        for seat, fresh in begun:
            _hold(networks, fresh, seat)
        raise


def _hold(networks: NetworkManager, before: Endpoint, after: Endpoint) -> None:
    if after == before:
        return
    networks.store.replace_endpoint(after)
    if after.rate != before.rate:
        networks.limit(after)
    if after.egress != before.egress:
        networks.restrictions.apply(after)


async def settle(context: Context, container: Container, body: UpdateContainer) -> None:
    """What may wait until it is recorded: what the porter must know, a device that is not needed any more."""
    networks = context.networks
    if body.network_rate is not None:
        for seat in networks.endpoints(container.id):
            await networks.departures.done(partial(traffic.tidy, seat))
    if body.egress is not None:
        await _inform(context, container)
    networks.publishing.hand_over()


def _publish(
    context: Context, container: Container, body: UpdateContainer, seats: Sequence[Endpoint]
) -> None:
    wanted = HostConfig(port_bindings=body.publish_add or {})
    requests = ports.parse(publishing.bindings(wanted))
    if not requests:
        return
    networks = context.networks
    made = networks.publishing.add(container.id, requests, networks.default_binding(next(iter(seats), None)))
    if not made:
        raise Conflict(f"no network of container {container.name} can publish a port")
    for seat in networks.endpoints(container.id):
        if seat.published:
            live.hairpin(seat)
    point("ports may be reached by their own container")


async def _inform(context: Context, container: Container) -> None:
    """The porter answers for it now, or not any more."""
    networks = context.networks
    seats = networks.endpoints(container.id)
    embedded = seating.embedded(seats)
    if embedded:
        seating.inform(context, container, seats)
        await networks.porter.open(container.id, container.status.pid)
    else:
        networks.porter.forget(container.id)
    await asyncio.sleep(0)
    filesets.rewrite_resolver(container, networks.files, embedded=embedded)
