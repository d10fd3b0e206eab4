"""Companions of cases that need somebody on the host while the container runs."""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

_LONG = 60.0


def _receive(listener: socket.socket) -> tuple[bytes, list[int]]:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(_LONG)
        data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content)
        return data, list(fds)


@contextmanager
def _listening(path: Path, serve: Callable[[socket.socket], str]) -> Iterator[Callable[[], str]]:
    """Run ``serve`` on a socket at ``path`` beside the case; what it returns is what the case sees."""
    said: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(_LONG)

        def work() -> None:
            try:
                said.append(serve(listener))
            except OSError as error:
                said.append(f"nobody came: {error}")

        thread = threading.Thread(target=work, name="companion", daemon=True)
        thread.start()

        def heard() -> str:
            thread.join(_LONG)
            return "".join(said)

        yield heard


def console(directory: Path) -> AbstractContextManager[Callable[[], str]]:
    """Whoever waits at ``--console-socket``: reads the terminal to its end."""

    def serve(listener: socket.socket) -> str:
        _, fds = _receive(listener)
        found = b""
        while select.select(fds, [], [], _LONG)[0]:
            try:
                part = os.read(fds[0], 4096)
            except OSError:  # EIO: the last writer is gone
                break
            found += part
        os.close(fds[0])
        return found.decode(errors="replace").replace("\r\n", "\n")

    return _listening(directory / "console.sock", serve)


_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_ENOMEDIUM = 123


def notify(directory: Path) -> AbstractContextManager[Callable[[], str]]:
    """Whoever waits at ``linux.seccomp.listenerPath``: tells what it got, answers one call with an error."""

    def serve(listener: socket.socket) -> str:
        data, fds = _receive(listener)
        told: dict[str, Any] = json.loads(data)
        if not select.select(fds, [], [], _LONG)[0]:
            return "no call came"
        request = bytearray(80)
        fcntl.ioctl(fds[0], _RECEIVE, request)
        (identity,) = struct.unpack_from("Q", request)
        fcntl.ioctl(fds[0], _SEND, bytearray(struct.pack("QqiI", identity, 0, -_ENOMEDIUM, 0)))
        for fd in fds:
            os.close(fd)
        state = told["state"]
        names = sorted(told.get("fds") or ())
        return f"{names} {told.get('metadata')} {state['status']} {state['id']} {told['pid'] > 0}\n"

    return _listening(directory / "notify.sock", serve)


HELPERS: dict[str, Callable[[Path], AbstractContextManager[Callable[[], str]]]] = {
    "console": console,
    "notify": notify,
}
