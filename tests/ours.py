"""Our own engine under test: a daemon with roots, socket and bridge of its own, driven from outside."""

from __future__ import annotations

import glob
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.peers import busybox

ROOT = Path(__file__).resolve().parents[1]
WHARFIE = str(ROOT / "wharfie")
PATIENCE = 60
"""Seconds after which what did not happen never will, on a machine that is slow and busy as well."""


class Engine(NamedTuple):
    """A running daemon: where it listens, where it keeps things, and its process."""

    host: str
    state: Path
    bridge: str
    arguments: list[str]

    @property
    def pid(self) -> int:
        """The daemon's process id, as its pidfile says."""
        return int((self.state / "wharfie.pid").read_text())

    def cli(
        self, *words: str, stdin: str | bytes | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run our own command line against this engine."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [WHARFIE, "-H", self.host, *words],
            input=data if data is not None else b"",
            capture_output=True,
            timeout=timeout,
        )
        return subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon and wait until it answers."""
        log = (self.state / "daemon.out").open("ab")
        # in a group of its own: Ctrl-C is for the tests, which end their daemons in order
        words = [WHARFIE, "daemon", *self.arguments]
        process = subprocess.Popen(words, stdout=log, stderr=log, process_group=0)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while self.cli("version").returncode:
            assert process.poll() is None, (self.state / "daemon.out").read_text()[-3000:]
            assert time.monotonic() < deadline, "the daemon does not answer"
            time.sleep(0.05)
        return process

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the daemon alone, and wait until it has gone with all its locks; containers live on."""
        ended = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(ended, number)
            assert select.select([ended], [], [], PATIENCE)[0], "the daemon does not end"
        finally:
            os.close(ended)

    def end(self) -> None:
        """End the daemon that runs by now, whoever started it, and leave nothing of it on the host."""
        pid = self._running()
        if pid:
            names = self.cli("ps", "-aq").stdout.split()
            if names:
                self.cli("rm", "-f", *names)
            self.cli("network", "prune", "-f")
            self.kill(signal.SIGTERM)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)
        for parent in [f"/sys/fs/cgroup/{self.bridge}", *glob.glob(f"/sys/fs/cgroup/*/{self.bridge}")]:
            with suppress(OSError):  # not made, or a group of a container that another failure left in it
                os.rmdir(parent)
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        for table in tables.splitlines():
            if self.bridge in table:
                subprocess.run(["nft", "delete", *table.split()], check=False)

    def loops(self) -> list[str]:
        """The files of this engine that are a loop device's."""
        found = []
        for file in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                found.append(file.read_text().strip())
            except OSError:
                continue  # it was taken down meanwhile
        return [name for name in found if str(self.state) in name]

    def _running(self) -> int:
        """The daemon's process id, 0 where the pidfile is gone or names another process by now."""
        try:
            pid = self.pid
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        return pid if str(self.state).encode() in line else 0

    def load_busybox(self) -> None:
        """Import the test image as ``busybox:latest``."""
        done = self.cli("import", "--change", 'CMD ["sh"]', "--change", "ENV PATH=/bin", "-", "busybox",
                        stdin=busybox.tarball())  # fmt: skip
        assert done.returncode == 0, done.stderr


def describe(state: Path, bridge: str) -> Engine:
    """An engine below ``state`` that is not started yet."""
    state.mkdir(parents=True, exist_ok=True)
    host = f"unix://{state}/wharfie.sock"
    arguments = [
        "-H", host,
        "--data-root", str(state / "data"),
        "--exec-root", str(state / "exec"),
        "--pidfile", str(state / "wharfie.pid"),
        "--bridge", bridge,
        "--cgroup-parent", f"/{bridge}",
    ]  # fmt: skip
    return Engine(host, state, bridge, arguments)


@contextmanager
def engine(state: Path, *, bridge: str = "wht") -> Iterator[Engine]:
    """Run a daemon of ours with the test image; at the end its containers, bridge and rules are removed.

    The bridge's name gets this process's pid behind it: test runs may go on side by side.
    """
    ours = describe(state, f"{bridge}{os.getpid()}")
    process = ours.start()
    try:
        ours.load_busybox()
        yield ours
    finally:
        ours.end()
        process.wait(PATIENCE)


def processes() -> dict[int, str]:
    """Every process's command line, by pid."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found[int(entry)] = (
                    Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
    return found


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent(pid: int) -> int:
    """Whose child a process is; 0 when it has gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def descriptors(pid: int) -> set[str]:
    """What a process that may go on working meanwhile has open."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed since
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def below(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything in a tree that others may change meanwhile: what has gone by the look is left out."""
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = Path(directory, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until ``condition()`` is true; ``what`` is wrong if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
