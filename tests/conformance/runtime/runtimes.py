"""The runtimes that the suite runs against: ours, and the distribution's."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conformance.runtime.harness import Program

SOURCE = str(Path(__file__).resolve().parents[3] / "src")
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie.door import runtime; runtime()"
# crun refuses hybrid control groups while version 2 holds a controller
WITHOUT_UNIFIED = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun "$@"'


def python() -> str:
    """The distribution's interpreter starts faster than most others."""
    return sys._base_executable  # type: ignore[attr-defined,no-any-return]


def ours(source: str = SOURCE) -> Program:
    """``wharfie-runtime`` of this tree, or of a copy."""
    return Program("wharfie-runtime", python(), "-I", "-S", "-c", BOOT, source)


def launcher(directory: Path) -> Path:
    """A program that other engines can be given as a runtime: ours, with a state directory of its own."""
    path = directory / "wharfie-runtime"
    words = " ".join(shlex.quote(word) for word in ours().argv)
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)
    return path


def peers() -> list[Program]:
    """The runtimes of other people that are on this machine."""
    found = []
    if shutil.which("runc"):
        found.append(Program("runc", "runc"))
    if shutil.which("crun"):
        found.append(Program("crun", "unshare", "--mount", "sh", "-c", WITHOUT_UNIFIED, "crun"))
    return found


def version(program: Program) -> str:
    """A runtime's version, as it says itself."""
    done = subprocess.run([program.argv[0] if len(program.argv) == 1 else program.name, "--version"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.split("\n")[0].split()[-1]
