"""The volumes of an engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from wharfie.client.api import quote
from wharfie.client.library.binding import Bound, T, operation, stream
from wharfie.client.library.containers import Filters
from wharfie.client.library.engine import Source
from wharfie.wire.volumes import Volume, VolumeList, VolumePrune


class Volumes(Bound[T]):
    """``client.volumes``."""

    @operation
    async def list(self, filters: Filters | None = None) -> list[Volume]:
        """All of them."""
        return (await self._engine.call("GET", "/volumes", VolumeList, {"filters": filters})).volumes

    @operation
    async def inspect(self, name: str) -> Volume:
        """Everything about one; raises NotFound."""
        return await self._engine.call("GET", f"/volumes/{quote(name)}", Volume)

    @operation
    async def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make one, or find the one of this name."""
        body = {
            "Name": name, "Driver": driver, "DriverOpts": dict(options or {}), "Labels": dict(labels or {}),
        }  # fmt: skip
        return await self._engine.call("POST", "/volumes/create", Volume, body=body)

    @operation
    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove one that no container uses."""
        await self._engine.do("DELETE", f"/volumes/{quote(name)}", {"force": force})

    @operation
    async def prune(self, *, all: bool = False, filters: Filters | None = None) -> VolumePrune:
        """Remove those without a name that no container uses, or ``all`` that none uses."""
        query = {"filters": {**({"all": ["true"]} if all else {}), **(filters or {})}}
        return await self._engine.call("POST", "/volumes/prune", VolumePrune, query, patient=True)

    @stream
    async def export(self, name: str) -> AsyncGenerator[bytes, None]:
        """What is in one, as a tar archive in parts (wharfie's own)."""
        source = self._engine.parts("GET", f"/volumes/{quote(name)}/archive")
        try:
            async for part in source:
                yield part
        finally:
            await source.aclose()

    @operation
    async def import_archive(self, name: str, archive: Source) -> None:
        """Extract a tar archive in one (wharfie's own)."""
        await self._engine.do("PUT", f"/volumes/{quote(name)}/archive", data=archive, patient=True)
