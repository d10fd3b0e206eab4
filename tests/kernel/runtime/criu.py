"""CRIU for the tests, and a container that counts: it can be seen whether its memory lives on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tests import ours
from tests.kernel.runtime.conftest import Box, make_spec

ROOT = Path(__file__).resolve().parents[3]
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie.door import runtime; runtime()"
OURS = [sys.executable, "-I", "-S", "-c", BOOT, str(ROOT / "src")]
COUNT = """exec 3<>/tmp/go; i=0
while read -r x <&3; do [ "$x" = end ] && exit 7; i=$((i+1)); echo $i >/tmp/n; done"""


def search_path() -> str:
    """A PATH that leads to the CRIU that scripts/setup has unpacked, else to the distribution's."""
    places = f"{ROOT}/.cache/criu/bin:{os.environ['PATH']}"
    assert shutil.which("criu", path=places), "no CRIU here; scripts/setup dev fetches one"
    return places


class Counting:
    """A bundle whose container counts the lines that are written to a FIFO, and a runtime to run it."""

    def __init__(self, box: Box, *argv: str) -> None:
        self.box = box
        self.argv = argv or tuple(OURS)
        self.state = box.directory / "state"
        self.environment = {**os.environ, "PATH": search_path()}
        os.mkfifo(box.root / "tmp/go")
        (box.root / "tmp/n").write_text("0\n")
        self.count = 0

    def write(self, script: str = COUNT, **changes: Any) -> None:
        """Write the configuration."""
        linux = {"cgroupsPath": self.box.cgroup, **changes.pop("linux", {})}
        spec = make_spec(["sh", "-c", script], linux=linux, **changes)
        spec["root"] = {"path": "root", **changes.get("root", {})}
        (self.box.directory / "config.json").write_text(json.dumps(spec))

    def __call__(self, *words: str, code: int = 0, **streams: Any) -> str:
        """Run a command to its end, which must be with this exit code; the errors in its log."""
        found, said = self._run(words, streams)
        assert found == code, (words, found, said)
        return said

    def says(self, *words: str) -> str:
        """Run a command that may fail; the errors in its log."""
        return self._run(words, {})[1]

    def _run(self, words: tuple[str, ...], streams: dict[str, Any]) -> tuple[int, str]:
        log = self.box.directory / "log"
        log.unlink(missing_ok=True)
        given = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | streams
        done = subprocess.run(
            [*self.argv, "--root", str(self.state), "--log", str(log), "--log-format", "json", *words],
            cwd=self.box.directory, env=self.environment, timeout=60, **given,
        )  # fmt: skip
        entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        said = "\n".join(entry["msg"] for entry in entries if entry["level"] == "error")
        return done.returncode, said

    def told(self, *words: str) -> str:
        """What a command prints."""
        output = self.box.directory / "output"
        with output.open("w") as stream:
            self(*words, stdout=stream)
        return output.read_text()

    def status(self) -> str:
        """The container's status, "" where there is none."""
        listed = json.loads(self.told("list", "--format", "json")) or []
        return str(listed[0]["status"]) if listed else ""

    def fifo(self) -> BinaryIO:
        """What the container reads from; written to without waiting for a reader."""
        return open(self.box.root / "tmp/go", "r+b", buffering=0)

    def tick(self) -> None:
        """Have it count one on, and see that it has not begun anew."""
        self.count += 1
        with self.fifo() as fifo:
            fifo.write(b"x\n")
            self.reaches(lambda: (self.box.root / "tmp/n").read_text() == f"{self.count}\n")

    def reaches(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()``."""
        ours.until(condition, f"the count is {(self.box.root / 'tmp/n').read_text()!r} and not {self.count}")

    def looks(self) -> list[str]:
        """What the container is like, as far as it must not change."""
        script = (
            "busybox cut -d' ' -f5,6 /proc/1/mountinfo; hostname; cat /proc/1/cgroup; ip link;"
            "grep -E '^(Cap|Seccomp:|NoNewPrivs|Uid|Gid|Groups)' /proc/1/status;"
            "cat /proc/1/limits /proc/1/oom_score_adj; ls /dev; busybox stat -c '%A %u:%g %n' /tmp/*"
        )
        found = self.told("exec", "c", "sh", "-c", script).splitlines()
        assert len(found) > 80, found
        # mounts are made again in another order
        return sorted(found)
