"""Further processes in running containers: Docker's exec.

::

    create ──▶ noted ── start ──▶ running ── its end ──▶ finished (the last ``KEPT`` can still be inspected)
                          └─ cannot be started ─────────▶ finished, with 126 or 127

A process begins as the container's first one did (environment, directory, user, capabilities, filter: the
monitor remembers them, whatever became of the configuration since), changed by what the request says.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from signal import SIGKILL
from typing import Any

from wharfie.engine.attach import Containers, detach_keys
from wharfie.engine.container import Container, State
from wharfie.engine.oci import capabilities
from wharfie.engine.oci.host import this_host
from wharfie.engine.signals import parse_signal
from wharfie.errors import Conflict, InvalidArgument, NotFound, WharfieError
from wharfie.monitor.client import Attachment, ExecHandle, LaunchError, MonitorLink
from wharfie.support import json
from wharfie.support.ids import new_id
from wharfie.support.tasks import spawn
from wharfie.wire import stdcopy
from wharfie.wire.execs import ExecCreate, ExecInspect, ExecStart, ProcessConfig

KEPT = 512
"""Finished ones, and ones that nobody started, that are remembered."""


class NoSuchExec(NotFound):
    """The id names nothing."""

    def __init__(self, exec_id: str) -> None:
        super().__init__(f"No such exec instance: {exec_id}")


class Exec:
    """One process, from its creation to the time it is forgotten."""

    __slots__ = ("body", "container", "exit_code", "handle", "id", "keys", "pid", "running", "started")

    def __init__(self, container: Container, body: ExecCreate, keys: bytes) -> None:
        self.id = new_id()
        self.container = container
        self.body = body
        self.keys = keys
        self.started = False
        self.running = False
        self.exit_code: int | None = None
        self.pid = 0
        self.handle: ExecHandle | None = None

    @property
    def command(self) -> str:
        """The command as events show it."""
        program, *arguments = self.body.cmd or [""]
        return f"{program} {' '.join(arguments)}"


class Execs:
    """All of them."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._running: dict[str, Exec] = {}
        self._others: OrderedDict[str, Exec] = OrderedDict()

    async def create(self, ref: str, body: ExecCreate) -> str:
        """Note one; returns its id."""
        container = self._containers.get(ref)
        _runnable(container, ref)
        if not body.cmd:
            raise InvalidArgument("No exec command specified")
        found = Exec(container, body, detach_keys(body.detach_keys))
        self._keep(found)
        container.exec_ids.add(found.id)
        self._emit(found, "exec_create")
        return found.id

    def check_start(self, exec_id: str, body: ExecStart) -> bool:
        """Whether its output will be raw; raises what speaks against the start."""
        found = self._get(exec_id)
        if found.exit_code is not None:
            raise Conflict(f"Error: Exec command {exec_id} has already run")
        if found.started:
            raise Conflict(f"Error: Exec command {exec_id} is already running")
        _runnable(found.container, found.container.id)
        return found.body.tty

    async def start_detached(self, exec_id: str, body: ExecStart) -> None:
        """Start it without streams; raises LaunchError."""
        await self._start(self._get(exec_id), body, [], [])

    async def start_attached(self, exec_id: str, body: ExecStart, fd: int, prefix: bytes) -> None:
        """Start it on a connection; ``fd`` is ours from now on, errors go into the stream."""
        try:
            found = self._get(exec_id)
            wanted = found.body
            attachment = Attachment(
                stdin=wanted.attach_stdin,
                stdout=wanted.attach_stdout,
                stderr=wanted.attach_stderr,
                multiplex=not wanted.tty,
                detach_keys=found.keys if wanted.tty else b"",
                prefix=prefix,
            )
            try:
                await self._start(found, body, [attachment], [fd])
            except WharfieError as error:
                _say(fd, error, framed=not wanted.tty)
        finally:
            os.close(fd)

    async def inspect(self, exec_id: str) -> ExecInspect:
        """Everything about it: whoever saw its stream end finds its exit code here."""
        found = self._get(exec_id)
        if found.running:
            await self._catch_up(found)
        body = found.body
        command = body.cmd or [""]
        return ExecInspect(
            id=found.id,
            running=found.running,
            exit_code=found.exit_code,
            process_config=ProcessConfig(
                tty=body.tty,
                entrypoint=command[0],
                arguments=command[1:],
                privileged=body.privileged,
                user=body.user,
            ),
            open_stdin=body.attach_stdin,
            open_stderr=body.attach_stderr,
            open_stdout=body.attach_stdout,
            can_remove=found.exit_code is not None,
            container_id=found.container.id,
            detach_keys=found.keys.decode("latin-1") if body.detach_keys else "",
            pid=found.pid,
        )

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of its terminal."""
        found = self._get(exec_id)
        if not found.running:
            raise Conflict(f"exec {exec_id} is not running")
        if found.body.tty:
            await _link(found.container).resize(height, width, exec_id)

    async def kill(self, exec_id: str, signal: str) -> None:
        """Send it a signal, SIGKILL when none is named."""
        found = self._get(exec_id)
        number = parse_signal(signal) if signal else SIGKILL
        if not found.running:
            raise Conflict(f"exec {exec_id} is not running")
        await _link(found.container).signal(number, exec_id)

    def _get(self, exec_id: str) -> Exec:
        found = self._running.get(exec_id) or self._others.get(exec_id)
        if found is None:
            raise NoSuchExec(exec_id)
        return found

    def _keep(self, found: Exec) -> None:
        self._others[found.id] = found
        while len(self._others) > KEPT:
            identifier, dropped = self._others.popitem(last=False)
            dropped.container.exec_ids.discard(identifier)

    async def _start(
        self, found: Exec, start: ExecStart, attachments: list[Attachment], fds: list[int]
    ) -> None:
        self.check_start(found.id, start)
        found.started = True
        body = found.body
        link = _link(found.container)
        self._emit(found, "exec_start")
        try:
            handle = await link.exec(
                found.id,
                process_of(link, body),
                tty=body.tty,
                open_stdin=bool(attachments) and body.attach_stdin,
                seccomp_path=link.seccomp_path,
                console_size=start.console_size or body.console_size,
                attachments=attachments,
                fds=fds,
            )
        except WharfieError as error:
            code = error.exit_code if isinstance(error, LaunchError) else 126
            self._finished(found, 126 if code == 125 else code)
            if isinstance(error, LaunchError):
                raise _in_docker_words(error) from None
            raise
        found.pid = handle.pid
        found.handle = handle
        found.running = True
        self._others.pop(found.id, None)
        self._running[found.id] = found
        spawn(f"exec {found.id[:12]}", self._watch(found, handle))

    async def _watch(self, found: Exec, handle: ExecHandle) -> None:
        await handle.exited
        if found.running:
            self._finished(found, handle.exited.result())

    async def _catch_up(self, found: Exec) -> None:
        """Take in all that the monitor has said by now.

        It tells an exit before it ends the streams, but a client's question about the exit comes on another
        connection and may be read first: the answer to a ping comes behind the exit.
        """
        if found.container.link is not None:
            try:
                await found.container.link.ping()
            except WharfieError:
                pass  # the monitor is ending: it had said all before
        if found.running and found.handle is not None and found.handle.exited.done():
            self._finished(found, found.handle.exited.result())

    def _finished(self, found: Exec, exit_code: int) -> None:
        found.running = False
        found.handle = None
        found.exit_code = exit_code
        found.pid = 0
        self._running.pop(found.id, None)
        found.container.exec_ids.discard(found.id)
        self._keep(found)
        self._containers.emit(found.container, "exec_die", execID=found.id, exitCode=str(exit_code))

    def _emit(self, found: Exec, action: str) -> None:
        self._containers.emit(found.container, f"{action}: {found.command}", execID=found.id)


def process_of(link: MonitorLink, body: ExecCreate) -> dict[str, Any]:
    """The OCI process: the container's own, changed by the request."""
    process: dict[str, Any] = json.loads(link.process)
    process["terminal"] = body.tty
    process["args"] = list(body.cmd or ())
    process["env"] = _environment(process.get("env") or [], body)
    if body.working_dir:
        process["cwd"] = body.working_dir
    if body.user:
        process["user"] = {"uid": 0, "gid": 0, "username": body.user}
    if body.privileged:
        names = capabilities.effective(None, None, privileged=True, bounding=this_host().bounding)
        process["capabilities"] = capabilities.process_sets(names)
    process.pop("consoleSize", None)
    return process


