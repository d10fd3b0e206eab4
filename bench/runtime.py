"""``python -m bench.runtime``: the OCI runtime's command line against runc's, in the same run, as ratios.

Both get one bundle (busybox, the configuration of ``wharfie-runtime spec``) and the distribution's python3;
ours runs from a copy of the tree that looks like an installed one. Medians of spaced starts, by turns; with
``processor`` the time that the runtime, its children and the container's processes used. What a runtime keeps
of its containers is in memory for both, as /run is on nearly every machine. Run as root.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from tests.kernel.monitor.bench import Bench, bench_in
from tests.peers import busybox
from wharfie.runtime.seccomp import docker_profile
from wharfie.runtime.seccomp_cache import ProgramCache
from wharfie.runtime.specfile import default_spec
from wharfie.support.ids import new_id

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
PAUSE = 0.06
BRIDGE, SUBNET = "wharfbench0", "172.31.255"
MEMORY = Path("/sys/fs/cgroup/memory")
RUN = "/dev/shm"
"""A file system in memory, for what is kept in /run."""


class Sample(NamedTuple):
    """Milliseconds of one command."""

    wall: float
    processor: float


class Runtime:
    """One runtime's command line with a root of its own."""

    def __init__(self, name: str, command: list[str], state: Path) -> None:
        self.name = name
        self.command = [*command, "--root", str(state / f"root-{name}")]

    def call(self, *words: str) -> Sample:
        """Run one command, streams at /dev/null; raises RuntimeError when it fails."""
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
        argv = [*self.command, *words]
        started = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=null)
        _, status, used = os.wait4(pid, 0)
        elapsed = time.perf_counter() - started
        if status:
            raise RuntimeError(f"{' '.join(argv)}: {status}")
        return Sample(elapsed * 1000, (used.ru_utime + used.ru_stime) * 1000)


def install(directory: Path) -> list[str]:
    """Our runtime as an installation lays it out; its command."""
    packages = directory / "lib" / f"python{'.'.join(platform.python_version_tuple()[:2])}" / "site-packages"
    shutil.copytree(
        ROOT / "src" / "wharfie", packages / "wharfie", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(packages)], check=True)
    (directory / "bin").mkdir()
    (directory / "bin" / "python").symlink_to(PYTHON)
    launcher = directory / "bin" / "wharfie-runtime"
    shutil.copy(ROOT / "scripts" / "wharfie-runtime", launcher)
    launcher.chmod(0o755)
    return [str(launcher)]


def make_bundle(directory: Path, *args: str, seccomp: bool = False) -> Path:
    """A bundle whose program is ``args``."""
    root = directory / "rootfs"
    if not root.exists():
        with tarfile.open(fileobj=BytesIO(busybox.tarball())) as archive:
            archive.extractall(root)
    spec: dict[str, Any] = default_spec()
    spec["process"]["terminal"] = False
    spec["process"]["args"] = list(args)
    spec["root"]["path"] = str(root)
    if seccomp:
        kernel = tuple(map(int, platform.release().split(".")[:2]))
        spec["linux"]["seccomp"] = docker_profile(
            spec["process"]["capabilities"]["bounding"], platform.machine(), (kernel[0], kernel[1])
        )
    bundle = directory / f"{'-'.join(args)}{'-seccomp' if seccomp else ''}"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(spec))
    return bundle


def by_turns(runtimes: list[Runtime], once: Any, rounds: int) -> list[Sample]:
    """The median of each runtime's samples; the first two turns do not count."""
    samples: dict[str, list[Sample]] = {runtime.name: [] for runtime in runtimes}
    for turn in range(rounds + 2):
        for runtime in runtimes:
            sample = once(runtime)
            if turn >= 2:
                samples[runtime.name].append(sample)
            time.sleep(PAUSE)
    return [
        Sample(*(statistics.median(each) for each in zip(*samples[runtime.name], strict=True)))
        for runtime in runtimes
    ]


def starts(runtimes: list[Runtime], bundle: Path, rounds: int) -> list[Sample]:
    """A cold ``run`` to its end."""
    return by_turns(runtimes, lambda r: r.call("run", "--bundle", str(bundle), f"b{new_id()[:12]}"), rounds)


@contextmanager
def running(runtime: Runtime, bundle: Path) -> Iterator[str]:
    """A container that sleeps; its id."""
    name = f"b{new_id()[:12]}"
    runtime.call("run", "--detach", "--bundle", str(bundle), name)
    try:
        yield name
    finally:
        runtime.call("delete", "--force", name)


def execs(runtimes: list[Runtime], bundle: Path, rounds: int) -> list[Sample]:
    """``exec ID true`` in a container of each."""
    with running(runtimes[0], bundle) as first, running(runtimes[1], bundle) as second:
        names = {runtimes[0].name: first, runtimes[1].name: second}
        return by_turns(runtimes, lambda r: r.call("exec", names[r.name], "true"), rounds)


def charged(runtime: Runtime, name: str) -> int:
    """The peak of a running container's memory group, bytes."""
    state = subprocess.run([*runtime.command, "state", name], check=True, capture_output=True).stdout
    groups = Path(f"/proc/{json.loads(state)['pid']}/cgroup").read_text().splitlines()
    group = next(line.split(":")[2] for line in groups if line.split(":")[1] == "memory")
    return int(Path(f"{MEMORY}{group}/memory.max_usage_in_bytes").read_text())


