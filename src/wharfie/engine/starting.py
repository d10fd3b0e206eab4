"""Starting a container: everything is prepared here as data, then the spawner does it in one go.

::

    start ─▶ address, files, spec, filter ─▶ spawner.launch ─▶ Started: status, event, watch
                     │                            │
                     └────── failure: all given back, LaunchFailed, Docker's error ◀──┘

The path costs milliseconds of the user's time: no thread, one database commit before the launch (the address)
and one after (the status).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

from wharfie.engine import (
    filesets,
    lifecycle,
    links,
    seating,
    sharing,
    shipping,
    surroundings,
    trees,
    writable,
)
from wharfie.engine.container import Container, PendingAttach, State
from wharfie.engine.context import Context
from wharfie.engine.failures import start_failure
from wharfie.engine.initprogram import init_program
from wharfie.engine.logconfig import log_request
from wharfie.engine.oci.config import Circumstances, capability_names, specification
from wharfie.engine.oci.filters import Filters
from wharfie.engine.oci.host import this_host
from wharfie.engine.oci.namespaces import Joins
from wharfie.engine.oci.security import parse_security
from wharfie.engine.supervisor import Supervisor
from wharfie.errors import Conflict, InternalError, NotModified, Unavailable, WharfieError
from wharfie.monitor.client import LaunchRequest, MonitorLink
from wharfie.network.model import Mode, ModeKind, interfaces
from wharfie.runtime.plan import INIT_PROGRAM
from wharfie.volumes import propagation
from wharfie.volumes.model import MountPoint

_log = logging.getLogger(__name__)
_AFTERWARDS = 0.05
_NOT_RUNNING = {
    "network": "cannot join network of a non running container: {}",
    "ipc": "cannot join IPC of a non running container: {0}: container {0} is not running",
    "pid": "failed to join PID namespace: container {} is not running",
}


class Starting:
    """The verb ``start``."""

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self._context = context
        self._supervisor = supervisor
        self._filters = Filters(context.seccomp, context.defaults.seccomp_profile)

    async def start(self, container: Container, checkpoint: dict[str, str] | None = None) -> None:
        """Start it, perhaps from a checkpoint; raises NotModified, Conflict, StartFailed."""
        async with container.lock:
            state = container.status.state
            if state is State.PAUSED:
                raise Conflict("cannot start a paused container, try unpause instead")
            if container.status.active:
                raise NotModified(f"container {container.id} is already running")
            await self._launch(container, by_policy=False, checkpoint=checkpoint)

    async def start_again(self, container: Container) -> None:
        """The second half of a restart by hand."""
        async with container.lock:
            if not container.status.active:
                await self._launch(container, by_policy=False)
            self._context.registry.emit(container, "restart")

    async def restart_by_policy(self, container: Container) -> None:
        """What the supervisor does when a wait is over, unless somebody changed his mind meanwhile."""
        async with container.lock:
            if container.status.state is State.RESTARTING:
                await self._launch(container, by_policy=True)

    async def _launch(
        self, container: Container, *, by_policy: bool, checkpoint: dict[str, str] | None = None
    ) -> None:
        if container.status.state in (State.REMOVING, State.DEAD):
            raise Conflict("container is marked for removal and cannot be started")
        pending, container.pending = container.pending, []
        async with AsyncExitStack() as stack:
            link = await self._link(container, pending, stack, checkpoint)
            self._started(container, link, pending, by_policy)
            try:
                self._settle_network(container)
            except WharfieError:
                # nobody runs without the limit that was asked for
                await link.signal(signal.SIGKILL)
                raise

    async def _link(
        self,
        container: Container,
        pending: list[PendingAttach],
        stack: AsyncExitStack,
        checkpoint: dict[str, str] | None,
    ) -> MonitorLink:
        """Have it launched; ``stack`` holds what must stay open and locked until it counts as running."""
        try:
            mounts = await stack.enter_async_context(trees.opened(self._context, container))
            request = self._prepare(container)
            await shipping.check(container)
            networks = self._context.networks
            await networks.departures.over(networks.endpoints(container.id))
            request.trees = list(mounts)
            request.attachments = [item.attachment for item in pending]
            request.checkpoint = checkpoint
            fds = [*mounts.values(), *(item.fd for item in pending)]
            return await self._context.spawner.launch(request, fds)
        except Exception as error:
            if not isinstance(error, (WharfieError, OSError)):
                _log.exception("a fault of ours: %s was not started", container.short_id)
            failure, exit_code = start_failure(error)
            for item in pending:
                item.fail(failure)
            self._supervisor.apply(container, lifecycle.LaunchFailed(exit_code, failure.message))
            raise failure from error
        except BaseException:
            # cancelled at the daemon's end, perhaps with a monitor on its way: recovery adopts what is there
            for item in pending:
                item.fail(Unavailable("the start was interrupted"))
            raise

    def _started(
        self, container: Container, link: MonitorLink, pending: list[PendingAttach], by_policy: bool
    ) -> None:
        for item, handle in zip(pending, link.attachments, strict=True):
            os.close(item.fd)
            if not item.handle.done():
                item.handle.set_result(handle)
        surroundings.joined(self._context, container)
        self._supervisor.apply(
            container, lifecycle.Started(pid=link.pid, at=link.started_at_ns, by_policy=by_policy)
        )
        self._supervisor.watch(container, link)

    def _settle_network(self, container: Container) -> None:
        """What need not be there before the program runs."""
        networks = self._context.networks
        seats = networks.endpoints(container.id)
        for seat in seats:
            if seat.rate:
                networks.limit(seat)
        if any(seat.published for seat in seats):
            asyncio.get_running_loop().call_later(_AFTERWARDS, networks.publishing.hand_over)

    # -- preparing ----------------------------------------------------------------------------------

    def _prepare(self, container: Container) -> LaunchRequest:
        """All that the monitor needs. What it makes is given back by the lifecycle's Release."""
        asked, defaults, host = container.host_config, self._context.defaults, this_host()
        image = self._context.images.by_id(container.image_id)
        security = parse_security(asked.security_opt or [], host)
        os.makedirs(container.run_directory, 0o700, exist_ok=True)
        joins = self._joins(container)
        found, files = self._network(container)
        points = [_ready(point) for point in container.record.mounts]
        now = self._circumstances(container, joins, files, points, self._shm(container))
        names = capability_names(asked, host)
        want_init = defaults.init if asked.init is None else asked.init
        height, width = asked.console_size
        return LaunchRequest(
            id=container.id,
            spec=specification(container, security, host, now),
            bundle=container.directory,
            directory=container.run_directory,
            log=log_request(container),
            rootfs={
                "lower": image.lower,
                **_places(container),
                "volatile": asked.auto_remove,
            },
            cgroup=now.cgroup,
            interfaces=found,
            seccomp_path=self._filters.path(security, names, privileged=asked.privileged),
            init_path=init_program(defaults.init_path) if want_init else None,
            tty=container.tty,
            open_stdin=container.config.open_stdin,
            stdin_once=container.config.stdin_once,
            console_size=(height, width) if height and width else None,
        )

    def _circumstances(
        self,
        container: Container,
        joins: Joins,
        files: dict[str, str],
        points: list[MountPoint],
        shm: str,
    ) -> Circumstances:
        asked, defaults = container.host_config, self._context.defaults
        parent = asked.cgroup_parent or defaults.cgroup_parent
        return Circumstances(
            hostname=container.config.hostname,
            points=points,
            files=files,
            joins=joins,
            shm_source=shm,
            mqueue_source="/dev/mqueue" if asked.ipc_mode == "host" and os.path.isdir("/dev/mqueue") else "",
            cgroup=f"/{parent.strip('/')}/{container.id}",
            ulimits=defaults.ulimits,
            no_new_privileges=defaults.no_new_privileges,
            link_variables=links.environment(self._context, container),
        )

    def configuration(self, container: Container) -> dict[str, Any]:
        """The OCI configuration that a running container was started with; nothing is made for it."""
        asked, host = container.host_config, this_host()
        mode = Mode.parse(asked.network_mode)
        owner = container
        if mode.kind is ModeKind.CONTAINER:
            owner = self._context.registry.get(mode.name)
        shm = sharing.directory(container.run_directory)
        if asked.ipc_mode != "shareable":
            shm = self._shm(container)
        files = filesets.destinations(owner)
        now = self._circumstances(container, self._joins(container), files, container.record.mounts, shm)
        found = specification(container, parse_security(asked.security_opt or [], host), host, now)
        if self._context.defaults.init if asked.init is None else asked.init:
            # as the runtime does it at a start
            source = init_program(self._context.defaults.init_path)
            found["mounts"].append({"destination": INIT_PROGRAM, "type": "bind", "source": source})
        return found

    def _joins(self, container: Container) -> Joins:
        asked = container.host_config
        return Joins(
            network=self._joined(asked.network_mode, "network"),
            ipc=self._joined(asked.ipc_mode, "ipc"),
            pid=self._joined(asked.pid_mode, "pid"),
        )

    def _joined(self, mode: str, what: str) -> int:
        if not mode.startswith("container:"):
            return 0
        other = self._context.registry.get(mode.removeprefix("container:"))
        if what == "ipc" and other.host_config.ipc_mode != "shareable":
            raise Conflict(
                f"cannot join IPC of a container {other.id}: non-shareable IPC (hint: use IpcMode:shareable "
                "for the donor container)"
            )
        if other.status.state is State.RESTARTING:
            raise Conflict(f"Container {other.id} is restarting, wait until the container is running")
        if not other.status.running:
            raise Conflict(_NOT_RUNNING[what].format(other.id))
        return other.status.pid

    def _network(self, container: Container) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Its interfaces, and the files that it reads names from."""
        context = self._context
        mode = Mode.parse(container.host_config.network_mode)
        if mode.kind is ModeKind.CONTAINER:
            return [], filesets.destinations(context.registry.get(mode.name))
        seats = seating.take(context, container)
        embedded = seating.embedded(seats)
        found = interfaces(seats)
        if embedded:
            seating.inform(context, container, seats)
            if found:
                found[0]["porter"] = [context.networks.porter.path, container.id]
        written = filesets.write(
            container, context.networks.files, seats, links.hosts(context, container), embedded=embedded
        )
        return found, written

    def _shm(self, container: Container) -> str:
        """The directory of the host that becomes /dev/shm; empty where the container makes its own."""
        mode = container.host_config.ipc_mode
        if mode == "host":
            return "/dev/shm"
        if mode.startswith("container:"):
            other = self._context.registry.get(mode.removeprefix("container:"))
            return sharing.directory(other.run_directory)
        if mode == "shareable":
            return sharing.provide(container.run_directory, container.host_config.shm_size)
        return ""


def _places(container: Container) -> dict[str, str]:
    """Upper and work directory: names in its disk, or paths."""
    if writable.size_of(container):
        return {"upper": "upper", "work": "work"}
    return {"upper": container.upper, "work": container.work}


def _ready(point: MountPoint) -> MountPoint:
    """Make the missing source of a ``-v`` bind, as Docker does."""
    if point.create_source and point.source and not os.path.lexists(point.source):
        try:
            os.makedirs(point.source, 0o755)
        except OSError as error:
            raise InternalError(
                f"error while creating mount source path '{point.source}': {error.strerror}"
            ) from error
    if point.type == "bind":
        propagation.check(point.source, point.propagation)
    return point
