"""A container's networks as the API shows them."""

from __future__ import annotations

from wharfie.engine import publishing
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.seating import wished
from wharfie.network.model import Endpoint, Mode, ModeKind
from wharfie.wire.config import EndpointSettings
from wharfie.wire.containers import NetworkSettings


def of_container(context: Context, container: Container) -> dict[str, EndpointSettings]:
    """Its networks by name; without addresses while it does not run."""
    mode = Mode.parse(container.host_config.network_mode)
    if mode.kind is ModeKind.CONTAINER:
        return {}
    seats = context.networks.endpoints(container.id) if container.status.running else []
    if not seats:
        return {name: asked or EndpointSettings() for name, asked in wished(container)}
    return {seat.network: _settings(seat, container) for seat in seats}


def _settings(seat: Endpoint, container: Container) -> EndpointSettings:
    asked = container.record.networks.get(seat.network) or EndpointSettings()
    return EndpointSettings(
        ipam_config=asked.ipam_config,
        aliases=list(seat.aliases) or None,
        links=asked.links,
        driver_opts=asked.driver_opts,
        gw_priority=seat.priority,
        mac_address=seat.mac,
        network_id=seat.network_id,
        endpoint_id=seat.id,
        gateway="" if seat.internal else seat.gateway,
        ip_address=seat.address,
        ip_prefix_len=seat.prefix,
        ipv6_gateway="" if seat.internal else seat.gateway6,
        global_ipv6_address=seat.address6,
        global_ipv6_prefix_len=seat.prefix6,
        dns_names=list(seat.names) or None,
    )


def settings(context: Context, container: Container) -> NetworkSettings:
    """The ``NetworkSettings`` of an inspection: the default bridge's fields are repeated at the top."""
    networks = of_container(context, container)
    running = container.status.running
    bridge = networks.get("bridge") or EndpointSettings()
    seats = context.networks.endpoints(container.id) if running else []
    published = [one for seat in seats for one in seat.published]
    return NetworkSettings(
        sandbox_id=container.id if running else "",
        sandbox_key=f"/proc/{container.status.pid}/ns/net" if running else "",
        ports=publishing.port_map(container.config.exposed_ports or (), published) if running else {},
        endpoint_id=bridge.endpoint_id,
        gateway=bridge.gateway,
        ip_address=bridge.ip_address,
        ip_prefix_len=bridge.ip_prefix_len,
        ipv6_gateway=bridge.ipv6_gateway,
        global_ipv6_address=bridge.global_ipv6_address,
        global_ipv6_prefix_len=bridge.global_ipv6_prefix_len,
        mac_address=bridge.mac_address,
        networks=networks,
    )
