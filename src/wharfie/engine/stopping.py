"""Ending a container, and freezing it.

``stop`` holds the container's lock while it waits; ``kill`` never takes it, so that somebody can always put
an end to a container that does not heed its stop signal. The exit itself is the supervisor's affair.
"""

from __future__ import annotations

import asyncio
from signal import SIGKILL, SIGTERM

from wharfie.engine import lifecycle
from wharfie.engine.container import Container, State
from wharfie.engine.context import Context
from wharfie.engine.registry import NoSuchContainer
from wharfie.engine.signals import parse_signal
from wharfie.engine.supervisor import Supervisor
from wharfie.errors import Conflict, InvalidArgument, NotFound, NotModified, Unavailable, WharfieError
from wharfie.monitor.client import MonitorGone, MonitorLink
from wharfie.runtime.cgroups.select import open_cgroup

KILL_PATIENCE = 10.0
"""Seconds for a killed container to be gone: longer only where the kernel hangs."""


ENDING = 2.0
"""Seconds in which a container whose monitor takes no signal any more turns out to be at its end."""


class NotRunning(Conflict):
    """What was asked needs a running container."""


class Stopping:
    """The verbs ``stop``, ``kill``, ``pause`` and ``unpause``."""

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self._context = context
        self._supervisor = supervisor

    async def stop(self, container: Container, timeout: int | None, signal: str) -> None:  # noqa: ASYNC109
        """Ask it to end, then kill it; raises NotModified when it does not run."""
        number = _stop_signal(container, signal)
        async with container.lock:
            if not container.status.active:
                raise NotModified(f"container {container.id} is already stopped")
            await self._stop(container, timeout, number)

    async def stop_for_restart(
        self,
        container: Container,
        timeout: int | None,  # noqa: ASYNC109
        signal: str,
    ) -> None:
        """The first half of a restart by hand: auto-remove does not see this exit."""
        number = _stop_signal(container, signal)
        async with container.lock:
            if not container.status.active:
                return
            container.held = True
            try:
                await self._stop(container, timeout, number)
            finally:
                container.held = False

    async def kill(self, ref: str, signal: str) -> None:
        """Send a signal; waits for the end when it is SIGKILL. Errors name what was asked, as Docker's do."""
        try:
            container = self._context.registry.get(ref)
            number = parse_signal(signal) if signal else SIGKILL
        except NoSuchContainer as error:
            raise NotFound(f"cannot kill container: {ref}: {error}") from None
        except InvalidArgument as error:
            raise InvalidArgument(f"cannot kill container: {ref}: {error}") from None
        if container.status.state is State.RESTARTING:
            self._supervisor.apply(container, lifecycle.StopRequested())
            return
        link = container.link
        if not container.status.running or link is None:
            raise NotRunning(f"cannot kill container: {ref}: container {container.id} is not running")
        # any other signal is a message, not an end
        if number == SIGKILL or not container.config.stop_signal or _own_signal(container) == number:
            self._supervisor.apply(container, lifecycle.StopRequested())
        await self._signal(container, link, number)
        if number == SIGKILL:
            await self._gone(link, KILL_PATIENCE, container)

    async def shoot(self, container: Container) -> None:
        """Kill it as a fault would: its restart policy decides what follows."""
        link = container.link
        if container.status.running and link is not None:
            await self._signal(container, link, SIGKILL)

    async def stop_gently(self, container: Container) -> None:
        """Stop it with its own signal and patience, if it runs."""
        async with container.lock:
            if container.status.active:
                await self._stop(container, None, _own_signal(container))

    async def end(self, container: Container) -> None:
        """Kill it if it runs and wait until it is gone; for a removal by force."""
        if container.status.state is State.RESTARTING:
            self._supervisor.apply(container, lifecycle.StopRequested())
        link = container.link
        if not container.status.running or link is None:
            return
        self._supervisor.apply(container, lifecycle.StopRequested())
        await self._signal(container, link, SIGKILL)
        await self._gone(link, KILL_PATIENCE, container)

    async def pause(self, container: Container) -> None:
        """Freeze all its processes."""
        async with container.lock:
            link = container.link
            if container.status.paused:
                raise Conflict(f"Container {container.id} is already paused")
            if container.status.state is State.RESTARTING:
                raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
            if not container.status.running or link is None:
                raise NotRunning(f"container {container.id} is not running")
            await asyncio.to_thread(open_cgroup(link.cgroup).freeze)
            if container.status.state is State.RUNNING and container.link is link:
                self._supervisor.apply(container, lifecycle.Paused())

    async def unpause(self, container: Container) -> None:
        """Let its processes go on."""
        async with container.lock:
            if not container.status.paused or container.link is None:
                raise Conflict(f"Container {container.id} is not paused")
            await self._thaw(container, container.link)

    # -- inside -------------------------------------------------------------------------------------

    async def _stop(self, container: Container, timeout: int | None, number: int) -> None:  # noqa: ASYNC109
        if timeout is None:
            timeout = container.config.stop_timeout
        if timeout is None:
            timeout = self._context.defaults.stop_timeout
        self._supervisor.apply(container, lifecycle.StopRequested())
        link = container.link
        if container.status.running and link is not None:
            await self._signal(container, link, number)
            if not await self._exits(link, None if timeout < 0 else timeout):
                await self._signal(container, link, SIGKILL)
                await self._gone(link, KILL_PATIENCE, container)
        self._context.registry.emit(container, "stop")

    async def _signal(self, container: Container, link: MonitorLink, number: int) -> None:
        try:
            await link.signal(number)
        except (MonitorGone, WharfieError) as error:
            # it may be ending by itself, which is what was wanted
            if not await self._exits(link, ENDING) and container.link is link and container.status.running:
                raise Unavailable(f"cannot kill container: {container.id}: {error}") from error
            return
        self._context.registry.emit(container, "kill", {"signal": str(int(number))})
        if container.status.paused and number in (SIGKILL, SIGTERM, _own_signal(container)):
            # a frozen process meets its signal when it is thawed
            await self._thaw(container, link)

    async def _thaw(self, container: Container, link: MonitorLink) -> None:
        await asyncio.to_thread(open_cgroup(link.cgroup).thaw)
        if container.status.paused and container.link is link:
            self._supervisor.apply(container, lifecycle.Unpaused())

    @staticmethod
    async def _exits(link: MonitorLink, seconds: float | None) -> bool:
        # callbacks run in their order: the supervisor's came first, so the status is true when this returns
        done, _ = await asyncio.wait([link.exited], timeout=seconds)
        return bool(done)

    async def _gone(self, link: MonitorLink, seconds: float, container: Container) -> None:
        if not await self._exits(link, seconds):
            raise Unavailable(
                f"container {container.id} did not end within {seconds:.0f} seconds of SIGKILL: "
                "a process of it hangs in the kernel"
            )


def _stop_signal(container: Container, signal: str) -> int:
    try:
        return parse_signal(signal) if signal else _own_signal(container)
    except InvalidArgument as error:
        raise InvalidArgument(f"cannot stop container: {container.name}: {error}") from None


def _own_signal(container: Container) -> int:
    """What it asks to be stopped with; an image may say what is no signal, and is stopped all the same."""
    try:
        return parse_signal(container.config.stop_signal or "TERM")
    except InvalidArgument:
        return SIGTERM
