"""The power plug: what is done to the store ends at any of its steps, and nothing is lost or left over."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.conformance.registry import registries
from tests.crash import storework

PREPARED = {
    "load": [],
    "pull": [],
    "import_image": [],
    "commit": ["load"],
    "squash": ["load"],
    "rmi": ["load"],
    "prune": ["load", "import_image"],
    "repair": ["load"],
}
# fewer would mean that the points are not passed any more
LEAST = {
    "load": 20,
    "pull": 15,
    "import_image": 10,
    "commit": 9,
    "squash": 10,
    "rmi": 6,
    "prune": 12,
    "repair": 6,
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with registries.registry(directory) as address:
        layout = registries.layout(directory / "layout", storework.LAYERS[:2])
        asyncio.run(registries.push(layout, f"{address}/power:1"))
        yield address


class Worker:
    """A process whose children work on stores below one directory."""

    def __init__(self, top: Path, module: str) -> None:
        self.top = top
        self.server = subprocess.Popen(
            [sys.executable, "-m", f"tests.crash.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ours.ROOT,
            env={**os.environ, "PYTHONPATH": f"{ours.ROOT}/src"},
        )

    def run(self, name: str, command: str, argument: str = "", fault: str = "") -> tuple[int, str]:
        output = self.top / f"{name}.out"
        order = {"root": str(self.top / name), "command": command, "argument": argument, "fault": fault}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps({**order, "output": str(output)}) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline()), output.read_text()


class Bench:
    """Stores below one directory, and a worker for each processor."""

    def __init__(self, top: Path, registry: str, module: str = "storework") -> None:
        self.top = top
        self.argument = registry
        (top / "upper" / "etc").mkdir(parents=True)
        (top / "upper" / "etc" / "written").write_bytes(b"by a container")
        self.workers = [Worker(top, module) for _ in os.sched_getaffinity(0)]
        self._free = queue.SimpleQueue[Worker]()
        for worker in self.workers:
            self._free.put(worker)

    def run(self, name: str, command: str, argument: str = "", fault: str = "") -> tuple[int, str]:
        worker = self._free.get()
        try:
            return worker.run(name, command, argument, fault)
        finally:
            self._free.put(worker)

    def done(self, name: str, command: str, argument: str = "", fault: str = "") -> str:
        code, output = self.run(name, command, argument, fault)
        assert code == 0, output
        return output

    def look(self, name: str, command: str = "") -> dict[str, Any]:
        found = self.done(name, "look", f"{command} {self.argument}" if command else "")
        return json.loads(found)  # type: ignore[no-any-return]

    def copy(self, source: str, target: str) -> None:
        subprocess.run(["cp", "-a", str(self.top / source), str(self.top / target)], check=True)

    def each(self, count: int, ended_at: Callable[[int], None]) -> None:
        """Every number from 1 on, as many at a time as there are workers."""
        with ThreadPoolExecutor(len(self.workers)) as pool:
            for _ in pool.map(ended_at, range(1, count + 1)):
                continue

    def close(self) -> None:
        for worker in self.workers:
            worker.server.communicate()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory: what a killed process wrote stays there too, and no disk is waited for."""
    place = tmp_path / "memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "power", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def bench(memory: Path, registry: str) -> Iterator[Bench]:
    running = Bench(memory, registry)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("command", PREPARED)
def test_the_power_goes_at_every_step(bench: Bench, command: str) -> None:
    (bench.top / "before").mkdir()
    for step in PREPARED[command]:
        bench.done("before", step)
    bench.copy("before", "clean")
    bench.done("clean", command, bench.argument, f"trace:{bench.top}/steps")
    steps = (bench.top / "steps").read_text().splitlines()
    assert len(steps) >= LEAST[command], steps
    wanted = bench.look("clean")
    assert not wanted["problems"]

    def ended_at(number: int) -> None:
        at = f"{command}, step {number}: {steps[number - 1]}"
        name = f"case{number}"
        bench.copy("before", name)
        code, output = bench.run(name, command, bench.argument, f"kill:{number}")
        assert code == -signal.SIGKILL, (at, output)
        found = bench.look(name, command)
        assert command == "repair" or not found["problems"], (at, found["problems"])
        assert (found["names"], found["files"]) == (wanted["names"], wanted["files"]), at
        shutil.rmtree(bench.top / name)

    bench.each(len(steps), ended_at)
