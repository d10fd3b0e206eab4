"""The images of an engine."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

from wharfie.client.api import quote
from wharfie.client.library import building, pulling
from wharfie.client.library.binding import Bound, T, operation, stream
from wharfie.client.library.building import Secret
from wharfie.client.library.containers import Filters
from wharfie.client.library.engine import Source
from wharfie.client.library.pulling import Told
from wharfie.client.references import split
from wharfie.wire.build import BuildPrune
from wharfie.wire.images import HistoryItem, ImageDelete, ImageInspect, ImagePrune, ImageSummary


class Images(Bound[T]):
    """``client.images``."""

    @operation
    async def list(
        self, *, all: bool = False, digests: bool = False, filters: Filters | None = None
    ) -> list[ImageSummary]:
        """Those that are here."""
        query = {"all": all, "digests": digests, "filters": filters}
        return await self._engine.call("GET", "/images/json", list[ImageSummary], query)

    @operation
    async def inspect(self, name: str) -> ImageInspect:
        """Everything about one; raises NotFound."""
        return await self._inspect(name)

    @operation
    async def history(self, name: str) -> builtins.list[HistoryItem]:
        """How it came to be, the last step first."""
        return await self._engine.call("GET", f"/images/{quote(name, '/')}/history", list[HistoryItem])

    @operation
    async def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        auth: tuple[str, str] | None = None,
        told: Told | None = None,
    ) -> ImageInspect:
        """Fetch one from its registry; ``told`` is given each message about its progress."""
        await pulling.pull(self._engine, reference, platform=platform, auth=auth, told=told)
        return await self._inspect(reference)

    @operation
    async def push(
        self, reference: str, *, auth: tuple[str, str] | None = None, told: Told | None = None
    ) -> None:
        """Send one to its registry."""
        await pulling.push(self._engine, reference, auth=auth, told=told)

    @operation
    async def build(
        self,
        context: str | os.PathLike[str] | Source | None = None,
        *,
        dockerfile: str | None = None,
        file: str = "",
        tags: str | Sequence[str] = (),
        args: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        target: str = "",
        platform: str = "",
        network: str = "",
        pull: bool = False,
        cache: bool = True,
        told: Told | None = None,
    ) -> str:
        """Build one; its id.

        ``context`` is a directory, or a tar archive as bytes, file or parts; without any there is the text of
        the ``dockerfile`` alone. ``secrets`` are for ``RUN --mount=type=secret``: bytes, or a path.
        """
        query = {
            "target": target, "platform": platform, "networkmode": network, "pull": pull,
            "nocache": not cache,
        }  # fmt: skip
        return await building.build(
            self._engine,
            context,
            dockerfile=dockerfile,
            file=file,
            tags=[tags] if isinstance(tags, str) else tags,
            arguments=args or {},
            labels=labels or {},
            secrets=secrets or {},
            query=query,
            told=told,
        )

    @stream
    async def save(self, *names: str) -> AsyncGenerator[bytes, None]:
        """One or several as an archive, in parts."""
        source = self._engine.parts("GET", "/images/get", {"names": [*names]})
        try:
            async for part in source:
                yield part
        finally:
            await source.aclose()

    @operation
    async def load(self, archive: Source) -> builtins.list[str]:
        """Take in what was saved; what the engine says was loaded."""
        messages = await self._engine.progress("/images/load", {"quiet": 1}, data=archive)
        return [str(one["stream"]).strip() for one in messages if one.get("stream")]

    @operation
    async def import_archive(
        self, archive: Source, repository: str = "", tag: str = "", *, changes: Sequence[str] = ()
    ) -> str:
        """Make one of an archive of files; its id."""
        query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": [*changes]}
        messages = await self._engine.progress("/images/create", query, data=archive)
        return str(messages[-1].get("status", "")) if messages else ""

    @operation
    async def tag(self, name: str, new: str) -> None:
        """Give one another name."""
        repository, tag, _ = split(new)
        await self._engine.do("POST", f"/images/{quote(name, '/')}/tag", {"repo": repository, "tag": tag})

    @operation
    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> builtins.list[ImageDelete]:
        """Take a name away, and the image with its last; what was done."""
        query = {"force": force, "noprune": not prune}
        return await self._engine.call("DELETE", f"/images/{quote(name, '/')}", list[ImageDelete], query)

    @operation
    async def search(self, term: str, *, limit: int | None = None) -> builtins.list[dict[str, Any]]:
        """What a registry has, in its own words."""
        kind = cast("type[builtins.list[dict[str, Any]]]", builtins.list)
        return await self._engine.call(
            "GET", "/images/search", kind, {"term": term, "limit": limit}, patient=True
        )

    @operation
    async def prune(self, *, all: bool = False, filters: Filters | None = None) -> ImagePrune:
        """Remove those without a name, or ``all`` that no container needs."""
        query = {"filters": {**({"dangling": ["false"]} if all else {}), **(filters or {})}}
        return await self._engine.call("POST", "/images/prune", ImagePrune, query, patient=True)

    @operation
    async def prune_builds(self, *, all: bool = False) -> BuildPrune:
        """Empty the build cache."""
        return await self._engine.call("POST", "/build/prune", BuildPrune, {"all": all}, patient=True)

    async def _inspect(self, name: str) -> ImageInspect:
        return await self._engine.call("GET", f"/images/{quote(name, '/')}/json", ImageInspect)
