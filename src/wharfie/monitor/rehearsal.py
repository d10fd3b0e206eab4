"""Lives of monitors, played in the spawner before it serves, for the sake of the memory of those to come.

Whatever runs for the first times writes to pages that all monitors share with the spawner: the interpreter
counts calls and specialises bytecode in place (PEP 659; done after about ten calls), which also ends most
writes of reference counts, and fills its cache of methods (100 KiB in all corners). So it happens here, once,
and a monitor finds it done. Then what is free between the objects of the heap is taken, or a monitor's own
few objects would lie on a hundred shared pages.
"""

from __future__ import annotations

import _socket
import posix as os
import time

from wharfie.linux.credentials import set_subreaper
from wharfie.linux.fd import close_all, eventfd
from wharfie.linux.process import CLONE_PARENT, fork, fork_into
from wharfie.logs import jsonfile
from wharfie.monitor import launched, links, monitor, protocol, remains, stdio
from wharfie.monitor.process import Stdio
from wharfie.monitor.protocol import Attachment
from wharfie.monitor.template import Template
from wharfie.support.files import atomic_write, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LIVES = 12
LINES = 12
QUIET = 0.002
"""Seconds; so that it comes in the middle."""
PAUSE = 0.0005
"""Seconds between lines, so that each is a chunk of its own."""


def rehearse(directory: str, lock: int) -> None:
    """Play all lives, in a directory made for it."""
    os.mkdir(directory, 0o700)
    stage = _Stage(directory)
    try:
        nowhere = f"{directory}/group"
        atomic_write(f"{directory}/{remains.NAME}", f"{nowhere}/count\n{nowhere}".encode(), sync=False)
        for _ in range(LIVES):
            stage.play(lock)
    finally:
        remove_tree(directory)


class _Stage:
    """Where a monitor finds what it is to look after; its container is a process that does nothing."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def play(self, lock: int) -> None:
        """One life of a monitor, in this process."""
        template = Template()
        taken, control, held, own_lock = (os.dup(lock) for _ in range(4))
        monitor.main(template, taken, control, held, own_lock, self._launch, QUIET)
        set_subreaper(False)
        stdio.buffer.drop()
        template.close()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return

    def _launch(self, sock: _socket.socket, control: int, held: int) -> None:
        """In the child: be launcher, and then, in one of its own, daemon, client and the container's pen."""
        close_all((control, held))
        daemon, link = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        client, stream = _socket.socketpair()
        pipes = Stdio(open_stdin=False)
        output = os.dup(pipes.theirs[1])
        gate, key = os.pipe2(os.O_CLOEXEC)
        pid, pidfd = fork_into(lambda: _wait(gate, key), CLONE_PARENT)
        place = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        log = f"{self._directory}/log"
        _, out, err = pipes.started()
        fds = {
            "directory": place,
            "log": jsonfile.open_file(log),
            "listener": links.listen(place),
            "pidfd": pidfd,
            "stdout": out,
            "stderr": err,
            "oom": eventfd(),
            "link": link.fileno(),
        }
        for name in ("stdout", "stderr", "link"):
            os.set_blocking(fds[name], False)
        attachments = [Attachment(multiplex=True).to_json()]
        limits: launched.Log = (log, 100_000_000, 5, {})
        told: launched.Told = (
            False,
            (),
            False,
            pid,
            self._directory,
            limits,
            False,
            True,
            False,
            attachments,
        )
        launched.send(sock, told, (*fds.values(), stream.fileno()))
        stream.close()
        link.close()
        if fork():
            # the monitor waits for the end of its launcher
            return
        close_all(fds.values())
        protocol.send(daemon, {"op": "ping", "seq": 1})
        for _ in range(LINES):
            os.write(output, b'a "line" of output\n')
            time.sleep(PAUSE)
        close_all((output, key))
        while client.recv(4096):
            continue


def _wait(gate: int, key: int) -> None:
    os.close(key)
    os.read(gate, 1)


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
