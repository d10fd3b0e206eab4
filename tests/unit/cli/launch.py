"""Runs the command line as a person's shell would: a process of its own, isolated, without site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3] / "src"


def command(host: str, *words: str, before: str = "", after: str = "") -> list[str]:
    """The argv; ``before`` is Python run first, ``after`` just before the process ends."""
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {before}\n"
    if after:
        end = f"def _end(code):\n    {after}\n    leave(code)\n"
        program += f"import posix\nleave = posix._exit\n{end}posix._exit = _end\n"
    program += "from wharfie.door import wharfie; wharfie()"
    return [sys.executable, "-I", "-S", "-c", program, "-H", host, *words]


def wharfie(
    host: str, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end."""
    return subprocess.run(command(host, *words), input=stdin, capture_output=True, timeout=30, env=env)
