"""What keeps a container's status true: applies events of its life and does what the lifecycle commands.

::

    verb or monitor ── event ──▶ lifecycle.advance ──▶ status persisted ──▶ commands, in order

An exit is taken in the moment the monitor reports it, without the container's lock: a verb that holds the
lock looks at the status again after each wait. Belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from wharfie.engine import lifecycle, sharing, surroundings, waiting
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.errors import WharfieError
from wharfie.monitor.client import ExitRecord, MonitorLink
from wharfie.support.files import remove_tree
from wharfie.support.tasks import spawn

_log = logging.getLogger(__name__)
Verb = Callable[[Container], Awaitable[None]]
Watcher = Callable[[Container, MonitorLink], None]


class Supervisor:
    """Applies events to containers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._verbs: tuple[Verb, Verb] | None = None
        self._watched: Sequence[Watcher] = ()
        self._closed = False
        self.recovering = False
        """While the daemon starts: what a policy or ``--rm`` asks for is left to the recovery's end."""

    def connect(self, *, restart: Verb, remove: Verb, watched: Sequence[Watcher]) -> None:
        """Say how a container is started again and removed, for the verbs need a supervisor themselves, and
        who else looks after a running one."""
        self._verbs = (restart, remove)
        self._watched = watched

    def apply(self, container: Container, event: lifecycle.Event) -> None:
        """Bring ``event`` into the status and do what follows."""
        rules = lifecycle.Rules(
            policy=container.host_config.restart_policy,
            auto_remove=container.host_config.auto_remove and not container.held,
        )
        status, commands = lifecycle.advance(container.status, event, rules)
        self._context.registry.set_status(container, status)
        for command in commands:
            self._do(container, command)

    def watch(self, container: Container, link: MonitorLink) -> None:
        """Take a running container in care."""
        container.link = link
        link.on_oom = lambda: self.apply(container, lifecycle.OutOfMemory())
        for _ in range(link.ooms):
            link.on_oom()
        link.exited.add_done_callback(lambda future: self._exited(container, link, future))
        for begin in self._watched:
            begin(container, link)

    def let_go(self, container: Container) -> None:
        """Leave a running container to its monitor, at the daemon's end."""
        self._closed = True
        if container.restart is not None:
            container.restart.cancel()
        if container.link is not None:
            container.link.close()
            container.link = None

    def release(self, container: Container) -> None:
        """Give back what a run holds: its address, its link, its directory below the exec root."""
        if container.link is not None:
            surroundings.left(self._context, container)
        try:
            self._context.networks.disconnect(container.id)
        except WharfieError as error:
            _log.warning("the address of container %s is not given back: %s", container.short_id, error)
        if container.link is not None:
            container.link.close()
            container.link = None
        container.exec_ids.clear()
        try:
            if container.host_config.ipc_mode == "shareable":
                sharing.unmount(container.run_directory)
            remove_tree(container.run_directory)
        except OSError as error:
            _log.warning("the run directory of container %s is left: %s", container.short_id, error)

    def _exited(self, container: Container, link: MonitorLink, future: asyncio.Future[ExitRecord]) -> None:
        if self._closed or future.cancelled() or container.link is not link:
            return
        error = future.exception()
        if error is None:
            self.apply(container, exit_event(future.result()))
        else:
            self.apply(container, lifecycle.Exited(exit_code=255, at=time.time_ns(), error=str(error)))

    def _do(self, container: Container, command: lifecycle.Command) -> None:
        if isinstance(command, lifecycle.Announce):
            self._context.registry.emit(container, command.action, dict(command.attributes))
        elif isinstance(command, lifecycle.Release):
            self.release(container)
        elif isinstance(command, lifecycle.WakeWaiters):
            waiting.wake(container)
        elif isinstance(command, lifecycle.CancelRestart):
            if container.restart is not None:
                container.restart.cancel()
                container.restart = None
        elif self.recovering:
            return
        elif isinstance(command, lifecycle.RestartAfter):
            self.restart_after(container, command.wait_ms)
        elif self._verbs is not None:
            spawn(f"remove {container.short_id}", self._quietly(self._verbs[1], container))

    def restart_after(self, container: Container, wait_ms: int) -> None:
        """Start it again by its policy, in so many milliseconds."""

        def due() -> None:
            container.restart = None
            if self._verbs is not None and not self._closed:
                spawn(f"restart {container.short_id}", self._quietly(self._verbs[0], container))

        container.restart = asyncio.get_running_loop().call_later(wait_ms / 1000, due)

    @staticmethod
    async def _quietly(verb: Verb, container: Container) -> None:
        try:
            await verb(container)
        except WharfieError as error:
            _log.warning("container %s: %s", container.short_id, error)


def exit_event(record: ExitRecord) -> lifecycle.Exited:
    """The monitor's record in the lifecycle's words."""
    return lifecycle.Exited(
        exit_code=record.exit_code,
        at=record.finished_at_ns,
        oom_killed=record.oom_killed,
        error=record.error,
    )
