"""The engines that are compared: a command line each, and a way to find what holds a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import ours
from tests.peers import busybox, docker

BRIDGE = {"docker": "docker0", "wharfie": "whn"}


class Engine:
    """One engine behind one command line."""

    def __init__(self, name: str, command: list[str], daemons: list[str]) -> None:
        """``daemons``: words, one of which stands in the command line of each of its long-lived processes."""
        self.name = name
        self.command = command
        self.daemons = daemons

    def call(self, *words: str, check: bool = True) -> str:
        """Run one command; its standard output."""
        done = subprocess.run(
            [*self.command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def timed(self, *words: str) -> float:
        """Seconds of wall-clock time that one command takes, output thrown away."""
        started = time.perf_counter()
        done = subprocess.run(
            [*self.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        elapsed = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(words)}: {done.stderr.decode().strip()}")
        return elapsed

    def holder(self, container: str) -> int:
        """The pid of the process that looks after a container: monitor, shim or conmon."""
        pid = int(self.call("inspect", "--format", "{{.State.Pid}}", container))
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])


def pss(pid: int) -> float:
    """Proportional set size of a process, MiB (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of {pid}")


def idle_memory(words: list[str]) -> float:
    """Pss of all processes with one of ``words`` in their command line, MiB."""
    total = 0.0
    for pid, line in ours.processes().items():
        if any(word in line for word in words) and pid != os.getpid():
            total += pss(pid)
    return total


@contextmanager
def podman(state: Path) -> Iterator[Engine]:
    """Podman with storage of its own, in the way that works without systemd and without CAP_SYS_RESOURCE."""
    config = state / "containers.conf"
    state.mkdir(parents=True)
    config.write_text('[containers]\ndefault_ulimits = ["nofile=1024:20000", "nproc=4096:4096"]\n')
    os.environ["CONTAINERS_CONF"] = str(config)
    command = [
        "podman", "--root", str(state / "root"), "--runroot", str(state / "run"),
        "--cgroup-manager=cgroupfs", "--runtime", "runc", "--events-backend=file", "--storage-driver=overlay",
    ]  # fmt: skip
    subprocess.run([*command, "import", "-c", "CMD=sh", "-c", "ENV=PATH=/bin", "-", "busybox"], check=True,
                   input=busybox.tarball(), capture_output=True)  # fmt: skip
    before = _network()
    try:
        yield Engine("podman", command, [])
    finally:
        subprocess.run([*command, "rm", "-af", "-t", "0"], capture_output=True)
        subprocess.run(["umount", "-l", str(state / "root" / "overlay")], capture_output=True)
        del os.environ["CONTAINERS_CONF"]
        # its bridge and firewall tables stay behind by design; here they go, unless they were there before
        for words in _network() - before:
            subprocess.run(words, capture_output=True)


def _network() -> set[tuple[str, ...]]:
    """Commands that remove what Podman's default network may have made."""
    tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    made = {("nft", "delete", *line.split()) for line in tables.splitlines() if line.split()[1:2] == ["ip"]}
    for name in ("cni-podman0", "podman0"):
        if Path(f"/sys/class/net/{name}").exists():
            made.add(("ip", "link", "del", name))
    return made


@contextmanager
def engines(state: Path) -> Iterator[dict[str, Engine]]:
    """Ours with both command lines, and those of the real ones that are installed."""
    with ExitStack() as stack:
        found: dict[str, Engine] = {}
        mine = stack.enter_context(ours.engine(state / "wharfie", bridge=BRIDGE["wharfie"]))
        found["wharfie"] = Engine("wharfie", [ours.WHARFIE, "-H", mine.host], [str(mine.state)])
        if shutil.which("docker"):
            found["docker cli on wharfie"] = Engine(
                "docker cli on wharfie", [docker.docker_cli(), "-H", mine.host], [str(mine.state)]
            )
            host = stack.enter_context(docker.dockerd(state / "docker", bridge=BRIDGE["docker"]))
            docker.load_busybox(host)
            found["docker"] = Engine("docker", [docker.docker_cli(), "-H", host], [str(state / "docker")])
        if shutil.which("podman"):
            found["podman"] = stack.enter_context(podman(state / "podman"))
        yield found
