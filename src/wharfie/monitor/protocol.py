"""What daemon, spawner and monitors say to each other: SOCK_SEQPACKET, one packet = one JSON message.

::

    daemon ── socketpair ──▶ a standby      {"op": "launch", "care"}
                                                        fds: [document, link, tree..., stream...]
    daemon ◀── link ───────▶ monitor        the first message is the answer to the launch
    daemon' ── monitor.sock ─▶ monitor      a restarted daemon; the first message is "hello"

    monitor to daemon, first   {"event": "started"|"hello", "version", "id", "pid", "start_time",
                                "monitor_pid", "started_at_ns", "cgroup", "execs": {exec id: pid},
                                "process": JSON of the OCI process, "seccomp_path"}
                               {"event": "failed", "message", "code"}          the launch failed, all undone
    daemon to monitor          {"op": "attach", "seq", "key", "attachment", "exec_id"}      fds: [stream]
                               {"op": "resize", "seq", "height", "width", "exec_id"}
                               {"op": "exec", "seq", "exec_id", "process", "tty", "open_stdin", "stdin_once",
                                "seccomp_path", "console_size", "attachments"}      fds: [stream...]
                               {"op": "signal", "seq", "number", "exec_id"}
                               {"op": "close_stdin", "seq", "exec_id"}
                               {"op": "ping", "seq"}
    monitor to daemon          {"reply": seq, ...} | {"reply": seq, "error": sentence, "code": 125|126|127|0}
                               {"event": "attach-closed", "key", "reason"}
                               {"event": "exec-exit", "exec_id", "exit_code"}
                               {"event": "oom"}
                               {"event": "exit", "exit_code", "oom_killed", "finished_at_ns", "error"}

After "exit" the monitor closes the link; exit.json was on disk before. A link that closes without "exit"
means that the monitor was killed. A message longer than one packet may be (the sender's socket buffer bounds
it) travels in a memfd: the packet is then the byte ``M`` and the memfd comes before the other descriptors.

unix(7), seqpacket and SCM_RIGHTS; memfd_create(2).
"""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux.fd import close_all, recv_fds, send_fds
from wharfie.support import json
from wharfie.support.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = 1
SOCKET_NAME = "monitor.sock"
STATUS_NAME = "status.json"
EXIT_NAME = "exit.json"

PACKET_LIMIT = 48 * 1024
DOCUMENT_LIMIT = 16 << 20
FDS_LIMIT = 80

DETACHED = "detached"
"""An attachment ended by its detach keys."""
EXITED = "exited"
"""An attachment ended because the process did."""
CLIENT = "client"
"""An attachment ended because its client went away."""
LOST = "lost"
"""An attachment whose monitor went away."""

_IN_MEMFD = b"M"


