"""Our runtime by way of ``forkserver.py``, for where hundreds of cold starts would take too long."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.runtime.harness import Done

SOURCE = Path(__file__).resolve().parents[3] / "src"


class Forked:
    """A runtime as the suite wants one; one command at a time."""

    name = "wharfie-runtime"

    def __init__(self, server: subprocess.Popen[str], user: int = 0) -> None:
        self._server = server
        self._user = user

    def of(self, user: int) -> Forked:
        """The same, run by somebody else."""
        return Forked(self._server, user)

    def __call__(self, words: list[str], directory: Path, terminal: int | None = None) -> Done:
        assert terminal is None, "no terminal goes through the server"
        assert self._server.stdin
        assert self._server.stdout
        job = {"words": words, "directory": str(directory), "user": self._user}
        print(json.dumps(job), file=self._server.stdin, flush=True)
        code = int(self._server.stdout.readline())
        read = [(directory / name).read_text(errors="replace") for name in ("stdout", "stderr")]
        return Done(code, *read)


@contextmanager
def forked() -> Iterator[Forked]:
    """A server for as long as it is needed."""
    program = Path(__file__).with_name("forkserver.py")
    server = subprocess.Popen(
        [sys._base_executable, "-I", "-S", str(program), str(SOURCE)],  # type: ignore[attr-defined]
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Forked(server)
    finally:
        assert server.stdin
        assert server.stdout
        server.stdin.close()
        server.wait(30)
        server.stdout.close()
