"""Has the older parts of logs compressed, where a container's log options say so.

The daemon does it, in a thread and one part at a time, when rotation renames a file; a monitor never waits
for it. Parts that were rotated while no daemon was there are compressed by the next one. Of what goes to a
log service (``cache-compress``) only parts whose lines were taken are touched.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from wharfie.engine.container import Container
from wharfie.engine.logconfig import packs
from wharfie.engine.logoptions import SENT
from wharfie.logs.packing import Wanted, number_of, pack_parts
from wharfie.logs.parts import PARTS_LIMIT
from wharfie.logs.tail import remembered
from wharfie.logs.watch import RENAMED, Bell, DirectoryWatcher
from wharfie.monitor.client import MonitorLink
from wharfie.support.tasks import spawn

_log = logging.getLogger(__name__)


class Packing:
    """The logs of all containers."""

    def __init__(self) -> None:
        self._watcher = DirectoryWatcher(RENAMED)
        self._turn = asyncio.Lock()

    def begin(self, container: Container, link: MonitorLink) -> None:
        """It runs: compress what is rotated until it has ended."""
        if packs(container):
            self._keep(container, link.exited)

    def settle(self, container: Container) -> None:
        """The daemon has started: do what is left of one that ended before."""
        if packs(container) and not container.status.running:
            over = asyncio.get_running_loop().create_future()
            over.set_result(None)
            self._keep(container, over)

    def _keep(self, container: Container, exited: asyncio.Future[Any]) -> None:
        try:
            bell, key = self._watcher.add(os.path.dirname(container.spool_path))
        except OSError as error:
            _log.warning("the log of container %s is not compressed: %s", container.short_id, error)
            return
        ring = bell.ring
        exited.add_done_callback(lambda _exited: ring())
        task = spawn(f"older logs of {container.short_id}", self._work(container, exited, bell))
        task.add_done_callback(lambda _done: self._watcher.remove(bell, key))

    async def _work(self, container: Container, exited: asyncio.Future[Any], bell: Bell) -> None:
        first = _first(container)
        while True:
            bell.silence()
            last = exited.done()
            try:
                async with self._turn:
                    await asyncio.to_thread(pack_parts, container.spool_path, first)
            except OSError as error:
                if os.path.isdir(container.directory):
                    _log.warning("the log of container %s is not compressed: %s", container.short_id, error)
            if last:
                return
            await bell.wait()


def _first(container: Container) -> Wanted:
    """The number of the first part that nobody needs as it is."""
    path, cursor = container.spool_path, f"{container.directory}/log-cursor"
    if container.record.log_driver not in SENT:
        return lambda: 1

    def taken() -> int:
        inode, _ = remembered(cursor)
        number = number_of(path, inode) if inode else None
        return PARTS_LIMIT if number is None else number + 1

    return taken
