"""Networks and endpoints in the database, and in memory as they were last read or written.

The memory serves the start path (a seat costs one INSERT, no SELECT). A transaction of the caller that is
rolled back leaves it ahead of the database; the next write that collides says so, and :meth:`Store.reload`
reads anew.
"""

from __future__ import annotations

import time

from wharfie.network.model import Endpoint, Network
from wharfie.state.db import Database
from wharfie.support import json
from wharfie.support.ids import new_id

_BUILT_IN = (("bridge", "bridge"), ("host", "host"), ("none", "null"))


class Store:
    """The rows of ``networks`` and ``endpoints``: networks by name, endpoints by container."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.networks: dict[str, Network] = {}
        self.endpoints: dict[str, Endpoint] = {}
        for identifier, name, record in db.rows("SELECT id, name, record FROM networks ORDER BY name"):
            data = json.loads(record)
            self.networks[name] = Network(
                identifier, name, data["driver"], data["created"], data["subnet"], data["gateway"]
            )
        for name, driver in _BUILT_IN:
            if name not in self.networks:
                self.write_network(Network(new_id(), name, driver, time.time_ns()))
        self.reload()

    def reload(self) -> None:
        """Read the endpoints anew."""
        self.endpoints.clear()
        for container, record in self._db.rows("SELECT container, record FROM endpoints"):
            data = json.loads(record)
            data["aliases"] = tuple(data["aliases"])
            self.endpoints[container] = Endpoint(**data)

    def addresses(self) -> list[str]:
        """All addresses that are taken."""
        return [endpoint.address for endpoint in self.endpoints.values() if endpoint.address]

    def write_network(self, network: Network) -> None:
        """Keep a network, new or changed."""
        data = {
            "driver": network.driver,
            "created": network.created_ns,
            "subnet": network.subnet,
            "gateway": network.gateway,
        }
        self._db.execute(
            "INSERT INTO networks (id, name, record) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            (network.id, network.name, json.dumps(data)),
        )
        self.networks[network.name] = network

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Keep a new endpoint; raises sqlite3.IntegrityError when its address or its container has one."""
        # networks without addresses have any number of endpoints: the container's id keeps the column unique
        record = {name: getattr(endpoint, name) for name in Endpoint.__slots__}
        self._db.execute(
            "INSERT INTO endpoints (container, network, address, record) VALUES (?, ?, ?, ?)",
            (
                endpoint.container,
                endpoint.network_id,
                endpoint.address or endpoint.container,
                json.dumps(record),
            ),
        )
        self.endpoints[endpoint.container] = endpoint

    def delete_endpoint(self, container: str) -> None:
        """Forget the endpoint of a container."""
        # a row that a full disk keeps collides with the next one, which looks again, or ends with the daemon
        self.endpoints.pop(container, None)
        self._db.execute("DELETE FROM endpoints WHERE container = ?", (container,))
