"""The engine as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from wharfie.client.library.binding import Bound, T, operation, stream
from wharfie.client.library.containers import Filters
from wharfie.wire.build import BuildPrune
from wharfie.wire.containers import ContainerPrune
from wharfie.wire.events import Event
from wharfie.wire.images import ImagePrune
from wharfie.wire.networks import NetworkPrune
from wharfie.wire.system import DiskUsage, Info, Version
from wharfie.wire.volumes import VolumePrune


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune of everything did."""

    containers: ContainerPrune
    networks: NetworkPrune
    images: ImagePrune
    builds: BuildPrune
    volumes: VolumePrune | None

    @property
    def space_reclaimed(self) -> int:
        """Bytes that are free now."""
        parts = (self.containers, self.images, self.builds, self.volumes)
        return sum(part.space_reclaimed for part in parts if part is not None)


class System(Bound[T]):
    """``client.system``."""

    @operation
    async def ping(self) -> str:
        """The version of the API that the engine speaks; raises DaemonUnreachable."""
        _, headers = await self._engine.head("GET", "/_ping")
        return headers.get("api-version", "")

    @operation
    async def info(self) -> Info:
        """What the engine says about itself and its machine."""
        return await self._engine.call("GET", "/info", Info)

    @operation
    async def version(self) -> Version:
        """Its version, and that of its parts."""
        return await self._engine.call("GET", "/version", Version)

    @operation
    async def df(self) -> DiskUsage:
        """What takes how much room."""
        return await self._engine.call("GET", "/system/df", DiskUsage, patient=True)

    @stream
    async def events(
        self,
        *,
        since: float | str | None = None,
        until: float | str | None = None,
        filters: Filters | None = None,
    ) -> AsyncGenerator[Event, None]:
        """What happens, or happened since then, up to a time or for ever."""
        query = {
            "since": None if since is None else str(since),
            "until": None if until is None else str(until),
            "filters": filters,
        }
        source = self._engine.lines("GET", "/events", Event, query)
        try:
            async for event in source:
                yield event
        finally:
            await source.aclose()

    @operation
    async def login(self, registry: str, username: str, password: str) -> str:
        """Try credentials at a registry; what it says. They are not kept."""
        body = {"username": username, "password": password, "serveraddress": registry}
        kind = cast("type[dict[str, Any]]", dict)
        return str((await self._engine.call("POST", "/auth", kind, body=body)).get("Status", ""))

    @operation
    async def prune(self, *, all_images: bool = False, volumes: bool = False) -> Pruned:
        """Remove what nothing uses: containers, networks, images, the build cache, and volumes if asked."""
        call = self._engine.call
        query = {"filters": {"dangling": ["false"]}} if all_images else {}
        return Pruned(
            containers=await call("POST", "/containers/prune", ContainerPrune, patient=True),
            networks=await call("POST", "/networks/prune", NetworkPrune, patient=True),
            volumes=await call("POST", "/volumes/prune", VolumePrune, patient=True) if volumes else None,
            images=await call("POST", "/images/prune", ImagePrune, query, patient=True),
            builds=await call("POST", "/build/prune", BuildPrune, patient=True),
        )