def memory(runtimes: list[Runtime], bundle: Path, rounds: int) -> list[float]:
    """The most that was ever charged to the container's own cgroup when its program runs, KiB.

    (Version 1: memory.max_usage_in_bytes; what the program itself touches is the same for both.)
    """
    found: dict[str, list[int]] = {runtime.name: [] for runtime in runtimes}
    for _ in range(rounds):
        for runtime in runtimes:
            with running(runtime, bundle) as name:
                time.sleep(PAUSE)
                found[runtime.name].append(charged(runtime, name))
    return [statistics.median(found[runtime.name]) / 1024 for runtime in runtimes]


async def through_spawner(
    directory: Path, runc: Runtime, bundle: Path, rounds: int, *, bridge: bool
) -> tuple[float, float]:
    """From the request to the program's end, ms: a launch of the same configuration by the spawner; and, by
    turns with it, runc's ``run`` without a network.
    """
    spec = json.loads((bundle / "config.json").read_text())
    program = ProgramCache(str(directory / "seccomp")).path(spec["linux"]["seccomp"])
    samples, theirs = [], []
    async with bench_in(directory) as bench:
        for turn in range(rounds + 2):
            request = _request(bench, spec, program, turn, bridge=bridge)
            started = time.perf_counter()
            link = await bench.spawner.launch(request)
            await link.exited
            elapsed = (time.perf_counter() - started) * 1000
            await asyncio.sleep(PAUSE)
            other = runc.call("run", "--bundle", str(bundle), f"b{new_id()[:12]}").wall
            if turn >= 2:
                samples.append(elapsed)
                theirs.append(other)
            await asyncio.sleep(PAUSE)
    return statistics.median(samples), statistics.median(theirs)


def _request(bench: Bench, spec: dict[str, Any], program: str, turn: int, *, bridge: bool) -> Any:
    request = bench.request(["true"])
    request.spec = spec
    request.seccomp_path = program
    if bridge:
        request.interfaces = [
            {
                "host": f"vb{os.getpid()}x{turn}"[:15],
                "name": "eth0",
                "bridge": BRIDGE,
                "addresses": [f"{SUBNET}.{turn % 250 + 2}/24"],
                "gateway": f"{SUBNET}.1",
            }
        ]
    return request


@contextmanager
def a_bridge() -> Iterator[None]:
    """A bridge of the bench's own."""
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE], check=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "del", BRIDGE], check=False)


def row(name: str, unit: str, ours: float, theirs: float, aim: float) -> str:
    """One line of the table."""
    return f"| {name} | {ours:.1f} {unit} | {theirs:.1f} {unit} | {ours / theirs:.2f} (aim ≤ {aim:g}) |"


def report(runtimes: list[Runtime], directory: Path, rounds: int) -> Iterator[str]:
    """The table's lines, as they are measured."""
    plain, filtered = make_bundle(directory, "true"), make_bundle(directory, "true", seccomp=True)
    sleeping = make_bundle(directory, "sleep", "1000")
    sleeping_filtered = make_bundle(directory, "sleep", "1000", seccomp=True)
    for name, bundle, measure in (
        ("cold `run … true`", plain, starts),
        ("the same with Docker's seccomp profile", filtered, starts),
        ("`exec … true`", sleeping, execs),
        ("the same with Docker's seccomp profile", sleeping_filtered, execs),
    ):
        ours, theirs = measure(runtimes, bundle, rounds)
        yield row(name, "ms", ours.wall, theirs.wall, 1.0)
        yield row(f"{name}: processor", "ms", ours.processor, theirs.processor, 1.0)
    ours_kib, theirs_kib = memory(runtimes, sleeping, 5)
    yield row("charged to the container's cgroup at `execve`", "KiB", ours_kib, theirs_kib, 1.0)
    for way, bridge, aim in (("without network", False, 0.25), ("with a bridge", True, 0.35)):
        with a_bridge(), tempfile.TemporaryDirectory(dir=RUN) as place:
            took, runs = asyncio.run(
                through_spawner(Path(place), runtimes[1], filtered, rounds, bridge=bridge)
            )
        yield row(f"through the spawner, {way} ÷ runc's `run`", "ms", took, runs, aim)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.runtime")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--runc", default=shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin"))
    options = parser.parse_args()
    if not options.runc:
        sys.exit("bench.runtime: runc is not here to compare with")
    with (
        tempfile.TemporaryDirectory(prefix="wharfie-bench-") as directory,
        tempfile.TemporaryDirectory(prefix="wharfie-bench-", dir=RUN) as kept,
    ):
        installed = Path(directory) / "installed"
        installed.mkdir()
        runtimes = [
            Runtime("wharfie-runtime", install(installed), Path(kept)),
            Runtime("runc", [options.runc], Path(kept)),
        ]
        print("| | wharfie-runtime | runc | ratio |\n|---|---|---|---|")
        for line in report(runtimes, Path(directory), options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
