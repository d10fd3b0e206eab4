"""Networks between the routes and their manager."""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.api.backends import Filters
from wharfie.engine import filters as engine_filters
from wharfie.engine.containers import Containers
from wharfie.errors import Forbidden, InvalidArgument, NotFound, WharfieError
from wharfie.network.creating import Wish
from wharfie.network.manager import NetworkManager
from wharfie.network.model import Endpoint, NetworkNotFound, Subnet
from wharfie.network.model import Network as Domain
from wharfie.support.units import format_time
from wharfie.wire.config import EndpointSettings
from wharfie.wire.networks import (
    IPAM,
    ConfigReference,
    IPAMPool,
    Network,
    NetworkConnect,
    NetworkContainer,
    NetworkCreate,
    NetworkCreated,
    NetworkDisconnect,
    NetworkPrune,
)

_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_PRUNING = frozenset({"label", "label!", "until"})


class NetworkService:
    """The backend of the network routes."""

    def __init__(self, manager: NetworkManager, containers: Containers) -> None:
        self._manager = manager
        self._containers = containers
        self._engine = containers.networking

    def list(self, filters: Filters) -> Sequence[Network]:
        """``docker network ls``; without the containers, as Docker."""
        for name in filters:
            if name not in _FILTERS:
                raise InvalidArgument(f"invalid filter '{name}'")
        _dangling(filters)
        return [
            self._wire(network, members=False)
            for network in sorted(self._manager.list(), key=lambda network: network.name)
            if self._listed(network, filters)
        ]

    def inspect(self, ref: str, scope: str = "") -> Network:
        """``docker network inspect``; in another scope than that of this machine there are none."""
        network = self._manager.get(ref)
        if scope and scope != network.scope:
            raise NetworkNotFound(ref)
        return self._wire(network, members=True)

    async def create(self, body: NetworkCreate) -> NetworkCreated:
        """``docker network create``."""
        if body.ingress and body.driver != "overlay":
            raise Forbidden("Ingress network can only be global scope network")
        ipam = body.ipam or IPAM()
        made = await self._manager.create(
            Wish(
                name=body.name,
                driver=body.driver,
                subnets=tuple(
                    Subnet(one.subnet, one.gateway, one.ip_range, one.auxiliary_addresses or {})
                    for one in ipam.config or ()
                ),
                options=body.options or {},
                labels=body.labels or {},
                ipv4=body.enable_ipv4,
                ipv6=body.enable_ipv6,
                internal=body.internal,
                attachable=body.attachable,
                scope=body.scope,
                ipam_driver=ipam.driver,
                ipam_options=ipam.options,
                config_only=body.config_only,
                config_from=body.config_from.network,
            )
        )
        self._emit("create", made)
        return NetworkCreated(id=made.id)

    async def remove(self, ref: str) -> None:
        """``docker network rm``."""
        self._emit("destroy", await self._manager.remove(ref))

    async def connect(self, ref: str, body: NetworkConnect) -> None:
        """``docker network connect``."""
        container = self._containers.get(_named(body.container))
        network = self._manager.get(ref)
        asked = body.endpoint_config or EndpointSettings()
        await self._engine.connect(network, container, asked)

    async def disconnect(self, ref: str, body: NetworkDisconnect) -> None:
        """``docker network disconnect``."""
        network = self._manager.get(ref)
        try:
            container = self._containers.get(_named(body.container))
        except NotFound:
            if not body.force:
                raise
            # what is gone has given its seats up
            raise NotFound(f"endpoint {body.container} not found") from None
        await self._engine.disconnect(network, container, force=body.force)

    async def prune(self, filters: Filters) -> NetworkPrune:
        """``docker network prune``: those that nobody is to be in, running or not."""
        for name in filters:
            if name not in _PRUNING:
                raise InvalidArgument(f"invalid filter '{name}'")
        chosen = engine_filters.until(filters)
        gone = []
        for network in self._manager.list():
            if not network.user_defined or network.config_only or self._engine.users(network):
                continue
            if not _has_labels(network, filters) or (chosen and network.created_ns >= chosen):
                continue
            try:
                await self.remove(network.id)
            except WharfieError:
                continue
            gone.append(network.name)
        self._containers.emit_for("network", "prune", "", {"reclaimed": "0"})
        return NetworkPrune(networks_deleted=gone or None)

    def _emit(self, action: str, network: Domain) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._containers.emit_for("network", action, network.id, attributes)

    def _wire(self, network: Domain, *, members: bool) -> Network:
        pools = [
            IPAMPool(
                subnet=one.subnet,
                ip_range=one.range,
                gateway=one.gateway,
                auxiliary_addresses=one.auxiliary or None,
            )
            for one in network.subnets
        ]
        return Network(
            name=network.name,
            id=network.id,
            created=format_time(network.created_ns),
            scope=network.scope,
            driver=network.driver,
            enable_ipv4=network.ipv4,
            enable_ipv6=network.ipv6,
            ipam=IPAM(driver=network.ipam_driver, options=network.ipam_options, config=pools or None),
            config_from=ConfigReference(network=network.config_from),
            config_only=network.config_only,
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
                    ipv6_address=endpoint.cidr6,
                )
        return found

    def _listed(self, network: Domain, filters: Filters) -> bool:
        """Every filter must hold; of several values of one, one must."""
        dangling = _dangling(filters)
        if dangling is not None:
            unused = network.user_defined and not self._engine.users(network)
            if unused is not dangling:
                return False
        for value in filters.get("type", ()):
            if value not in ("builtin", "custom"):
                raise InvalidArgument(f"invalid filter: 'type'='{value}'")
        checks = (
            ("name", lambda value: value in network.name),
            ("id", lambda value: network.id.startswith(value)),
            ("driver", lambda value: value == network.driver),
            ("scope", lambda value: value == network.scope),
            ("type", lambda value: (value == "custom") is network.user_defined),
        )
        if not all(_labelled(network, value) for value in filters.get("label", ())):
            return False
        return all(any(map(check, filters[name])) for name, check in checks if filters.get(name))


def _named(ref: str) -> str:
    if not ref:
        raise InvalidArgument('invalid name or ID supplied: ""')
    return ref


def _dangling(filters: Filters) -> bool | None:
    values = filters.get("dangling", [])
    if len(values) > 1:
        raise InvalidArgument('got more than one value for filter key "dangling"')
    if values and values[0] not in ("true", "1", "false", "0"):
        raise InvalidArgument(
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
        )
    return values[0] in ("true", "1") if values else None


def _has_labels(network: Domain, filters: Filters) -> bool:
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
    return all(_labelled(network, text) for text in wanted) and not any(
        _labelled(network, text) for text in unwanted
    )


def _labelled(network: Domain, text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in network.labels and (not equals or network.labels[name] == value)
