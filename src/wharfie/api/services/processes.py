"""What runs inside containers, between the routes and the readers of control groups and process tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from wharfie.engine.registry import Registry
from wharfie.engine.stats import Stats
from wharfie.engine.top import Top
from wharfie.wire.containers import TopResponse


class ProcessService:
    """The backend of the top and stats routes."""

    def __init__(self, registry: Registry) -> None:
        self._top = Top(registry)
        self._stats = Stats(registry)

    async def top(self, ref: str, arguments: str) -> TopResponse:
        """``docker top``."""
        return await self._top.top(ref, arguments)

    def stats(self, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[dict[str, Any]]:
        """``docker stats``."""
        return self._stats.stats(ref, stream=stream, one_shot=one_shot)
