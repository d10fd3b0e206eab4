"""The networks of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wharfie.client.api import quote
from wharfie.client.library.binding import Bound, T, operation
from wharfie.client.library.container import Container
from wharfie.client.library.containers import Filters
from wharfie.wire.networks import IPAMPool, Network, NetworkCreated, NetworkPrune


class Networks(Bound[T]):
    """``client.networks``."""

    @operation
    async def list(self, filters: Filters | None = None) -> list[Network]:
        """All of them."""
        return await self._engine.call("GET", "/networks", list[Network], {"filters": filters})

    @operation
    async def inspect(self, name: str) -> Network:
        """Everything about one, its containers too; raises NotFound."""
        return await self._engine.call("GET", f"/networks/{quote(name)}", Network)

    @operation
    async def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        internal: bool = False,
        ipv6: bool = False,
        pools: Sequence[IPAMPool] = (),
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        attachable: bool = False,
    ) -> str:
        """Make one; its id. ``pools`` are its ranges of addresses."""
        body: dict[str, Any] = {
            "Name": name, "Driver": driver, "Internal": internal, "EnableIPv6": ipv6,
            "Attachable": attachable,
            "Options": dict(options or {}), "Labels": dict(labels or {}),
        }  # fmt: skip
        if pools:
            body["IPAM"] = {"Driver": "default", "Config": msgspec.to_builtins([*pools])}
        return (await self._engine.call("POST", "/networks/create", NetworkCreated, body=body)).id

    @operation
    async def remove(self, name: str) -> None:
        """Remove one that has no containers."""
        await self._engine.do("DELETE", f"/networks/{quote(name)}")

    @operation
    async def connect(
        self, name: str, container: str | Container[Any], *, aliases: Sequence[str] = (), ip: str = ""
    ) -> None:
        """Put a container on one."""
        endpoint: dict[str, Any] = {"Aliases": [*aliases]}
        if ip:
            endpoint["IPAMConfig"] = {"IPv6Address" if ":" in ip else "IPv4Address": ip}
        body = {"Container": _id(container), "EndpointConfig": endpoint}
        await self._engine.do("POST", f"/networks/{quote(name)}/connect", body=body)

    @operation
    async def disconnect(self, name: str, container: str | Container[Any], *, force: bool = False) -> None:
        """Take a container off it."""
        body = {"Container": _id(container), "Force": force}
        await self._engine.do("POST", f"/networks/{quote(name)}/disconnect", body=body)

    @operation
    async def prune(self, filters: Filters | None = None) -> NetworkPrune:
        """Remove all that have no containers."""
        return await self._engine.call("POST", "/networks/prune", NetworkPrune, {"filters": filters})


def _id(container: str | Container[Any]) -> str:
    return container if isinstance(container, str) else container.id
