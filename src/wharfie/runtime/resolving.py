"""A container that asks for names: its network namespace is shown to the porter before its program runs."""

from __future__ import annotations

import _socket
import posix as os

from wharfie.linux.fd import recv_fds, send_fds
from wharfie.runtime.launch import LaunchError
from wharfie.support import json

_SECONDS = 10


def announce(path: str, container: str, pid: int) -> None:
    """Ask the porter behind the socket ``path`` to answer there, and wait until it does.

    Raises LaunchError; FileNotFoundError, ProcessLookupError when the process has ended.
    """
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_SECONDS)
        sock.connect(path)
        send_fds(sock, json.dumps({"op": "open", "container": container}).encode(), (netns,))
        data, _ = recv_fds(sock, 65536, 0)
        answer = json.loads(data) if data else {"error": "the porter went away"}
    except OSError as error:
        answer = {"error": error.strerror or "it does not answer"}
    finally:
        sock.close()
        os.close(netns)
    if "error" in answer:
        raise LaunchError(f"names cannot be resolved in the container: {answer['error']}")
