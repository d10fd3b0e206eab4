"""Our own engine under test: a daemon with roots, socket and bridge of its own, driven from outside."""

from __future__ import annotations

import glob
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.peers import busybox

ROOT = Path(__file__).resolve().parents[1]
WHARFIE = str(ROOT / "wharfie")


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
        self, *words: str, stdin: str | bytes | None = None, timeout: float = 60
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
        process = subprocess.Popen([WHARFIE, "daemon", *self.arguments], stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 30
        while self.cli("version").returncode:
            assert process.poll() is None, (self.state / "daemon.out").read_text()[-3000:]
            assert time.monotonic() < deadline, "the daemon did not answer within 30 seconds"
            time.sleep(0.05)
        return process

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
    bridge = f"{bridge}{os.getpid()}"
    ours = describe(state, bridge)
    process = ours.start()
    try:
        ours.load_busybox()
        yield ours
    finally:
        if process.poll() is None:
            names = ours.cli("ps", "-aq").stdout.split()
            if names:
                ours.cli("rm", "-f", *names)
            process.terminate()
        process.wait(30)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
        for parent in [f"/sys/fs/cgroup/{bridge}", *glob.glob(f"/sys/fs/cgroup/*/{bridge}")]:
            with suppress(OSError):  # not made, or a group of a container that another failure left in it
                os.rmdir(parent)
        for table in subprocess.run(
            ["nft", "list", "tables"], capture_output=True, text=True
        ).stdout.splitlines():
            if bridge in table:
                subprocess.run(["nft", "delete", *table.split()], check=False)


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


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until ``condition()`` is true; ``what`` is wrong if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