def _environment(base: list[str], body: ExecCreate) -> list[str]:
    found = {entry.partition("=")[0]: entry for entry in base}
    if body.tty:
        found.setdefault("TERM", "TERM=xterm")
    for entry in body.env or ():
        name, equals, _ = entry.partition("=")
        if equals:
            found[name] = entry
        else:
            found.pop(name, None)
    return list(found.values())


def _runnable(container: Container, ref: str) -> None:
    if not container.status.active:
        raise Conflict(f"container {container.id} is not running")
    if container.status.paused:
        raise Conflict(f"Container {ref} is paused, unpause the container before exec")
    if container.status.state is State.RESTARTING:
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")


def _link(container: Container) -> MonitorLink:
    if container.link is None:
        raise Conflict(f"container {container.id} is not running")
    return container.link


def _in_docker_words(error: LaunchError) -> LaunchError:
    if error.exit_code == 125:
        return error
    words = (
        f"OCI runtime exec failed: exec failed: unable to start container process: {error.message}: unknown"
    )
    return LaunchError(words, error.exit_code)


def _say(fd: int, error: WharfieError, *, framed: bool) -> None:
    """Tell the client why nothing runs, where its output would have been."""
    text = f"{error.message}\r\n".encode()
    try:
        os.write(fd, stdcopy.frame(stdcopy.STDOUT, text) if framed else text)
    except OSError:
        return  # the client is gone
