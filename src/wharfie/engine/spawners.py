"""The fork server as the engine uses it: started when first needed, replaced when it died."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wharfie.monitor.client import LaunchRequest, MonitorLink, Spawner, SpawnerDied


class SpawnerHolder:
    """Holds the one spawner of this daemon."""

    def __init__(self, *, exec_root: str, interpreter: list[str], log_path: str) -> None:
        self._exec_root = exec_root
        self._interpreter = interpreter
        self._log_path = log_path
        self._spawner: Spawner | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int:
        """The spawner's process id; 0 when there is none."""
        return self._spawner.pid if self._alive() and self._spawner is not None else 0

    async def start(self) -> None:
        """Have one ready before the first launch; raises SpawnerDied."""
        await self._get()

    async def launch(self, request: LaunchRequest, fds: Sequence[int] = ()) -> MonitorLink:
        """Create and start a container; a dead spawner is replaced, once. Raises LaunchError, SpawnerDied."""
        spawner = await self._get()
        try:
            return await spawner.launch(request, fds)
        except SpawnerDied:
            await asyncio.wait([spawner.died])  # its socket has said so already
            return await (await self._get()).launch(request, fds)

    async def close(self) -> None:
        """End the spawner; containers live on."""
        spawner, self._spawner = self._spawner, None
        if spawner is not None:
            await spawner.close()

    def _alive(self) -> bool:
        return self._spawner is not None and not self._spawner.died.done()

    async def _get(self) -> Spawner:
        if self._spawner is not None and self._alive():
            return self._spawner
        async with self._lock:
            if self._spawner is None or not self._alive():
                self._spawner = await Spawner.start(
                    exec_root=self._exec_root, interpreter=self._interpreter, log_path=self._log_path
                )
            return self._spawner
