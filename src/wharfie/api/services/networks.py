"""Networks between the routes and their manager."""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.api.backends import Filters
from wharfie.engine.containers import Containers
from wharfie.errors import InvalidArgument, NotFound
from wharfie.network.manager import NetworkManager
from wharfie.network.model import Endpoint
from wharfie.network.model import Network as Domain
from wharfie.support.units import format_time
from wharfie.wire.networks import IPAM, IPAMPool, Network, NetworkContainer

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})


class NetworkService:
    """The backend of the network routes."""

    def __init__(self, manager: NetworkManager, containers: Containers) -> None:
        self._manager = manager
        self._containers = containers

    def list(self, filters: Filters) -> Sequence[Network]:
        """``docker network ls``; without the containers, as Docker."""
        for name in filters:
            if name not in _FILTERS:
                raise InvalidArgument(f"invalid filter '{name}'")
        return [
            self._wire(network, members=False)
            for network in sorted(self._manager.list(), key=lambda network: network.name)
            if _listed(network, filters)
        ]

    def inspect(self, ref: str) -> Network:
        """``docker network inspect``."""
        return self._wire(self._manager.get(ref), members=True)

    def _wire(self, network: Domain, *, members: bool) -> Network:
        pools = []
        if network.subnet:
            pools = [IPAMPool(subnet=network.subnet, gateway=network.gateway)]
        return Network(
            name=network.name,
            id=network.id,
            created=format_time(network.created_ns),
            scope=network.scope,
            driver=network.driver,
            enable_ipv6=network.ipv6,
            ipam=IPAM(driver=network.ipam_driver, config=pools or None),
            internal=network.internal,
            attachable=network.attachable,
            containers=self._members(network.members) if members else {},
            options=network.options,
            labels=network.labels,
        )

    def _members(self, endpoints: Sequence[Endpoint]) -> dict[str, NetworkContainer]:
        found = {}
        for endpoint in endpoints:
            try:
                container = self._containers.get(endpoint.container)
            except NotFound:
                continue
            if container.status.running:
                found[container.id] = NetworkContainer(
                    name=container.name,
                    endpoint_id=endpoint.id,
                    mac_address=endpoint.mac,
                    ipv4_address=endpoint.cidr,
                )
        return found


def _listed(network: Domain, filters: Filters) -> bool:
    """Every filter must hold; of several values of one, one must."""
    kinds = filters.get("type", ())
    checks = (
        ("name", lambda value: value in network.name),
        ("id", lambda value: network.id.startswith(value)),
        ("driver", lambda value: value == network.driver),
        ("scope", lambda value: value == network.scope),
        ("label", lambda value: _labelled(network, value)),
        ("dangling", lambda value: value.lower() not in ("1", "true")),
    )
    if kinds and "builtin" not in kinds:
        return False
    return all(any(map(check, filters[name])) for name, check in checks if filters.get(name))


def _labelled(network: Domain, text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in network.labels and (not equals or network.labels[name] == value)
