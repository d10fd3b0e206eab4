"""The daemon's side of the porter: started when it is first needed, told what it must know, found again.

The listening socket is made here and inherited by the porter, so nobody waits for its start: who connects
meanwhile is in its queue. :class:`Porter` itself knows nothing and does nothing: networks without one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wharfie.errors import Unavailable
from wharfie.linux.fd import close_all
from wharfie.monitor.client import Channel, MonitorGone
from wharfie.monitor.interpreter import read_only_copy
from wharfie.network.model import Endpoint
from wharfie.network.ports import Key

_START = (
    "import sys; sys.path.append(sys.argv[1]); from wharfie.porter.main import main; main(int(sys.argv[2]))"
)
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_BACKLOG = 512
_BATCH = 32
_PART = 1000
"""Ports of one message."""
_PATIENCE = 10.0
Target = tuple[str, int]
_log = logging.getLogger(__name__)


class Porter:
    """Nobody at the door."""

    path = ""

    def seat(self, endpoint: Endpoint) -> None:
        """A container is called so, and is there."""

    def unseat(self, endpoint: Endpoint) -> None:
        """It is not any more."""

    def client(self, container: str, message: dict[str, Any]) -> None:
        """What to do for a container that asks."""

    def forget(self, container: str) -> None:
        """It has ended."""

    def keep(self, items: Sequence[tuple[Key, socket.socket, Target]]) -> None:
        """Keep these sockets."""

    def retarget(self, items: Sequence[tuple[Key, Target]]) -> None:
        """They lead elsewhere now."""

    def drop(self, keys: Iterable[Key]) -> None:
        """Let these go."""

    def kept_ports(self) -> set[Key]:
        """Those it keeps, of an earlier daemon."""
        return set()

    def adopt(self, containers: Iterable[str], ports: Iterable[Key]) -> None:
        """Of what an earlier daemon told, only what concerns these counts; names are told anew from here."""

    def told(self) -> None:
        """All names have been told."""

    def again(self) -> None:
        """The packet filter's table is a new one: what names opened belongs into it."""

    async def open(self, container: str, pid: int) -> None:
        """Answer in the network namespace of a process, where it does not do so yet."""


