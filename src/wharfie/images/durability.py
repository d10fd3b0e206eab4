"""What was placed reaches the disk for good a moment after its rows do.

Waiting for the disk can take longer than all the rest of a ``load``, and is of use only if the power fails in
just these seconds. So nobody waits. In the transaction that makes an image (or a cached step) appear, the
names of its files go into the table ``unsynced`` together with the id of this boot; shortly after, everything
is synced at once and the names are dropped::

    files placed ▶ rows and unsynced names ▶ "done" to the client ▶ (a pause) ▶ syncfs ▶ names dropped

At the next start, names of this boot are synced again: the daemon died, the files are in the page cache.
Names of another boot mean that the power failed before the sync: those files are read and digested, and what
is not whole is removed or made again, as ``system check --repair`` does; steps of builds are forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from wharfie.images.catalog import Catalog
from wharfie.images.layers import LayerStore
from wharfie.support.tasks import spawn

PAUSE = 2.0
"""Seconds in which more may come that the same sync covers: a sync slows down who writes beside it."""
_log = logging.getLogger(__name__)


def boot_id() -> str:
    """An id that another start of the kernel does not have (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


class Durability:
    """The names of one store's files that the disk may not hold for good yet."""

    def __init__(self, catalog: Catalog, layers: LayerStore) -> None:
        self._catalog = catalog
        self._layers = layers
        self._boot = boot_id()
        self._task: asyncio.Task[None] | None = None

    def note(self, names: Iterable[str]) -> None:
        """In the transaction that gives these files their rows; directories by name, blobs by digest."""
        self._catalog.add_unsynced([name for name in names if name in self._layers.fresh], self._boot)

    def settle(self) -> None:
        """Sync in the background, soon; at once where there is no event loop."""
        if self._task is not None and not self._task.done():
            return
        if not self._catalog.unsynced(self._boot):
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._dropped(self._taken(), self._synced())
            return
        self._task = spawn("sync layers", self._settled())

    def suspects(self) -> set[str]:
        """Names whose files a power failure may have torn."""
        return self._catalog.unsynced_elsewhere(self._boot)

    async def _settled(self) -> None:
        while self._catalog.unsynced(self._boot):
            await asyncio.sleep(PAUSE)
            taken = self._taken()
            if not self._dropped(taken, await asyncio.to_thread(self._synced)):
                return

    def _taken(self) -> tuple[set[str], set[str]]:
        return self._catalog.unsynced(self._boot), set(self._layers.fresh)

    def _synced(self) -> bool:
        """In a thread."""
        try:
            self._layers.sync()
        except OSError as error:
            # the names stay: the next start looks at these files, or syncs them
            _log.warning("layers cannot be brought to the disk: %s", error)
            return False
        return True

    def _dropped(self, taken: tuple[set[str], set[str]], synced: bool) -> bool:
        if synced:
            names, fresh = taken
            self._catalog.drop_unsynced(names)
            self._layers.fresh -= fresh
        return synced
