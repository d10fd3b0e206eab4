"""Networks and endpoints in the database, and in memory as they were last read or written.

The memory serves the start path (a seat costs one INSERT, no SELECT). A transaction of the caller that is
rolled back leaves it ahead of the database; the next write that collides says so, and :meth:`Store.reload`
reads anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from wharfie.network.model import Endpoint, Network, Published, Subnet
from wharfie.state.db import Database
from wharfie.support import json
from wharfie.support.ids import new_id

_BUILT_IN = (("bridge", "bridge"), ("host", "host"), ("none", "null"))
_PLAIN = (
    "options",
    "labels",
    "scope",
    "ipv4",
    "ipv6",
    "internal",
    "attachable",
    "ipam_driver",
    "ipam_options",
    "config_only",
    "config_from",
)


class Store:
    """The rows of ``networks`` and ``endpoints``: networks by name, endpoints by container and network id."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.networks: dict[str, Network] = {}
        self.endpoints: dict[str, dict[str, Endpoint]] = {}
        for identifier, name, record in db.rows("SELECT id, name, record FROM networks ORDER BY name"):
            self.networks[name] = _network(identifier, name, json.loads(record))
        for name, driver in _BUILT_IN:
            if name not in self.networks:
                self.write_network(Network(new_id(), name, driver, time.time_ns()))
        self.reload()

    def reload(self) -> None:
        """Read the endpoints anew."""
        self.endpoints.clear()
        for container, network, record in self.db.rows(
            "SELECT container, network, record FROM endpoints ORDER BY container, network"
        ):
            self.endpoints.setdefault(container, {})[network] = _endpoint(json.loads(record))

    def all(self) -> Iterator[Endpoint]:
        """Every endpoint."""
        for seats in self.endpoints.values():
            yield from seats.values()

    def members(self, network_id: str) -> list[Endpoint]:
        """The endpoints of a network."""
        return [seats[network_id] for seats in self.endpoints.values() if network_id in seats]

    def write_network(self, network: Network) -> None:
        """Keep a network, new or changed; raises sqlite3.IntegrityError when the name is taken."""
        data: dict[str, Any] = {name: getattr(network, name) for name in _PLAIN}
        data |= {"driver": network.driver, "created": network.created_ns}
        data["subnets"] = [
            {"subnet": one.subnet, "gateway": one.gateway, "range": one.range, "auxiliary": one.auxiliary}
            for one in network.subnets
        ]
        self.db.execute(
            "INSERT INTO networks (id, name, record) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            (network.id, network.name, json.dumps(data)),
        )
        self.networks[network.name] = network

    def delete_network(self, network: Network) -> None:
        """Forget a network."""
        self.db.execute("DELETE FROM networks WHERE id = ?", (network.id,))
        self.networks.pop(network.name, None)

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Keep a new endpoint; raises sqlite3.IntegrityError when its address or its seat is taken."""
        # networks without addresses have any number of endpoints: the container's id keeps the column unique
        self.db.execute(
            "INSERT INTO endpoints (container, network, address, record) VALUES (?, ?, ?, ?)",
            (
                endpoint.container,
                endpoint.network_id,
                endpoint.address or endpoint.address6 or endpoint.container,
                _text(endpoint),
            ),
        )
        self.endpoints.setdefault(endpoint.container, {})[endpoint.network_id] = endpoint

    def replace_endpoint(self, endpoint: Endpoint) -> None:
        """Keep what has changed of an endpoint, but for its address."""
        self.db.execute(
            "UPDATE endpoints SET record = ? WHERE container = ? AND network = ?",
            (_text(endpoint), endpoint.container, endpoint.network_id),
        )
        self.endpoints.setdefault(endpoint.container, {})[endpoint.network_id] = endpoint

    def delete_endpoint(self, container: str, network_id: str) -> None:
        """Forget an endpoint of a container."""
        # a row that a full disk keeps collides with the next one, which looks again, or ends with the daemon
        seats = self.endpoints.get(container, {})
        seats.pop(network_id, None)
        if not seats:
            self.endpoints.pop(container, None)
        self.db.execute("DELETE FROM endpoints WHERE container = ? AND network = ?", (container, network_id))


def _network(identifier: str, name: str, data: dict[str, Any]) -> Network:
    subnets = [Subnet(**one) for one in data.get("subnets", ())]
    if data.get("subnet"):
        # as it was written before networks could have several
        subnets.append(Subnet(data["subnet"], data["gateway"]))
    plain = {name: data[name] for name in _PLAIN if name in data}
    return Network(identifier, name, data["driver"], data["created"], tuple(subnets), **plain)


def _endpoint(data: dict[str, Any]) -> Endpoint:
    for name in ("aliases", "link_local", "names"):
        data[name] = tuple(data.get(name, ()))
    data["published"] = tuple(Published(*one) for one in data.get("published", ()))
    return Endpoint(**data)


def _text(endpoint: Endpoint) -> str:
    record = {name: getattr(endpoint, name) for name in Endpoint.__slots__}
    record["published"] = [
        (one.port, one.protocol, one.host_ip, one.host_port, one.proxied) for one in endpoint.published
    ]
    return json.dumps(record)
