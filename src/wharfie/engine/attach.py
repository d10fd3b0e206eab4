"""What goes in and out of containers: attachments, and logs.

::

    attach ── logs=1 ──▶ the log so far is written to the stream
           ── running ─▶ the stream's descriptor goes to the monitor; no byte of it passes through here again
           ── else ────▶ pending: given to the monitor with the start, so that nothing is missed;
                         dropped when the client goes away before
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from wharfie.engine.container import Container, PendingAttach, State
from wharfie.engine.logconfig import readable
from wharfie.errors import Conflict, InvalidArgument, NotSupported, WharfieError
from wharfie.logs.reader import LogQuery, read_logs
from wharfie.logs.watch import DirectoryWatcher
from wharfie.monitor import protocol
from wharfie.monitor.client import AttachHandle, Attachment
from wharfie.support.tasks import spawn
from wharfie.wire import detachkeys

PENDING_LIMIT = 64


class Containers(Protocol):
    """What is needed of the engine's containers."""

    def get(self, ref: str) -> Container:
        """Raises NotFound."""

    def emit(self, container: Container, action: str, **attributes: str) -> None:
        """Say that something happened."""


class LogsWanted(Protocol):
    """A request for a container's log."""

    stdout: bool
    stderr: bool
    follow: bool
    timestamps: bool
    details: bool
    since_ns: int | None
    until_ns: int | None
    tail: int | None
    blocks: bool


class AttachWanted(Protocol):
    """A request for a container's streams."""

    stdin: bool
    stdout: bool
    stderr: bool
    stream: bool
    logs: bool
    detach_keys: str | None
    multiplex: bool


def detach_keys(text: str | None) -> bytes:
    """The bytes of ``ctrl-p,ctrl-q``; the default for None or nothing. Raises InvalidArgument."""
    try:
        return detachkeys.parse(text)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


class Hangups:
    """Tells when the far end of a socket goes away, without reading what it sent.

    The event loop would wake for unread input again and again; an epoll set that asks for nothing reports
    hang-ups alone, and is itself a descriptor the loop can wait for (epoll(7)).
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._calls: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call ``call`` once when the peer of ``fd`` is gone."""
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._ready)
        self._epoll.register(fd, 0)
        self._calls[fd] = call

    def forget(self, fd: int) -> None:
        """To be called before ``fd`` is closed."""
        if self._calls.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)
            if not self._calls:
                asyncio.get_running_loop().remove_reader(self._epoll.fileno())
                self._epoll.close()
                self._epoll = None

    def _ready(self) -> None:
        assert self._epoll is not None
        for fd, _events in self._epoll.poll(0):
            call = self._calls.get(fd)
            self.forget(fd)
            if call is not None:
                call()


class Streams:
    """Attachments and logs of all containers."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._watcher = DirectoryWatcher()
        self._hangups = Hangups()

    def is_tty(self, ref: str) -> bool:
        """Whether its output is raw."""
        return self._containers.get(ref).tty

    async def logs(self, ref: str, request: LogsWanted) -> AsyncIterator[bytes]:
        """The log, in stdcopy frames unless it has a terminal; raises with the first item."""
        container = self._containers.get(ref)
        if not readable(container):
            raise NotSupported("configured logging driver does not support reading")
        link = container.link
        query = LogQuery(
            stdout=request.stdout,
            stderr=request.stderr,
            since_ns=request.since_ns or 0,
            until_ns=request.until_ns or 0,
            tail=request.tail,
            timestamps=request.timestamps,
            details=request.details,
            blocks=request.blocks,
            follow=request.follow and container.status.running and link is not None,
        )
        pieces = read_logs(
            container.spool_path,
            query,
            multiplex=not container.tty,
            watcher=self._watcher,
            stopped=None if link is None else link.exited,
        )
        async for piece in pieces:
            yield piece

    async def check_attach(self, ref: str, keys: str | None = None) -> None:
        """Raises what speaks against attaching."""
        detach_keys(keys)
        container = self._containers.get(ref)
        if container.status.paused:
            raise Conflict(f"container {ref} is paused, unpause the container before attach")
        if container.status.state is State.RESTARTING:
            raise Conflict(f"container {ref} is restarting, wait until the container is running")
        if len(container.pending) >= PENDING_LIMIT:
            raise Conflict(f"container {ref} has {PENDING_LIMIT} clients waiting for its start already")

    async def attach(self, ref: str, request: AttachWanted, fd: int, prefix: bytes) -> None:
        """Tie a connection to the container; ``fd`` is ours from now on."""
        handed_on = False
        try:
            container = self._containers.get(ref)
            attachment = Attachment(
                stdin=request.stdin and container.config.open_stdin,
                stdout=request.stdout,
                stderr=request.stderr,
                multiplex=request.multiplex and not container.tty,
                # Docker looks for them in terminals only: a file may well contain their bytes
                detach_keys=detach_keys(request.detach_keys) if container.tty else b"",
                prefix=prefix,
            )
            if request.logs and readable(container):
                await self._prelude(container, request, fd)
            if not request.stream:
                return
            self._containers.emit(container, "attach")
            if container.link is not None and container.status.running:
                handle = await container.link.attach(attachment, fd)
                self._tell_detach(container, handle)
            else:
                self._wait_for_start(container, attachment, fd)
                handed_on = True
        finally:
            if not handed_on:
                os.close(fd)

    async def _prelude(self, container: Container, request: AttachWanted, fd: int) -> None:
        query = LogQuery(stdout=request.stdout, stderr=request.stderr)
        multiplex = request.multiplex and not container.tty
        with socket.socket(fileno=os.dup(fd)) as stream:
            stream.setblocking(False)
            async for piece in read_logs(container.spool_path, query, multiplex=multiplex):
                await asyncio.get_running_loop().sock_sendall(stream, piece)

    def _wait_for_start(self, container: Container, attachment: Attachment, fd: int) -> None:
        pending = PendingAttach(attachment, fd)
        container.pending.append(pending)

        def client_gone() -> None:
            if pending in container.pending:
                container.pending.remove(pending)
                os.close(fd)
                pending.handle.cancel()

        # the starter takes the descriptor, which may then be another's: watch a duplicate
        watched = os.dup(fd)
        self._hangups.watch(watched, client_gone)
        spawn(f"attachment to {container.short_id}", self._started(container, pending, watched))

    async def _started(self, container: Container, pending: PendingAttach, watched: int) -> None:
        try:
            handle = await pending.handle
        except (WharfieError, asyncio.CancelledError):
            return
        finally:
            self._hangups.forget(watched)
            # not shut down: the monitor has the same socket
            os.close(watched)
        self._tell_detach(container, handle)

    def _tell_detach(self, container: Container, handle: AttachHandle) -> None:
        def closed(future: asyncio.Future[str]) -> None:
            if not future.cancelled() and future.result() == protocol.DETACHED:
                self._containers.emit(container, "detach")

        handle.closed.add_done_callback(closed)
