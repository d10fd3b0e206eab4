"""Takes the lines of containers with the drivers syslog and journald to where these drivers' lines go.

::

    monitor ── json-file, rotated ──▶ Tail ──▶ messages ──▶ Connection ──▶ service
                                       ▲                        │
                                       └── log-cursor ◀─ taken ─┘

The container's own file is what ``docker logs`` reads, and what keeps the lines while the service or the
daemon is away: a container never waits for a log service, and a new daemon goes on behind the last lines that
were taken. Only what rotation removes before the service is back is lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from wharfie.engine.container import Container
from wharfie.engine.logconfig import start_failed
from wharfie.engine.logformat import Format, format_for
from wharfie.engine.logoptions import SENT
from wharfie.errors import WharfieError
from wharfie.logs.decode import runs
from wharfie.logs.sending import Connection
from wharfie.logs.tail import Tail
from wharfie.logs.watch import Bell, DirectoryWatcher
from wharfie.monitor.client import MonitorLink
from wharfie.support.tasks import spawn

_log = logging.getLogger(__name__)
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 10.0


class Shipping:
    """The lines of all containers."""

    def __init__(self) -> None:
        self._watcher = DirectoryWatcher()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, container: Container, link: MonitorLink) -> None:
        """It runs: send its lines until it has ended and all are sent."""
        if container.record.log_driver not in SENT:
            return
        self._send(container, link.exited)

    def settle(self, container: Container) -> None:
        """The daemon has started: send what one that ended before has left to do."""
        if container.record.log_driver in SENT and not container.status.running:
            over = asyncio.get_running_loop().create_future()
            over.set_result(None)
            self._send(container, over)

    def _send(self, container: Container, exited: asyncio.Future[Any]) -> None:
        before = self._tasks.get(container.id)
        tail = Tail(container.spool_path, f"{container.directory}/log-cursor")
        # at once: with --rm file and directory may have lost their names when the task gets its turn
        try:
            bell, key = self._watcher.add(os.path.dirname(container.spool_path))
        except OSError as error:
            _log.warning("the log of container %s is not sent: %s", container.short_id, error)
            return
        if before is None:
            tail.open()
        ring = bell.ring
        exited.add_done_callback(lambda _exited: ring())
        work = self._ship(container, tail, exited, bell, before)
        task = spawn(f"log of {container.short_id}", work)
        task.add_done_callback(lambda _done: self._watcher.remove(bell, key))
        self._tasks[container.id] = task
        task.add_done_callback(lambda done: self._ended(container.id, done))

    def _ended(self, identifier: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(identifier) is task:
            del self._tasks[identifier]

    async def _ship(
        self,
        container: Container,
        tail: Tail,
        exited: asyncio.Future[Any],
        bell: Bell,
        before: asyncio.Task[None] | None,
    ) -> None:
        connection = None
        try:
            if before is not None:
                await asyncio.wait([before])
                tail.open()
            form = format_for(container)
            connection = Connection(form.target, form.tls)
            while True:
                bell.silence()
                last = exited.done()
                await self._new_ones(container, tail, form, connection)
                if last:
                    break
                await bell.wait()
            await connection.finish()
        except (OSError, WharfieError) as error:
            _log.warning("the log of container %s is not sent to its end: %s", container.short_id, error)
        finally:
            if connection is not None:
                connection.close()
            tail.close()

    async def _new_ones(self, container: Container, tail: Tail, form: Format, connection: Connection) -> None:
        while data := tail.read():
            messages = form.messages(runs(data))
            wait = _FIRST_WAIT
            while True:
                try:
                    await connection.send(messages)
                    break
                except OSError as error:
                    if not os.path.isdir(container.directory):
                        # removed: nobody asks for its lines any more
                        raise
                    _log.debug("the log of container %s waits: %s", container.short_id, error)
                    await asyncio.sleep(wait)
                    wait = min(2 * wait, _LONGEST_WAIT)
            try:
                tail.commit()
            except OSError:
                pass  # the container is removed, and there is nothing to go on with


async def check(container: Container) -> None:
    """Before a start: whether its service can be reached; raises BadLogOption in Docker's words."""
    if container.record.log_driver not in SENT:
        return
    form = format_for(container)
    connection = Connection(form.target, form.tls)
    try:
        await connection.open()
    except OSError as error:
        raise start_failed(form.unreachable(error)) from error
    finally:
        connection.close()