class PorterProcess(Porter):
    """A porter as a process of its own."""

    def __init__(self, exec_root: str) -> None:
        self.path = f"{exec_root}/porter.sock"
        self._log = f"{exec_root}/porter.log"
        self.on_event: Callable[[dict[str, Any]], None] = lambda event: None
        self.on_loss: Callable[[], object] = lambda: None
        self._channel: Channel | None = None
        self._kept: set[Key] = set()
        self._known: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    async def find(self) -> bool:
        """At the daemon's start: the porter that an earlier daemon left, if it lives."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            return False
        hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._use(sock, hello)
        self._send({"op": "hello"})
        try:
            await asyncio.wait_for(hello, _PATIENCE)
        except (TimeoutError, MonitorGone):
            _log.warning("the porter that was left does not answer; starting another")
            self._let_go()
            return False
        return True

    def adopt(self, containers: Iterable[str], ports: Iterable[Key]) -> None:
        if self._channel is None:
            return
        for container in self._known - set(containers):
            self.forget(container)
        self.drop(self._kept - set(ports))
        self._send({"op": "reset"})

    def told(self) -> None:
        self._send({"op": "told"})

    def kept_ports(self) -> set[Key]:
        return self._kept

    def close(self) -> None:
        """At the daemon's end: it stays as long as it is needed."""
        self._closed = True
        self._let_go()

    # -- what it is told ----------------------------------------------------------------------------

    def seat(self, endpoint: Endpoint) -> None:
        self._ensure()
        self._send(
            {
                "op": "seat",
                "container": endpoint.container,
                "network": endpoint.network_id,
                "network_name": endpoint.network,
                "names": list(endpoint.names),
                "addresses": [address for address in (endpoint.address, endpoint.address6) if address],
            }
        )

    def unseat(self, endpoint: Endpoint) -> None:
        if self._channel is not None and endpoint.user_defined:
            self._send({"op": "unseat", "container": endpoint.container, "network": endpoint.network_id})

    def client(self, container: str, message: dict[str, Any]) -> None:
        self._ensure()
        self._known.add(container)
        self._send({"op": "client", "container": container, **message})

    def forget(self, container: str) -> None:
        if container in self._known:
            self._known.discard(container)
            self._send({"op": "shut", "container": container})

    def keep(self, items: Sequence[tuple[Key, socket.socket, Target]]) -> None:
        self._ensure()
        for start in range(0, len(items), _BATCH):
            part = items[start : start + _BATCH]
            words = [[_text(key), *target] for key, _, target in part]
            self._send({"op": "ports", "items": words}, [sock.fileno() for _, sock, _ in part])
            self._kept |= {key for key, _, _ in part}

    def retarget(self, items: Sequence[tuple[Key, Target]]) -> None:
        known = [[_text(key), *target] for key, target in items if key in self._kept]
        for start in range(0, len(known), _PART):
            self._send({"op": "retarget", "items": known[start : start + _PART]})

    def drop(self, keys: Iterable[Key]) -> None:
        gone = [key for key in keys if key in self._kept]
        self._kept.difference_update(gone)
        for start in range(0, len(gone), _PART):
            self._send({"op": "drop", "keys": [_text(key) for key in gone[start : start + _PART]]})

    def again(self) -> None:
        self._send({"op": "again"})

    async def open(self, container: str, pid: int) -> None:
        """Raises Unavailable, OSError."""
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[container] = answer
        try:
            self._ensure()
            self._send({"op": "open", "container": container}, [netns])
            await asyncio.wait_for(answer, _PATIENCE)
        except TimeoutError:
            raise Unavailable("the porter does not answer") from None
        finally:
            os.close(netns)
            self._waiting.pop(container, None)

    # -- the process --------------------------------------------------------------------------------

    def _send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        if self._channel is None:
            return
        try:
            self._channel.send(message, fds)
        except MonitorGone:
            return  # its loss is noticed by itself, and everything is told again

    def _ensure(self) -> None:
        """Start one if none is there; raises Unavailable."""
        if self._channel is not None:
            return
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass  # the first one
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            # bind(2) makes the file with the socket's own mode: the umask is all threads'
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(self.path)
            listener.listen(_BACKLOG)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            sock.connect(self.path)
            self._process = _start(listener.fileno(), self._log)
        except OSError as error:
            raise Unavailable(f"the porter, who answers for names, cannot be started: {error}") from error
        finally:
            listener.close()
        self._kept = set()
        self._known = set()
        self._use(sock, None)
        self._send({"op": "hello"})

    def _use(self, sock: socket.socket, hello: asyncio.Future[None] | None) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

        def heard(message: dict[str, Any]) -> None:
            if "ports" in message:
                if hello is not None and not hello.done():
                    self._kept.update(_key(text) for text in message["ports"])
                    self._known.update(message["clients"])
                    if not message["more"]:
                        hello.set_result(None)
            elif "opened" in message:
                answer = self._waiting.get(message["opened"])
                if answer is not None and not answer.done():
                    answer.set_result(None)
            elif "error" in message:
                answer = self._waiting.get(message["container"])
                if answer is not None and not answer.done():
                    answer.set_exception(Unavailable(f"the porter: {message['error']}"))
                else:
                    _log.warning("the porter: %s", message["error"])
            else:
                self.on_event(message)

        def lost(_future: asyncio.Future[None]) -> None:
            if hello is not None and not hello.done():
                hello.set_exception(MonitorGone("the porter went away"))
            if self._channel is channel and not self._closed:
                self._channel = None
                _log.warning(
                    "the porter, who answers for names and keeps ports, is gone; %s says why", self._log
                )
                self.on_loss()

        channel = self._channel = Channel(sock, heard)
        channel.closed.add_done_callback(lost)

    def _let_go(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if self._process is not None:
            self._process.poll()


def _start(listener: int, log_path: str) -> subprocess.Popen[bytes]:
    program = shutil.which(sys.executable) or sys.executable
    copy = read_only_copy(program)
    log = -1
    try:
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        return subprocess.Popen(
            [program, "-I", "-S", "-c", _START, _SOURCE, str(listener)],
            executable=None if copy is None else f"/proc/self/fd/{copy}",
            pass_fds=[listener] if copy is None else [listener, copy],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    finally:
        close_all([log] if copy is None else [log, copy])


def _text(key: Key) -> str:
    return f"{key[0]} {key[1]} {key[2]}"


def _key(text: str) -> Key:
    protocol, address, port = text.split(" ")
    return protocol, address, int(port)
