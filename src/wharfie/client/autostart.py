"""Starts a daemon where none listens on the default socket, once, however many clients want one.

The clients of one machine queue at a lock file; whoever gets it first starts the daemon and holds the lock
until it answers, the others find it answering. Should two daemons be started all the same (one by hand), the
daemon's own lock on its pidfile lets one live.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from wharfie.client.errors import DaemonFailed, DaemonUnreachable
from wharfie.client.http import Connection
from wharfie.errors import WharfieError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.client.address import Address

DEADLINE = 15.0
_POLL = 0.02


class Started:
    """The daemon this process started."""

    __slots__ = ("log", "pid")

    def __init__(self, pid: int, log: str) -> None:
        self.pid = pid
        self.log = log


def module_path() -> list[str]:
    """Where the daemon finds its modules: as this process, but for what lies beside somebody's program."""
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = getattr(sys.modules["__main__"], "__file__", None)
    beside = os.path.dirname(os.path.abspath(program)) if program else ""
    found = [path for path in sys.path if path.startswith("/") and (path == own or path != beside)]
    return found if own in found else [*found, own]


def daemon_command() -> list[str]:
    """The command line of a daemon with this interpreter."""
    program = (
        f"import sys; sys.path[:] = {module_path()!r}; sys.argv[0] = 'wharfie'; "
        "from wharfie.daemon.main import main; main()"
    )
    return [sys.executable, "-I", "-S", "-c", program]


def answers(address: Address) -> bool:
    """Whether a daemon answers at ``address``."""
    try:
        connection = Connection(address.connect())
    except DaemonUnreachable:
        return False
    try:
        connection.sock.settimeout(5)
        connection.send("GET", "/_ping")
        return connection.response().status == 200
    except (WharfieError, OSError):
        return False
    finally:
        connection.close()


def ensure(address: Address) -> Started | None:
    """Start a daemon at the default address and wait until it answers.

    None when another process did. Raises DaemonUnreachable when the socket exists but is not for us, and
    DaemonFailed with the last line of the log when the daemon does not come up.
    """
    directory = os.path.dirname(address.path)
    try:
        os.makedirs(directory, 0o711, exist_ok=True)
        lock = os.open(f"{directory}/start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        raise DaemonUnreachable(
            f"Cannot connect to the wharfie daemon at {address.text}. Is the daemon running? "
            "(starting it needs root)"
        ) from None
    try:
        # flock(2): a client that dies lets the next one in
        fcntl.flock(lock, fcntl.LOCK_EX)
        if answers(address):
            return None
        return _start(address, directory)
    finally:
        os.close(lock)


def _start(address: Address, directory: str) -> Started:
    log = f"{directory}/daemon.log"
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        command = daemon_command()
        pid = os.posix_spawn(
            command[0],
            command,
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            # a session of its own: the terminal's signals are not for it
            setsid=True,
        )
    finally:
        os.close(null)
        os.close(output)
    deadline = time.monotonic() + DEADLINE
    while not answers(address):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if answers(address):
                break
            code = os.waitstatus_to_exitcode(status)
            raise DaemonFailed(
                f"the wharfie daemon did not start (code {code}): {last_line(log)} (see {log})"
            )
        if time.monotonic() > deadline:
            raise DaemonFailed(
                f"the wharfie daemon (pid {pid}) did not answer within {DEADLINE:.0f} seconds: "
                f"{last_line(log)} (see {log})"
            )
        time.sleep(_POLL)
    return Started(pid, log)


def _environment() -> dict[str, str]:
    """What the daemon inherits: nothing that is meant for this command alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WHARFIE_HOST")}


def last_line(path: str) -> str:
    """The last line of a log, or a word saying that there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "no log was written"
    return lines[-1].strip() if lines else "its log is empty"
