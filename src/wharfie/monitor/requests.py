"""What daemons ask of a monitor: each request is answered on the link it came on.

A request that cannot be done is answered by one sentence; it never ends the monitor. The descriptors that
came with a request are closed unless a client took them.
"""

from __future__ import annotations

from wharfie.errors import WharfieError
from wharfie.linux.fd import close_all
from wharfie.linux.process import pidfd_send_signal
from wharfie.monitor.protocol import CLIENT, Attachment
from wharfie.runtime.launch import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.monitor.clients import Client
    from wharfie.monitor.links import Link
    from wharfie.monitor.monitor import Monitor
    from wharfie.monitor.process import Process

    Message = dict[str, Any]
    Operation = Callable[[Link, Message, list[int], Message], Callable[[], None] | None]

CLIENTS_LIMIT = 512
"""Attachments at a time; each may hold a megabyte."""


class Requests:
    """Carries requests out; knows all clients of the container and of its exec'd processes."""

    __slots__ = ("_monitor", "_operations", "clients")

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.clients: list[Client] = []
        self._operations: dict[str, Operation] = {
            "attach": self._attach,
            "close_stdin": self._close_stdin,
            "exec": self._exec,
            "ping": self._ping,
            "resize": self._resize,
            "signal": self._signal,
        }

    def handle(self, link: Link, message: dict[str, Any], fds: list[int]) -> None:
        """Do what ``message`` asks and answer it."""
        reply: dict[str, Any] = {"reply": message.get("seq")}
        then: Callable[[], None] | None = None
        try:
            operation = self._operations.get(message.get("op", ""))
            if operation is None:
                raise ValueError(f"unknown request {message.get('op')!r}")
            then = operation(link, message, fds, reply)
        except LaunchError as error:
            reply.update(error=error.message, code=error.exit_code)
        except (WharfieError, OSError, ValueError) as error:
            reply.update(error=str(error), code=0)
        except (KeyError, TypeError) as error:
            reply.update(error=f"a request lacks something: {error!r}", code=0)
        link.send(reply)
        if then is not None:
            then()
        close_all(fds)

    def attach(self, link: Link, key: int, process: Process, attachment: Attachment, stream_fd: int) -> None:
        """Tie a stream to a process and tell ``link`` when it closes; takes the descriptor."""

        def closed(client: Client, reason: str) -> None:
            if client in self.clients:
                self.clients.remove(client)
            link.send({"event": "attach-closed", "key": key, "reason": reason})
            self._monitor.client_closed()

        client = process.attach(attachment, stream_fd, closed)
        if not client.closed:
            self.clients.append(client)

    def room_for(self, count: int) -> None:
        """Raises ValueError when that many more clients are too many."""
        if len(self.clients) + count > CLIENTS_LIMIT:
            raise ValueError(f"more than {CLIENTS_LIMIT} clients are attached to this container")

    def unsent(self) -> int:
        """Bytes that clients have yet to take."""
        return sum(client.unsent for client in self.clients)

    def close_clients(self) -> None:
        """Cut off those that are left."""
        for client in tuple(self.clients):
            client.close(CLIENT)

    def _process(self, message: dict[str, Any]) -> Process:
        exec_id = message.get("exec_id")
        process = self._monitor.process if exec_id is None else self._monitor.execs.process(exec_id)
        if process.exit_code is not None:
            raise ValueError("the process has ended")
        return process

    # operations: what is to happen after the answer is returned (an attachment may end at once)

    def _attach(self, link: Link, message: Message, fds: list[int], _reply: Message) -> Callable[[], None]:
        self.room_for(1)
        process = self._process(message)
        attachment = Attachment.from_json(message["attachment"])
        key = message["key"]
        if len(fds) != 1:
            raise ValueError("an attachment comes with one stream")
        return lambda: self.attach(link, key, process, attachment, fds.pop())

    def _exec(self, link: Link, message: Message, fds: list[int], reply: Message) -> Callable[[], None]:
        attachments = [Attachment.from_json(item) for item in message["attachments"]]
        keys = message["keys"]
        if not len(attachments) == len(keys) == len(fds):
            raise ValueError("each attachment comes with one stream")
        self.room_for(len(attachments))
        if self._monitor.ending:
            raise ValueError(f"container {self._monitor.id} is not running")
        process = self._monitor.execs.start(message)
        reply["pid"] = process.pid

        def attach_all() -> None:
            for key, attachment in zip(keys, attachments, strict=True):
                self.attach(link, key, process, attachment, fds.pop(0))

        return attach_all

    def _resize(self, _link: Link, message: Message, _fds: list[int], _reply: Message) -> None:
        self._process(message).resize(message["height"], message["width"])

    def _signal(self, _link: Link, message: Message, _fds: list[int], _reply: Message) -> None:
        try:
            pidfd_send_signal(self._process(message).pidfd, message["number"])
        except ProcessLookupError:
            return

    def _close_stdin(self, _link: Link, message: Message, _fds: list[int], _reply: Message) -> None:
        stdin = self._process(message).stdin
        if stdin is not None:
            stdin.close_soon()

    def _ping(self, _link: Link, _message: Message, _fds: list[int], _reply: Message) -> None:
        return
