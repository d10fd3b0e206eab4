"""The daemon's side of spawner and monitors, on asyncio and without threads.

``Spawner`` launches containers; each launch gives a ``MonitorLink``, and so does ``reconnect`` after the
daemon's own restart. A link that ends without an exit message means that the monitor was killed: nobody owns
the container's streams any more, so its first process is killed too (after proof that the pid is still that
process), its cgroup is removed, and the exit record says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from wharfie.errors import InternalError, Unavailable, WharfieError
from wharfie.linux.fd import close_all
from wharfie.monitor import aftermath, protocol, succession
from wharfie.monitor.interpreter import start_spawner
from wharfie.monitor.protocol import Attachment, ExitRecord, LaunchRequest
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.launch import LaunchError
from wharfie.support import json
from wharfie.support.files import write_all
from wharfie.support.tasks import spawn

# what the engine gets from here although it is defined elsewhere
__all__ = ["Attachment", "ExitRecord", "LaunchError", "LaunchRequest"]

READY_TIMEOUT = 20.0
KILL_TIMEOUT = 10.0
_FACTS = ("id", "pid", "start_time", "monitor_pid", "started_at_ns", "cgroup", "process", "seccomp_path")
_log = logging.getLogger(__name__)


class SpawnerDied(Unavailable):
    """The fork server is gone before it took the request: start another and ask again."""


class MonitorGone(Unavailable):
    """The container's monitor went away before it answered; ``MonitorLink.exited`` will say more."""


class MonitorRefused(InternalError):
    """The monitor could not do what it was asked."""


class AttachHandle:
    """One client's stream in a monitor's care."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Resolves to protocol.EXITED, DETACHED, CLIENT or LOST."""


class ExecHandle:
    """A further process in a container."""

    def __init__(self, exec_id: str, pid: int, attachments: list[AttachHandle]) -> None:
        self.exec_id = exec_id
        self.pid = pid
        self.attachments = attachments
        """In the order of the attachments that the process was started with."""
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Resolves to the exit code."""


class Channel:
    """A SOCK_SEQPACKET connection on the event loop: messages out in order, messages in to a callback."""

    def __init__(self, sock: socket.socket, on_message: Callable[[dict[str, Any]], None]) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._on_message = on_message
        self._unsent: list[tuple[dict[str, Any], list[int]]] = []
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send now or, with duplicates of the descriptors, when there is room; raises MonitorGone."""
        if self.closed.done():
            raise MonitorGone("the connection is closed")
        if not self._unsent:
            try:
                protocol.send(self._socket, message, fds)
                return
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._writable)
            except OSError as error:
                raise MonitorGone(f"the connection broke: {error}") from error
        self._unsent.append((message, [os.dup(fd) for fd in fds]))

    def _writable(self) -> None:
        while self._unsent:
            message, fds = self._unsent[0]
            try:
                protocol.send(self._socket, message, fds)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            close_all(fds)
            del self._unsent[0]
        self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        # a few at a time: hundreds of links may speak at once
        for _ in range(16):
            try:
                received = protocol.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, ValueError):
                received = None
            if received is None:
                self.close()
                return
            message, fds = received
            close_all(fds)
            self._on_message(message)
            if self.closed.done():
                return

    def close(self) -> None:
        """Close the connection; ``closed`` resolves."""
        if self.closed.done():
            return
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for _, fds in self._unsent:
            close_all(fds)
        self._unsent = []
        self.closed.set_result(None)


