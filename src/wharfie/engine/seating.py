"""A container's place in its networks: the seats that a start takes, the ports that it publishes, what the
porter must know to answer it.
"""

from __future__ import annotations

from wharfie.engine import links
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.publishing import bindings
from wharfie.network import egress, ports
from wharfie.network.firewall import table_name
from wharfie.network.model import Endpoint, Mode, ModeKind, gateways
from wharfie.network.publishing import seat_of
from wharfie.network.seating import SeatWish
from wharfie.wire.config import EndpointSettings, HostConfig


def wish(container: Container, asked: EndpointSettings | None, *, first: bool) -> SeatWish:
    """What the container wishes of one network; ``first``: it is the one of its network mode."""
    config, host = container.config, container.host_config
    asked = asked or EndpointSettings()
    ipam = asked.ipam_config
    return SeatWish(
        container=container.id,
        name=container.name,
        hostname=config.hostname,
        aliases=asked.aliases or (),
        ip=(ipam.ipv4_address if ipam else "") or "",
        ip6=(ipam.ipv6_address if ipam else "") or "",
        link_local=(ipam.link_local_ips if ipam else None) or (),
        mac=asked.mac_address or (config.mac_address if first else ""),
        priority=asked.gw_priority,
        options=asked.driver_opts or {},
        rate=host.network_rate,
        egress=host.egress,
    )


def wish_of(asked: EndpointSettings, host: HostConfig) -> SeatWish:
    """The part of a wish that can be checked before there is a container."""
    ipam = asked.ipam_config
    return SeatWish(
        container="",
        aliases=asked.aliases or (),
        ip=(ipam.ipv4_address if ipam else "") or "",
        ip6=(ipam.ipv6_address if ipam else "") or "",
        link_local=(ipam.link_local_ips if ipam else None) or (),
        mac=asked.mac_address,
        options=asked.driver_opts or {},
        rate=host.network_rate,
        egress=host.egress,
    )


def wished(container: Container) -> list[tuple[str, EndpointSettings | None]]:
    """The networks that it is to be in, the one of its mode first."""
    mode = Mode.parse(container.host_config.network_mode)
    if mode.kind is ModeKind.CONTAINER or container.config.network_disabled:
        return []
    networks = container.record.networks
    if container.record.detached and not networks:
        return []
    if mode.name not in networks and networks and mode.kind in (ModeKind.NAMED, ModeKind.BRIDGE):
        # somebody took it out of the network it was made for, and put it into others
        return list(networks.items())
    rest = [(name, asked) for name, asked in networks.items() if name != mode.name]
    return [(mode.name, networks.get(mode.name)), *rest]


def take(context: Context, container: Container) -> list[Endpoint]:
    """Seat it everywhere, with its ports; raises NotFound, InvalidArgument, AddressUnavailable, PortInUse."""
    networks = context.networks
    listed = wished(container)
    for place, (name, asked) in enumerate(listed):
        networks.seat(name, wish(container, asked, first=place == 0))
    seats = networks.endpoints(container.id)
    home = seat_of(seats)
    requests = ports.parse(bindings(container.host_config))
    if container.host_config.publish_all_ports:
        requests += _all(container, requests)
    if home is not None and requests:
        try:
            networks.publishing.add(container.id, requests, networks.default_binding(home))
        except ports.PortInUse as error:
            raise ports.PortInUse(
                f"driver failed programming external connectivity on endpoint {container.name} ({home.id}): "
                f"{error.message}"
            ) from error
    for seat in networks.endpoints(container.id):
        if seat.egress:
            networks.restrictions.apply(seat)
    return networks.endpoints(container.id)


def _all(container: Container, requests: list[ports.PortRequest]) -> list[ports.PortRequest]:
    """``-P``: every exposed port that is not published yet."""
    known = {(request.port, request.protocol) for request in requests}
    exposed = sorted(ports.parse_port(name) for name in container.config.exposed_ports or ())
    return [ports.PortRequest(*one) for one in exposed if one not in known]


def embedded(seats: list[Endpoint]) -> bool:
    """Whether it asks the porter for names: in networks that people made, and with an allow-list of names."""
    return any(seat.user_defined or seat.egress for seat in seats if seat.bridge or seat.parent)


def inform(context: Context, container: Container, seats: list[Endpoint]) -> None:
    """Tell the porter what it must know to answer the container."""
    networks = context.networks
    lists = [text for seat in seats for text in seat.egress.split(";") if text]
    found = egress.joined(*lists)
    networks.porter.client(
        container.id,
        {
            "servers": networks.files.upstream(container.host_config.dns or ()),
            "forward": any(gateways(seats)),
            "allowed": None if found is None else list(found.names),
            "addresses": [address for seat in seats for address in (seat.address, seat.address6) if address],
            "table": table_name(networks.settings.bridge),
            "links": links.aliases(context, container),
        },
    )
