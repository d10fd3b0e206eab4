"""The OCI runtime's commands beside each other, and killed at any instant."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import ours
from tests.kernel.runtime.conftest import leftovers, make_root, make_spec

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie.door import runtime; runtime()"
CONTAINERS, AT_ONCE = 200, 16
KILLED = 0.3
"""How many of the commands are killed."""


class Command(NamedTuple):
    """A command that runs."""

    process: subprocess.Popen[bytes]
    said: Path

    def end(self) -> tuple[int, str]:
        """Wait for it: its exit code and what it complained of."""
        self.process.wait(timeout=120)
        return self.process.returncode, self.said.read_text()


class Crowd:
    """Many containers of one root file system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "state"
        self.prefix = f"c{uuid.uuid4().hex[:8]}"
        make_root(directory / "rootfs")

    def bundle(self, name: str) -> Path:
        """The bundle of one container."""
        bundle = self.directory / name
        bundle.mkdir()
        spec = make_spec(["sleep", "1000"], linux={"cgroupsPath": f"/wharfie-test/{name}"})
        spec["root"] = {"path": str(self.directory / "rootfs"), "readonly": True}
        (bundle / "config.json").write_text(json.dumps(spec))
        return bundle

    def command(self, *words: str) -> Command:
        """Begin a command."""
        # a file and no pipe: what a container inherits stays open
        said = self.directory / f"said-{uuid.uuid4().hex}"
        head = [sys.executable, "-I", "-S", "-c", BOOT, SOURCE, "--root", str(self.root)]
        null = subprocess.DEVNULL
        with open(said, "wb") as output:
            return Command(subprocess.Popen([*head, *words], stdin=null, stdout=null, stderr=output), said)

    def run(self, *words: str) -> tuple[int, str]:
        """A command to its end: its exit code and what it complained of."""
        return self.command(*words).end()

    def run_or_kill(self, chance: random.Random, *words: str) -> None:
        """A command that perhaps does not get to its end."""
        begun = self.command(*words).process
        try:
            # the instant is the matter here, not a wait for something
            begun.wait(timeout=chance.random() * 0.25 if chance.random() < KILLED else 120)
        except subprocess.TimeoutExpired:
            begun.send_signal(signal.SIGKILL)
            begun.wait()

    def processes(self) -> list[str]:
        """What still runs in a control group of one of the containers."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cgroup"):
            try:
                if self.prefix in path.read_text() and "(zombie)" not in (path.parent / "status").read_text():
                    found.append(path.parent.name)
            except OSError:
                continue
        return found


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path)
    yield made
    ours.until(lambda: not made.processes(), "processes are left")
    assert leftovers(made.prefix) == []
    mounts = Path("/proc/self/mountinfo")
    ours.until(lambda: str(tmp_path) not in mounts.read_text(), "something stays mounted")


def life(crowd: Crowd, number: int) -> None:
    chance = random.Random(number)
    name = f"{crowd.prefix}-{number}"
    bundle = crowd.bundle(name)
    crowd.run_or_kill(chance, "create", "--bundle", str(bundle), name)
    crowd.run_or_kill(chance, "start", name)
    crowd.run_or_kill(chance, "exec", name, "true")
    crowd.run_or_kill(chance, "kill", name, "KILL")
    crowd.run_or_kill(chance, "delete", name)


def test_killed_commands_leave_nothing_that_delete_cannot_remove(crowd: Crowd) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: life(crowd, number), range(CONTAINERS)))
        names = [f"{crowd.prefix}-{number}" for number in range(CONTAINERS)]
        code, said = crowd.run("list")
        assert code == 0, said
        ended = list(pool.map(lambda name: crowd.run("delete", "--force", name), names))
    assert [result for result in ended if result != (0, "")] == []
    assert os.listdir(crowd.root) == []
    # the kernel takes a killed process's group away a moment after its end
    ours.until(lambda: not _groups(crowd.prefix), "groups are left")


def _groups(prefix: str) -> list[str]:
    return [top for top, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(top).startswith(prefix)]


def test_of_many_starts_one_wins(crowd: Crowd) -> None:
    name = f"{crowd.prefix}-s"
    bundle = crowd.bundle(name)
    assert crowd.run("create", "--bundle", str(bundle), name)[0] == 0
    with ThreadPoolExecutor(8) as pool:
        codes = [code for code, _ in pool.map(lambda _: crowd.run("start", name), range(8))]
    assert sorted(codes) == [0] + [1] * 7
    assert crowd.run("delete", "--force", name) == (0, "")


def test_of_many_creates_one_wins(crowd: Crowd) -> None:
    name = f"{crowd.prefix}-m"
    bundle = crowd.bundle(name)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: crowd.run("create", "--bundle", str(bundle), name), range(8)))
    assert sorted(code for code, _ in results) == [0] + [1] * 7
    assert all("already exists" in said for code, said in results if code)
    assert crowd.run("delete", "--force", name) == (0, "")


def test_a_deletion_beside_further_processes(crowd: Crowd) -> None:
    name = f"{crowd.prefix}-d"
    bundle = crowd.bundle(name)
    assert crowd.run("run", "--detach", "--bundle", str(bundle), name)[0] == 0
    begun = [crowd.command("exec", name, "sleep", "1000") for _ in range(6)]
    assert crowd.run("delete", "--force", name) == (0, "")
    for command in begun:
        code, said = command.end()
        assert code in (137, 255), said
