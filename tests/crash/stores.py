"""Stores below one directory, in which the power plug is pulled at every step of what is done to them."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.crash.orders import Orders

Found = dict[str, Any]


class Stores:
    """Copies of a store beside each other, and a worker for each processor."""

    def __init__(self, top: Path, module: str, argument: str = "") -> None:
        self.top = top
        self.argument = argument
        """What commands need to know; a registry's address."""
        self._workers = [Orders(module) for _ in os.sched_getaffinity(0)]
        self._free = queue.SimpleQueue[Orders]()
        for worker in self._workers:
            self._free.put(worker)

    def run(self, name: str, command: str, argument: str = "", fault: str = "") -> tuple[int, str]:
        """Have a command done in a store, perhaps not to its end."""
        worker = self._free.get()
        try:
            return worker.give(self.top / f"{name}.out", root=str(self.top / name), command=command,
                               argument=argument, fault=fault)  # fmt: skip
        finally:
            self._free.put(worker)

    def done(self, name: str, command: str, argument: str = "", fault: str = "") -> str:
        """To its end."""
        code, output = self.run(name, command, argument, fault)
        assert code == 0, output
        return output

    def prepare(self, name: str, commands: Sequence[str] = ()) -> None:
        """A new store with these done to it."""
        (self.top / name).mkdir()
        for command in commands:
            self.done(name, command)

    def look(self, name: str, command: str = "") -> Found:
        """What the next daemon finds, and what there is when it has done the command again."""
        found = self.done(name, "look", f"{command} {self.argument}" if command else "")
        return json.loads(found)  # type: ignore[no-any-return]

    def steps(self, command: str) -> tuple[list[str], Found]:
        """The points that a command passes in a copy of the store ``before``, and what there is then."""
        self.copy("clean")
        self.done("clean", command, self.argument, f"trace:{self.top}/steps")
        wanted = self.look("clean")
        assert not wanted["problems"]
        return (self.top / "steps").read_text().splitlines(), wanted

    def copy(self, target: str) -> None:
        """Of the store ``before``."""
        subprocess.run(["cp", "-a", str(self.top / "before"), str(self.top / target)], check=True)

    def each(self, steps: Sequence[str], case: Callable[[str, int, str], None]) -> None:
        """Do a case (a copy of the store, which step, and where that is) for every step, some at a time."""

        def one(number: int) -> None:
            name = f"case{number}"
            self.copy(name)
            case(name, number, f"step {number}: {steps[number - 1]}")
            shutil.rmtree(self.top / name)

        with ThreadPoolExecutor(len(self._workers)) as pool:
            for _ in pool.map(one, range(1, len(steps) + 1)):
                continue

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def pull_the_plug(
    stores: Stores, command: str, least: Mapping[str, int], check: Callable[[Found, str, Sequence[str]], None]
) -> None:
    """At every step of ``command``: the next daemon ends up with what there is when nobody pulls it.

    ``check`` is given what it found at first, where the plug was pulled, and the steps up to there.
    """
    steps, wanted = stores.steps(command)
    assert len(steps) >= least[command], steps

    def case(name: str, number: int, at: str) -> None:
        code, output = stores.run(name, command, stores.argument, f"kill:{number}")
        assert code == -signal.SIGKILL, (command, at, output)
        found = stores.look(name, command)
        check(found, f"{command}, {at}", steps[:number])
        assert (found["names"], found["files"]) == (wanted["names"], wanted["files"]), (command, at)

    stores.each(steps, case)


@contextmanager
def stores(directory: Path, module: str, argument: str = "") -> Iterator[Stores]:
    """In memory: what a killed process wrote stays there too, and no disk is waited for."""
    place = directory / "memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "power", str(place)], check=True)
    try:
        running = Stores(place, module, argument)
        try:
            yield running
        finally:
            running.close()
    finally:
        subprocess.run(["umount", str(place)], check=True)
