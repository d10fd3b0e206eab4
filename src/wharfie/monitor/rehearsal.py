"""Lives of monitors, played in the spawner before it serves, for the sake of the memory of those to come.

Whatever runs for the first times writes to pages that all monitors share with the spawner: the interpreter
counts calls and specialises bytecode in place (PEP 659; done after about ten calls), which also ends most
writes of reference counts, and fills its cache of methods (100 KiB in all corners). So it happens here, once,
and a monitor finds it done. Then what is free between the objects of the heap is taken, or a monitor's own
few objects would lie on a hundred shared pages. Together: 1.9 to 1.3 MiB for a monitor (20 of one spawner).
"""

from __future__ import annotations

import _socket
import os

from wharfie.linux.fd import close_all
from wharfie.logs import jsonfile
from wharfie.monitor import links, monitor, protocol, stdio
from wharfie.monitor.aside import fork_child
from wharfie.monitor.process import Stdio
from wharfie.monitor.protocol import Attachment
from wharfie.support.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIVES = 12
LINES = 12


def rehearse(directory: str) -> None:
    """Play all lives, in a directory made for it."""
    os.mkdir(directory, 0o700)
    try:
        monitor.rehearse_become()
        for _ in range(LIVES):
            _Life(directory).play()
    finally:
        remove_tree(directory)


class _Life:
    """A monitor whose container is a child that does nothing, and whose daemon is this."""

    def __init__(self, directory: str) -> None:
        self._left = LINES
        self._daemon, link = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._client, stream = _socket.socketpair()
        pipes = Stdio(open_stdin=False)
        self._output = os.dup(pipes.theirs[1])
        pid, self._gate = fork_child(_wait)
        log = f"{directory}/log"
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _, out, err = pipes.started()
        fds = {
            "directory": place,
            "listener": links.listen(place),
            "link": link.detach(),
            "log": jsonfile.open_file(log),
            "pidfd": os.pidfd_open(pid),
            "stdout": out,
            "stderr": err,
        }
        launched: dict[str, Any] = {
            "id": "rehearsal",
            "directory": directory,
            "log": {"driver": "json-file", "path": log, "max_size": 100_000_000, "max_file": 5, "attrs": {}},
            "tty": False,
            "stdin_once": False,
            "seccomp_path": None,
            "attachments": [Attachment(multiplex=True).to_json()],
            "status": {"cgroup": "/wharfie-rehearsal", "pid": pid},
            "own_pids": True,
            "fds": list(fds),
        }
        launch_end, monitor_end = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        protocol.send(launch_end, launched, (*fds.values(), stream.fileno()))
        close_all(fds.values())
        stream.close()
        launch_end.close()
        received = protocol.receive(monitor_end)
        monitor_end.close()
        assert received is not None
        self._monitor = monitor.Monitor(*received)

    def play(self) -> None:
        """To the end."""
        protocol.send(self._daemon, {"op": "ping", "seq": 1})
        self._monitor.loop.call_later(0, self._step)
        self._monitor.loop.run()
        self._daemon.close()
        self._client.close()
        stdio.buffer.drop()

    def _step(self) -> None:
        self._left -= 1
        if self._left:
            os.write(self._output, b'a "line" of output\n')
            self._monitor.loop.call_later(0, self._step)
            return
        os.close(self._output)
        self._gate.close()


def _wait(gate: _socket.socket) -> None:
    gate.recv(1)


def fill_holes() -> list[object]:
    """Take all small free pieces of memory: what a monitor allocates then lies on a few fresh pages.

    pymalloc gives out equal pieces of 16 KiB pools, whose first begins behind a head of 48 bytes: a whole new
    pool shows that the old ones are full.
    """
    taken: list[object] = []
    _fill(taken, 16, lambda _: object())
    _fill(taken, 32, lambda number: 1_000_000 + number)
    for size in range(48, 513, 16):
        _fill(taken, size, _bytes_of(size))
    return taken


def _bytes_of(size: int) -> Callable[[int], object]:
    # a bytes object has a head of 33
    return lambda _: bytes(size - 33)


def _fill(taken: list[object], size: int, make: Callable[[int], object]) -> None:
    last = 0
    for number in range(20_000):
        item = make(number)
        taken.append(item)
        if last % 16384 == 48 and id(item) == last + size:
            return
        last = id(item)