class Attachment:
    """How one client's stream is tied to a process; its descriptor travels beside it.

    ``multiplex`` puts output into stdcopy frames, otherwise it goes out raw. ``detach_keys`` are the bytes
    that end the attachment (empty: none). ``prefix`` are bytes of stdin that were read already, behind the
    request. The client's end of input closes the process's stdin if that was opened with ``stdin_once``.
    """

    __slots__ = ("detach_keys", "multiplex", "prefix", "stderr", "stdin", "stdout")

    def __init__(
        self,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        multiplex: bool = False,
        detach_keys: bytes = b"",
        prefix: bytes = b"",
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.multiplex = multiplex
        self.detach_keys = detach_keys
        self.prefix = prefix

    def to_json(self) -> dict[str, Any]:
        """The attachment as JSON can say it: bytes as Latin-1 text."""
        return {
            "stdin": self.stdin,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "multiplex": self.multiplex,
            "detach_keys": self.detach_keys.decode("latin-1"),
            "prefix": self.prefix.decode("latin-1"),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Attachment:
        """The reverse of ``to_json``."""
        return cls(
            stdin=value["stdin"],
            stdout=value["stdout"],
            stderr=value["stderr"],
            multiplex=value["multiplex"],
            detach_keys=value["detach_keys"].encode("latin-1"),
            prefix=value["prefix"].encode("latin-1"),
        )


class LaunchRequest:
    """All a monitor needs to create its container and to look after it.

    The first fields are those of ``runtime.launch.Launch``; the seccomp program is named by the path of its
    cached file. ``log`` is {"driver": "json-file"|"none", "path", "max_size" (bytes, 0: unlimited),
    "max_file", "attrs": {}}. ``directory`` is <exec-root>/containers/<id>, which exists. ``checkpoint`` is
    None, or the paths {"criu", "images", "work"} to restore from. ``trees`` names what the first descriptors
    beside the request are: detached mounts, by the destination they are for. One stream
    descriptor per attachment follows.
    """

    __slots__ = (
        "attachments",
        "bundle",
        "cgroup",
        "checkpoint",
        "console_size",
        "directory",
        "id",
        "init_path",
        "interfaces",
        "log",
        "open_stdin",
        "rootfs",
        "seccomp_path",
        "spec",
        "stdin_once",
        "trees",
        "tty",
    )

    def __init__(
        self,
        *,
        id: str,
        spec: dict[str, Any],
        bundle: str,
        directory: str,
        log: dict[str, Any],
        rootfs: dict[str, Any] | None = None,
        cgroup: str = "",
        interfaces: Sequence[dict[str, Any]] = (),
        seccomp_path: str | None = None,
        init_path: str | None = None,
        tty: bool = False,
        open_stdin: bool = False,
        stdin_once: bool = False,
        console_size: tuple[int, int] | None = None,
        attachments: Sequence[Attachment] = (),
        trees: Sequence[str] = (),
        checkpoint: dict[str, str] | None = None,
    ) -> None:
        self.id = id
        self.checkpoint = checkpoint
        self.spec = spec
        self.bundle = bundle
        self.directory = directory
        self.log = log
        self.rootfs = rootfs
        self.cgroup = cgroup
        self.interfaces = list(interfaces)
        self.seccomp_path = seccomp_path
        self.init_path = init_path
        self.tty = tty
        self.open_stdin = open_stdin
        self.stdin_once = stdin_once
        self.console_size = console_size
        self.attachments = list(attachments)
        self.trees = list(trees)

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object."""
        value = {name: getattr(self, name) for name in self.__slots__}
        value["attachments"] = [attachment.to_json() for attachment in self.attachments]
        return value

    def care(self) -> dict[str, Any]:
        """The part that the monitor itself needs; the rest is for the child that creates the container."""
        names = ("id", "directory", "log", "tty", "open_stdin", "stdin_once", "seccomp_path")
        value = {name: getattr(self, name) for name in names}
        value["attachments"] = [attachment.to_json() for attachment in self.attachments]
        value["trees"] = len(self.trees)
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LaunchRequest:
        """The reverse of ``to_json``."""
        size = value.pop("console_size")
        attachments = [Attachment.from_json(item) for item in value.pop("attachments")]
        return cls(console_size=tuple(size) if size else None, attachments=attachments, **value)


class ExitRecord:
    """How a container ended. ``error`` is empty unless something of ours went wrong."""

    __slots__ = ("error", "exit_code", "finished_at_ns", "oom_killed")

    def __init__(
        self, *, exit_code: int, finished_at_ns: int, oom_killed: bool = False, error: str = ""
    ) -> None:
        self.exit_code = exit_code
        self.finished_at_ns = finished_at_ns
        self.oom_killed = oom_killed
        self.error = error

    def __repr__(self) -> str:
        return (
            f"ExitRecord(exit_code={self.exit_code}, oom_killed={self.oom_killed}, "
            f"finished_at_ns={self.finished_at_ns}, error={self.error!r})"
        )

    def to_json(self) -> dict[str, Any]:
        """The record as exit.json and the exit event hold it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ExitRecord:
        """The reverse of ``to_json``; members it does not know are ignored."""
        return cls(**{name: value[name] for name in cls.__slots__})


def send(sock: _socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError; BlockingIOError from a non-blocking socket whose peer is slow."""
    packet = json.dumps(message).encode("ascii")
    if len(packet) <= PACKET_LIMIT:
        send_fds(sock, packet, fds)
        return
    document = os.memfd_create("wharfie-message", os.MFD_CLOEXEC)
    try:
        write_all(document, packet)
        send_fds(sock, _IN_MEMFD, [document, *fds])
    finally:
        os.close(document)


def receive(sock: _socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and the descriptors that came with it, close-on-exec; None at the end.

    Raises OSError, and ValueError for a packet that is no message; its descriptors are closed then.
    """
    packet, fds = recv_fds(sock, PACKET_LIMIT + 1, FDS_LIMIT)
    if not packet:
        close_all(fds)
        return None
    try:
        if packet == _IN_MEMFD:
            packet = _read_document(fds)
        message = json.loads(packet)
        if not isinstance(message, dict):
            raise ValueError("a message is a JSON object")
        return message, fds
    except BaseException:
        close_all(fds)
        raise


def _read_document(fds: list[int]) -> bytes:
    if not fds:
        raise ValueError("a message without its document")
    document = fds.pop(0)
    try:
        size = os.fstat(document).st_size
        if size > DOCUMENT_LIMIT:
            raise ValueError(f"a message of {size} bytes is too long")
        return os.pread(document, size, 0)
    finally:
        os.close(document)


def socket_address(directory_fd: int, name: str = SOCKET_NAME) -> str:
    """An address for bind(2) and connect(2) that fits into 108 bytes however deep the directory lies."""
    return f"/proc/self/fd/{directory_fd}/{name}"
