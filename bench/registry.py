"""``.venv/bin/python -m bench.registry``: a 12-layer gzip image pulled from a loopback registry, by turns.

Prints each engine's median, our share of Docker's, and the daemon's peak memory while it pulls. All daemons
stand in one network namespace, so that the registry's address means the same to each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import imagedata
from bench.engines import Engine
from tests import ours
from tests.conformance.registry.registries import registry
from tests.peers import docker

LAYERS, FILES, SIZE = 12, 6000, 240 << 20
ROUNDS = 5


def peak(pid: int) -> float:
    """The largest resident size of a process since :func:`forget`, MiB (proc(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no VmHWM of {pid}")


def forget(pid: int) -> None:
    """Begin the peak anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as state, ExitStack() as stack:
        top = Path(state)
        pusher = stack.enter_context(ours.engine(top / "pusher", bridge="whp"))
        mine = stack.enter_context(ours.engine(top / "wharfie", bridge="whr"))
        host = stack.enter_context(docker.dockerd(top / "docker", own_network=False))
        (top / "registry").mkdir()
        address = stack.enter_context(registry(top / "registry"))
        engines = [
            Engine("wharfie", [ours.WHARFIE, "-H", mine.host], []),
            Engine("docker CLI on wharfie", [docker.docker_cli(), "-H", mine.host], []),
            Engine("docker", [docker.docker_cli(), "-H", host], []),
        ]
        name = f"{address}/bench/pull:1"
        archive = imagedata.image(top, "pull", LAYERS, FILES, SIZE)
        source = Engine("source", [ours.WHARFIE, "-H", pusher.host], [])
        source.call("load", "-i", str(archive))
        archive.unlink()
        source.call("tag", "pull:1", name)
        source.call("push", name)
        source.call("rmi", "pull:1", name)
        samples: dict[str, list[float]] = {engine.name: [] for engine in engines}
        forget(mine.pid)
        for _ in range(ROUNDS):
            for engine in engines:
                started = time.perf_counter()
                engine.call("pull", name)
                samples[engine.name].append(time.perf_counter() - started)
                engine.call("rmi", name)
        medians = {name: statistics.median(values) for name, values in samples.items()}
        for label, seconds in medians.items():
            sys.stdout.write(f"{label:24} {seconds:6.2f} s  {seconds / medians['docker']:.2f} x docker\n")
        sys.stdout.write(f"peak memory of the daemon {peak(mine.pid):.0f} MiB\n")


if __name__ == "__main__":
    main()
