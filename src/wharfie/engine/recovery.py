"""The daemon's start: the kernel and the monitors are the truth, the database is memory.

::

    for each container   a monitor answers             it runs: taken in care again
                         an exit record is there       it ended meanwhile: its true exit code
                         nothing, but it ran           the machine was rebooted: exit code 255
                         its files are gone            its removal was cut short: it is finished
    afterwards           directories, monitors and control groups of nobody's are removed,
                         networks repaired, restart policies applied
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from wharfie.engine import lifecycle, restart, sharing
from wharfie.engine.container import Container, State
from wharfie.engine.context import Context
from wharfie.engine.networking import Networking
from wharfie.engine.removal import Removal, discard
from wharfie.engine.starting import Starting
from wharfie.engine.supervisor import Supervisor, exit_event
from wharfie.errors import WharfieError
from wharfie.monitor.client import ExitRecord, MonitorLink, reconnect
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.support.files import remove_tree
from wharfie.support.ids import is_hex
from wharfie.support.tasks import spawn

_log = logging.getLogger(__name__)
REBOOTED = 255


class Recovery:
    """What happens once, before anybody is served."""

    def __init__(
        self,
        context: Context,
        supervisor: Supervisor,
        starting: Starting,
        removal: Removal,
        networking: Networking,
    ) -> None:
        self._context = context
        self._supervisor = supervisor
        self._starting = starting
        self._removal = removal
        self._networking = networking

    async def run(self) -> None:
        """Reconcile; raises what the networks raise."""
        registry, paths = self._context.registry, self._context.paths
        for directory in (f"{paths.data_root}/containers", f"{paths.exec_root}/containers", paths.tmp):
            os.makedirs(directory, 0o711, exist_ok=True)
        registry.load(lambda identifier: (paths.container(identifier), paths.run(identifier)))
        containers = registry.all()
        was_active = {container.id for container in containers if container.status.active}
        self._supervisor.recovering = True
        await asyncio.gather(*(self._find(container) for container in containers))
        await self._clear_orphans()
        running = {item.id for item in containers if item.status.running}
        self._context.networks.recover(running)
        await self._networking.reconcile()
        for container in containers:
            if not container.status.running and not os.path.isdir(container.directory):
                await self._removal.finish(container)
        # before any container starts again on layers that a power failure may have torn
        await self._context.images.recover(self._removal.image_users)
        self._supervisor.recovering = False
        for container in registry.all():
            self._settle(container, container.id in was_active)
        self._context.images.collect(self._removal.image_users)

    def let_go(self) -> None:
        """Leave all containers to their monitors."""
        for container in self._context.registry.all():
            self._supervisor.let_go(container)

    # -- each container -----------------------------------------------------------------------------

    async def _find(self, container: Container) -> None:
        try:
            found = await reconnect(container.run_directory)
        except FileNotFoundError:
            await self._nothing(container)
            return
        except (OSError, WharfieError) as error:
            _log.warning("container %s cannot be found again: %s", container.short_id, error)
            return
        if isinstance(found, ExitRecord):
            self._ended(container, found)
        else:
            self._alive(container, found)

    async def _nothing(self, container: Container) -> None:
        """No monitor and no trace of one's end: a reboot, or a launch that was cut short at its beginning."""
        parent = container.host_config.cgroup_parent or self._context.defaults.cgroup_parent
        await _remove_cgroup(f"/{parent.strip('/')}/{container.id}")
        if container.status.running:
            self._supervisor.apply(container, lifecycle.Exited(exit_code=REBOOTED, at=time.time_ns()))
        elif os.path.isdir(container.run_directory):
            self._supervisor.release(container)

    def _ended(self, container: Container, record: ExitRecord) -> None:
        if not container.status.running:
            # the daemon died between the launch and its note of it
            self._supervisor.apply(container, lifecycle.Started(pid=0, at=record.finished_at_ns))
        self._supervisor.apply(container, exit_event(record))

    def _alive(self, container: Container, link: MonitorLink) -> None:
        if not container.status.running:
            self._supervisor.apply(container, lifecycle.Started(pid=link.pid, at=link.started_at_ns))
        self._supervisor.watch(container, link)
        frozen = open_cgroup(link.cgroup).frozen()
        if frozen and container.status.state is State.RUNNING:
            self._supervisor.apply(container, lifecycle.Paused())
        elif not frozen and container.status.paused:
            self._supervisor.apply(container, lifecycle.Unpaused())

    def _settle(self, container: Container, was_active: bool) -> None:
        """Apply the restart policy of a container that does not run."""
        status = container.status
        if status.running:
            return
        if status.state is State.RESTARTING:
            # its wait was under way when the daemon ended, or it ended meanwhile
            self._supervisor.restart_after(container, status.backoff_ms)
            return
        if status.state is not State.EXITED:
            return
        if container.host_config.auto_remove:
            spawn(f"remove {container.short_id}", self._removal.auto_remove(container))
        elif restart.at_daemon_start(
            container.host_config.restart_policy,
            was_active=was_active,
            manually_stopped=status.manually_stopped,
            exit_code=status.exit_code,
        ):
            spawn(f"start {container.short_id}", self._start(container))

    async def _start(self, container: Container) -> None:
        try:
            await self._starting.start(container)
        except WharfieError as error:
            _log.warning("container %s was not started again: %s", container.short_id, error)

    # -- what belongs to nobody ---------------------------------------------------------------------

    async def _clear_orphans(self) -> None:
        registry, paths = self._context.registry, self._context.paths
        runs = f"{paths.exec_root}/containers"
        for name in _strangers(runs, registry.knows):
            await self._end(f"{runs}/{name}")
        for name in _strangers(f"{paths.data_root}/containers", registry.knows):
            _log.info("removing what is left of container %s", name[:12])
            discard(paths.tmp, f"{paths.data_root}/containers/{name}")
        # nobody works yet, and the data root is ours alone: whatever is there was left by a crash
        left = [f"{paths.tmp}/{name}" for name in os.listdir(paths.tmp)]
        if left:
            await asyncio.to_thread(_clear, left)

    async def _end(self, directory: str) -> None:
        """Kill a container that no row speaks of: its creation or removal was cut short."""
        try:
            found = await reconnect(directory)
            if isinstance(found, MonitorLink):
                cgroup = found.cgroup
                await found.signal(9)
                await found.exited
                found.close()
                await _remove_cgroup(cgroup)
        except FileNotFoundError:
            # it may have died before it could say where its control group is
            parent = self._context.defaults.cgroup_parent
            await _remove_cgroup(f"/{parent.strip('/')}/{os.path.basename(directory)}")
        except (OSError, WharfieError) as error:
            _log.warning("what runs in %s cannot be ended: %s", directory, error)
            return
        try:
            sharing.unmount(directory)
        except OSError as error:
            _log.warning("%s stays mounted: %s", sharing.directory(directory), error)
        _clear([directory])


async def _remove_cgroup(path: str) -> None:
    try:
        cgroup = open_cgroup(path)
        if cgroup.exists():
            await asyncio.to_thread(cgroup.destroy)
    except (OSError, WharfieError) as error:
        _log.warning("control group %s is left: %s", path, error)


def _strangers(directory: str, known: Callable[[str], bool]) -> list[str]:
    return [name for name in os.listdir(directory) if len(name) == 64 and is_hex(name) and not known(name)]


def _clear(paths: list[str]) -> None:
    for path in paths:
        try:
            remove_tree(path)
        except OSError as error:
            _log.warning("%s cannot be removed: %s", path, error)
