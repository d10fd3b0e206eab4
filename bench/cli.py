"""``python -m bench.cli``: what the command line costs over bare Python, against a stub server.

Medians in ms: the processor's time of the process, and the wall's, which has the stub's own answers in it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.unit.cli import stub
from tests.unit.cli.launch import command

ROUNDS = 41


_NULL = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]


def _timed(argv: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=_NULL)
    _, status, used = os.wait4(pid, 0)
    elapsed = time.perf_counter() - started
    assert status == 0, argv
    time.sleep(0.05)
    return (used.ru_utime + used.ru_stime) * 1000, elapsed * 1000


def measure(words: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """[processor, wall] of bare ``python -I -S`` and of a command, by turns."""
    routes = stub.container_routes(stub.frame(1, b"x\n")) | {
        "POST /containers/c/exec": lambda *_: stub.answer({"Id": "e"}),
        "POST /exec/e/start": lambda _, request: request.sock.sendall(stub.UPGRADED),
        "GET /exec/e/json": lambda *_: stub.answer({"ExitCode": 0}),
        "GET /containers/json": lambda *_: stub.answer([]),
    }
    bare: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as directory, stub.serving(Path(directory), routes) as daemon:
        for _ in range(ROUNDS):
            bare.append(_timed([sys.executable, "-I", "-S", "-c", "pass"]))
            ours.append(_timed(command(daemon.host, *words)))
    return [statistics.median(each) for each in zip(*bare, strict=True)], [
        statistics.median(each) for each in zip(*ours, strict=True)
    ]


def main() -> None:
    """Print a table."""
    print("| command | bare Python | with the command | over it: processor | wall |\n|---|---|---|---|---|")
    for words in (("run", "--rm", "busybox", "true"), ("exec", "c", "true"), ("ps", "-a")):
        bare, ours = measure(words)
        over = [mine - theirs for mine, theirs in zip(ours, bare, strict=True)]
        print(f"| `{' '.join(words)}` | {bare[0]:.1f} | {ours[0]:.1f} | {over[0]:.1f} | {over[1]:.1f} |")


if __name__ == "__main__":
    main()
