"""The runtime's command line through a container's whole life."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Box, box, make_spec

__all__ = ["box"]
SOURCE = str(Path(__file__).resolve().parents[3] / "src")
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie.door import runtime; runtime()"


class Runtime:
    """The command line with a state root of its own."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.log = box.directory / "log"

    def write(self, args: list[str]) -> None:
        """Write the bundle's configuration."""
        spec = make_spec(args, linux={"cgroupsPath": self.box.cgroup})
        spec["root"]["path"] = "root"
        (self.box.directory / "config.json").write_text(json.dumps(spec))

    def __call__(self, *words: str, fails: bool = False) -> str:
        """Run one command in the bundle; its output."""
        head = [sys.executable, "-I", "-S", "-c", BOOT, SOURCE, "--root", str(self.box.directory / "state")]
        head += ["--log", str(self.log), "--log-format", "json"]
        # a file and no pipe: a created container keeps its standard output open
        with open(self.box.directory / "output", "w+") as output:
            done = subprocess.run(
                [*head, *words], cwd=self.box.directory, stdout=output, stderr=output if fails else None,
                stdin=subprocess.DEVNULL, timeout=30,
            )  # fmt: skip
            output.seek(0)
            said = output.read()
        assert (done.returncode != 0) == fails, (words, said)
        return said


@pytest.fixture
def runtime(box: Box) -> Runtime:
    return Runtime(box)


def test_a_life_from_create_to_delete(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write(["sleep", "1000"])
    runtime("create", "--pid-file", str(tmp_path / "pid"), "one")
    state = json.loads(runtime("state", "one"))
    assert (state["status"], str(state["pid"])) == ("created", (tmp_path / "pid").read_text())
    runtime("start", "one")
    pidfd = os.pidfd_open(state["pid"])
    assert json.loads(runtime("state", "one"))["status"] == "running"
    assert "already exists" in runtime("create", "one", fails=True)
    assert runtime("exec", "one", "hostname") == "box\n"
    assert 'exec: "nope": executable file not found in $PATH' in runtime("exec", "one", "nope", fails=True)
    runtime("pause", "one")
    assert json.loads(runtime("list", "--format", "json"))[0]["status"] == "paused"
    runtime("resume", "one")
    assert "not stopped" in runtime("delete", "one", fails=True)
    runtime("kill", "one", "KILL")
    assert _gone(pidfd)
    runtime("delete", "one")
    assert "container does not exist" in runtime("state", "one", fails=True)
    assert json.loads(runtime.log.read_text().splitlines()[-1])["msg"] == "container does not exist"


def _gone(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ready = bool(poller.poll(10000))
    os.close(pidfd)
    return ready


def test_run_gives_the_exit_code_and_leaves_nothing(runtime: Runtime) -> None:
    runtime.write(["sh", "-c", "echo out; exit 0"])
    assert runtime("run", "two") == "out\n"
    assert runtime("list", "--quiet") == ""


def test_a_failed_create_leaves_no_record(runtime: Runtime) -> None:
    runtime.write(["/nope"])
    assert "no such file or directory" in runtime("create", "three", fails=True)
    assert runtime("list", "--quiet") == ""
