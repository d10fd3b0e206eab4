"""Runs the health checks of running containers: one task each, from a start to its end.

A check is a further process in the container, like an exec, with the container's user, environment and
directory. It is killed when it takes too long. What follows from a failure beyond telling it
(``--health-on-failure``) is done by the verbs that a person would use.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

from wharfie.engine import health
from wharfie.engine.container import Container
from wharfie.engine.context import Context
from wharfie.engine.execs import process_of
from wharfie.engine.health import Check, Result
from wharfie.errors import WharfieError
from wharfie.monitor.client import Attachment, ExecHandle, MonitorLink
from wharfie.support.ids import new_id
from wharfie.support.tasks import spawn
from wharfie.support.units import format_duration
from wharfie.wire.execs import ExecCreate

_log = logging.getLogger(__name__)
_SECOND = 1_000_000_000
_DRAIN = 1.0
"""Seconds in which the output of a check that has ended is there."""
Action = Callable[[Container], Awaitable[None]]


class Probing:
    """The checks of all containers."""

    def __init__(self, context: Context, actions: Mapping[str, Action]) -> None:
        """``actions``: what to do with a container that became unhealthy, by the name it is asked for."""
        self._context = context
        self._actions = actions

    def begin(self, container: Container, link: MonitorLink) -> None:
        """It runs: check it from now on."""
        check = health.read(container.config)
        if check is None:
            container.health = None
            return
        container.health = health.begun(container.health)
        spawn(f"health of {container.short_id}", self._watch(container, link, check))

    async def _watch(self, container: Container, link: MonitorLink, check: Check) -> None:
        while True:
            known = container.health or health.Health()
            wait = health.pause(check, known, _running(container)) / _SECOND
            if (await asyncio.wait([link.exited], timeout=wait))[0] or container.link is not link:
                break
            if container.status.paused:
                continue
            running = _running(container)
            result = await self._probe(container, link, check)
            self._context.meters.health_checks += 1
            self._context.meters.health_failures += result.exit_code != 0
            if link.exited.done() or container.link is not link:
                break
            container.health = health.after(check, known, result, running)
            if container.health.status != known.status:
                self._told(container, check)
        if container.health is not None and container.link is not link:
            container.health = health.ended(container.health)

    def _told(self, container: Container, check: Check) -> None:
        assert container.health is not None
        self._context.registry.emit(container, f"health_status: {container.health.status}")
        action = self._actions.get(check.on_failure)
        if container.health.status == health.UNHEALTHY and action is not None:
            _log.info("container %s is unhealthy: %s", container.short_id, check.on_failure)
            spawn(f"{check.on_failure} {container.short_id}", _quietly(action, container))

    async def _probe(self, container: Container, link: MonitorLink, check: Check) -> Result:
        start, exec_id = time.time_ns(), new_id()
        shown = " ".join(check.command)
        for action in (f"exec_create: {shown}", f"exec_start: {shown}"):
            self._context.registry.emit(container, action, {"execID": exec_id})
        ours, theirs = socket.socketpair()
        output = bytearray()
        reader = spawn(f"output of {exec_id[:12]}", _read(ours, output))
        try:
            body = ExecCreate(cmd=check.command, attach_stdout=True, attach_stderr=True)
            try:
                handle = await link.exec(
                    exec_id,
                    process_of(link, body),
                    seccomp_path=link.seccomp_path,
                    attachments=[Attachment()],
                    fds=[theirs.fileno()],
                )
            except WharfieError as error:
                return Result(start, time.time_ns(), -1, error.message)
            finally:
                theirs.close()
            code, complaint = await self._end(link, handle, check)
            await asyncio.wait([reader], timeout=_DRAIN)
            said = complaint + bytes(output).decode("utf-8", "replace")
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            ours.close()
        attributes = {"execID": exec_id, "exitCode": str(code)}
        self._context.registry.emit(container, "exec_die", attributes)
        return Result(start, time.time_ns(), code, said)

    @staticmethod
    async def _end(link: MonitorLink, handle: ExecHandle, check: Check) -> tuple[int, str]:
        """Wait for a check's end, or make one; its exit code, and what to say before its output."""
        if (await asyncio.wait([handle.exited], timeout=check.timeout / _SECOND))[0]:
            return handle.exited.result(), ""
        try:
            await link.signal(9, handle.exec_id)
            await asyncio.wait([handle.exited], timeout=check.timeout / _SECOND)
        except WharfieError as error:
            _log.info("a health check is over before it is killed: %s", error)
        return -1, f"Health check exceeded timeout ({format_duration(check.timeout)}): "


def _running(container: Container) -> int:
    return max(0, time.time_ns() - container.status.started_at)


async def _read(sock: socket.socket, output: bytearray) -> None:
    """Keep the beginning of what comes; the rest is dropped, so that no check hangs on its output."""
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(sock, 65536):
        room = health.OUTPUT - len(output)
        if room >= 0:
            output += data[:room] + (b"..." if len(data) > room else b"")


async def _quietly(action: Action, container: Container) -> None:
    try:
        await action(container)
    except (WharfieError, OSError) as error:
        _log.warning("container %s: %s", container.short_id, error)