class MonitorLink:
    """A live connection with one container's monitor."""

    def __init__(self, sock: socket.socket, directory: str, launched: Sequence[Attachment] = ()) -> None:
        loop = asyncio.get_running_loop()
        self.id = ""
        self.pid = 0
        self.start_time = 0
        """In clock ticks since boot: with the pid it names a process beyond doubt."""
        self.monitor_pid = 0
        self.started_at_ns = 0
        self.cgroup = ""
        self.process = "{}"
        """The OCI process that the container was started with, as JSON: an exec begins from it."""
        self.seccomp_path: str | None = None
        self.directory = directory
        self.exited: asyncio.Future[ExitRecord] = loop.create_future()
        self.attachments = [AttachHandle(key) for key in range(len(launched))]
        """Those the container was launched with, in their order."""
        self.execs: dict[str, ExecHandle] = {}
        """Running ones, after a reconnect too."""
        self.on_oom: Callable[[], None] | None = None
        self.ooms = 0
        """How often the kernel killed a process for want of memory: once may be told with the start."""
        self._ready: asyncio.Future[None] = loop.create_future()
        self._attached = {handle.key: handle for handle in self.attachments}
        self._next_key = len(launched)
        self._seq = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._abandoned = False
        self._channel = Channel(sock, self._receive)
        self._channel.closed.add_done_callback(self._closed)

    async def started(self) -> None:
        """Wait for the monitor's first message; raises LaunchError, MonitorGone."""
        await self._ready

    # requests

    async def attach(
        self, attachment: Attachment, stream_fd: int, exec_id: str | None = None
    ) -> AttachHandle:
        """Tie a further stream to the container, or to a process in it; the caller closes its stream_fd."""
        handle = self._new_handle()
        message = {"op": "attach", "key": handle.key, "attachment": attachment.to_json(), "exec_id": exec_id}
        try:
            await self._ask(message, [stream_fd])
        except BaseException:
            self._attached.pop(handle.key, None)
            raise
        return handle

    async def resize(self, height: int, width: int, exec_id: str | None = None) -> None:
        """Set the size of the terminal."""
        await self._ask({"op": "resize", "height": height, "width": width, "exec_id": exec_id})

    async def exec(
        self,
        exec_id: str,
        process: dict[str, Any],
        *,
        tty: bool = False,
        open_stdin: bool = False,
        stdin_once: bool = True,
        seccomp_path: str | None = None,
        console_size: tuple[int, int] | None = None,
        attachments: Sequence[Attachment] = (),
        fds: Sequence[int] = (),
    ) -> ExecHandle:
        """Start an OCI process in the container; raises LaunchError with exit code 125, 126 or 127."""
        handle = ExecHandle(exec_id, 0, [self._new_handle() for _ in attachments])
        # registered before the answer: the process may have ended by then
        self.execs[exec_id] = handle
        message = {
            "op": "exec",
            "exec_id": exec_id,
            "process": process,
            "tty": tty,
            "open_stdin": open_stdin,
            "stdin_once": stdin_once,
            "seccomp_path": seccomp_path,
            "console_size": console_size,
            "attachments": [attachment.to_json() for attachment in attachments],
            "keys": [attached.key for attached in handle.attachments],
        }
        try:
            handle.pid = (await self._ask(message, fds))["pid"]
        except BaseException:
            self.execs.pop(exec_id, None)
            for attached in handle.attachments:
                self._attached.pop(attached.key, None)
            raise
        return handle

    async def signal(self, number: int, exec_id: str | None = None) -> None:
        """Send a signal to the container's first process (or to an exec'd one), by its pidfd."""
        await self._ask({"op": "signal", "number": int(number), "exec_id": exec_id})

    async def close_stdin(self, exec_id: str | None = None) -> None:
        """Close the write end of the process's stdin."""
        await self._ask({"op": "close_stdin", "exec_id": exec_id})

    async def ping(self) -> None:
        """Raises MonitorGone unless the monitor answers."""
        await self._ask({"op": "ping"})

    def close(self) -> None:
        """Let go of the monitor (at the daemon's end); it and its container live on."""
        self._abandoned = True
        self._channel.close()

    def _new_handle(self) -> AttachHandle:
        handle = AttachHandle(self._next_key)
        self._next_key += 1
        self._attached[handle.key] = handle
        return handle

    async def _ask(self, message: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        self._seq += 1
        seq = self._seq
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[seq] = reply
        try:
            self._channel.send({**message, "seq": seq}, fds)
            answer = await reply
        finally:
            self._replies.pop(seq, None)
        if "error" in answer:
            if answer["code"]:
                raise LaunchError(answer["error"], answer["code"])
            raise MonitorRefused(answer["error"])
        return answer

    # what the monitor says

    def _receive(self, message: dict[str, Any]) -> None:
        if "reply" in message:
            reply = self._replies.get(message["reply"])
            if reply is not None and not reply.done():
                reply.set_result(message)
            return
        event = message.get("event")
        if event in ("started", "hello"):
            self._started(message)
        elif event == "failed":
            _resolve(self._ready, error=LaunchError(message["message"], message["code"]))
            self._abandoned = True
        elif event == "attach-closed":
            attached = self._attached.pop(message["key"], None)
            if attached is not None:
                _resolve(attached.closed, message["reason"])
        elif event == "exec-exit":
            process = self.execs.pop(message["exec_id"], None)
            if process is not None:
                _resolve(process.exited, message["exit_code"])
        elif event == "oom":
            self.ooms += 1
            if self.on_oom is not None:
                self.on_oom()
        elif event == "exit":
            _resolve(self.exited, ExitRecord.from_json(message))

    def _started(self, message: dict[str, Any]) -> None:
        for name in _FACTS:
            setattr(self, name, message[name])
        for exec_id, pid in message["execs"].items():
            self.execs.setdefault(exec_id, ExecHandle(exec_id, pid, []))
        _resolve(self._ready, None)

    def _closed(self, _channel: asyncio.Future[None]) -> None:
        gone = MonitorGone(f"the monitor of container {self.id} went away")
        _resolve(self._ready, error=gone)
        for reply in self._replies.values():
            _resolve(reply, error=gone)
        for attached in self._attached.values():
            _resolve(attached.closed, protocol.LOST)
        self._attached = {}
        if self.exited.done():
            self._end_execs(self.exited.result().exit_code)
        if not self._abandoned and not self.exited.done() and self.pid:
            spawn(f"look after {self.id[:12]}", self._look_after())

    async def _look_after(self) -> None:
        """The connection ended without an exit: connect again, or see to what a dead monitor left."""
        sock = await _connect(self.directory)
        if sock is not None:
            self._channel = Channel(sock, self._receive)
            self._channel.closed.add_done_callback(self._closed)
            return
        try:
            record = await _settle(self.directory)
        except FileNotFoundError:
            record = aftermath.record_loss(self.directory)
        self._end_execs(record.exit_code)
        _resolve(self.exited, record)

    def _end_execs(self, exit_code: int) -> None:
        for process in self.execs.values():
            _resolve(process.exited, exit_code)
        self.execs = {}


def _resolve(future: asyncio.Future[Any], result: object = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
        return
    future.set_exception(error)
    # nobody has to be waiting
    future.exception()


class Spawner:
    """The fork server, a child process of the daemon."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.died: asyncio.Future[int] = loop.create_future()
        """Resolves when the spawner is gone, to its exit status or minus the signal that ended it."""
        self._ready: asyncio.Future[None] = loop.create_future()
        self._process = process
        self._socket = sock
        self._pidfd = os.pidfd_open(process.pid)
        loop.add_reader(self._pidfd, self._dead)
        self._channel = Channel(sock, lambda _message: _resolve(self._ready))

    @classmethod
    async def start(cls, *, exec_root: str, interpreter: list[str], log_path: str | None = None) -> Spawner:
        """Start one and wait until it serves; raises SpawnerDied. ``interpreter``: [sys.executable]."""
        log_path = log_path or f"{exec_root}/spawner.log"
        lock = await succession.take(exec_root)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process = start_spawner(interpreter, log_path, theirs.fileno(), lock)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(lock)
        spawner = cls(process, ours)
        events: list[asyncio.Future[Any]] = [spawner._ready, spawner.died]
        await asyncio.wait(events, timeout=READY_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not spawner._ready.done():
            process.kill()
            await spawner.close()
            raise SpawnerDied(f"the spawner did not start; {log_path} says why")
        return spawner

    async def launch(self, request: LaunchRequest, fds: Sequence[int] = ()) -> MonitorLink:
        """Create and start a container. Raises LaunchError, SpawnerDied.

        ``fds``: the request's trees, then the streams of its attachments; the caller closes them.
        """
        document = os.memfd_create("wharfie-launch", os.MFD_CLOEXEC)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            write_all(document, json.dumps(request.to_json()).encode("ascii"))
            link = MonitorLink(ours, request.directory, request.attachments)
            self._channel.send({"op": "launch", "care": request.care()}, [document, theirs.fileno(), *fds])
        except MonitorGone:
            link.close()
            raise SpawnerDied("the spawner is gone") from None
        finally:
            os.close(document)
            theirs.close()
        try:
            await link.started()
        except MonitorGone:
            await _remove_cgroup(request.cgroup)
            if self._gone():
                raise SpawnerDied("the spawner is gone") from None
            raise LaunchError(f"the monitor of container {request.id} died while it started") from None
        except asyncio.CancelledError:
            link.close()
            raise
        return link

    def _gone(self) -> bool:
        # the kernel shuts the socket before it drops the requests queued in it, so this is never late
        try:
            return self._channel.closed.done() or not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def close(self) -> None:
        """End the spawner; monitors and containers live on."""
        self._channel.close()
        await self.died

    def _dead(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._channel.close()
        self.died.set_result(self._process.wait())


async def reconnect(directory: str) -> MonitorLink | ExitRecord:
    """Find the monitor of <exec-root>/containers/<id> again, or how the container ended without us.

    Where neither a monitor nor an exit record is left, what is left of the container is killed and removed.
    Raises FileNotFoundError when nothing was ever started there.
    """
    while True:
        sock = await _connect(directory)
        if sock is None:
            return await _settle(directory)
        link = MonitorLink(sock, directory)
        try:
            await link.started()
            return link
        except MonitorGone:
            # it was just ending: its socket or its record will tell
            continue


async def _connect(directory: str) -> socket.socket | None:
    while True:
        try:
            found = aftermath.connect(directory)
            return None if found is None else socket.socket(fileno=found.detach())
        except BlockingIOError:
            await asyncio.sleep(0.01)


async def _settle(directory: str) -> ExitRecord:
    """How a container without a monitor ended; what is left of it is removed. Raises FileNotFoundError."""
    record = aftermath.exit_record(directory)
    if record is not None:
        return record
    status = aftermath.status(directory)
    _log.warning("the monitor of container %s is gone: killing the container", status["id"])
    pidfd = aftermath.kill(status["pid"], status["start_time"])
    if pidfd is not None:
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pidfd, _resolve, gone)
        try:
            await asyncio.wait([gone], timeout=KILL_TIMEOUT)
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
    await _remove_cgroup(status["cgroup"])
    return aftermath.record_loss(directory)


async def _remove_cgroup(path: str) -> None:
    if not path:
        return
    try:
        await asyncio.to_thread(open_cgroup(path).destroy)
    except (OSError, WharfieError) as error:
        _log.warning("control group %s is left: %s", path, error)
