"""What the daemon finds in a container's directory: its monitor's socket, or the traces of a dead monitor.

The steps are small and never wait; ``monitor.client`` strings them together on the event loop.
"""

from __future__ import annotations

import _socket
import posix as os
import time

from wharfie.linux.process import start_time
from wharfie.monitor import protocol
from wharfie.monitor.protocol import ExitRecord
from wharfie.support import json
from wharfie.support.files import atomic_write, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal


def connect(directory: str) -> _socket.socket | None:
    """A non-blocking connection with a living monitor, if there is one.

    Raises BlockingIOError when the monitor has more new connections than it took yet.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    sock.setblocking(False)
    try:
        directory_fd = os.open(directory, os.O_DIRECTORY | os.O_PATH | os.O_CLOEXEC)
        try:
            sock.connect(protocol.socket_address(directory_fd))
        finally:
            os.close(directory_fd)
    except BlockingIOError:
        sock.close()
        raise
    except OSError:
        sock.close()
        return None
    return sock


def exit_record(directory: str) -> ExitRecord | None:
    """What the monitor wrote when its container ended, if it came to that."""
    try:
        return ExitRecord.from_json(json.loads(read_file(f"{directory}/{protocol.EXIT_NAME}")))
    except FileNotFoundError:
        return None


def status(directory: str) -> dict[str, Any]:
    """What the monitor wrote when its container started; raises FileNotFoundError."""
    found = json.loads(read_file(f"{directory}/{protocol.STATUS_NAME}"))
    assert isinstance(found, dict)
    return found


def record_loss(directory: str) -> ExitRecord:
    """Write the exit record that a killed monitor could not write."""
    record = ExitRecord(
        exit_code=128 + _signal.SIGKILL,
        finished_at_ns=time.time_ns(),
        error="the container's monitor was killed, so the container was killed too",
    )
    try:
        content = json.dumps(record.to_json()).encode("ascii")
        atomic_write(f"{directory}/{protocol.EXIT_NAME}", content, sync=False)
    except FileNotFoundError:
        pass  # the directory is gone with the container
    return record


def kill(pid: int, started: int) -> int | None:
    """Kill a process if it is still the one that started then: a pidfd to wait on, None if it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        # in this order: the descriptor names one process for good, and this is the proof of which
        if start_time(pid) == started:
            _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
            return pidfd
    except (ProcessLookupError, FileNotFoundError):
        pass  # it ended meanwhile
    os.close(pidfd)
    return None
