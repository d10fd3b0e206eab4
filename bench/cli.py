"""``python -m bench.cli``: what the command line costs over bare Python, against a stub server (ms)."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.unit.cli import stub
from tests.unit.cli.launch import command

ROUNDS = 41


def _timed(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    time.sleep(0.05)
    return (time.perf_counter() - started - 0.05) * 1000


def measure(words: tuple[str, ...]) -> tuple[float, float]:
    """Median milliseconds of bare ``python -I -S`` and of a command, by turns."""
    routes = stub.container_routes(stub.frame(1, b"x\n")) | {
        "POST /containers/c/exec": lambda *_: stub.answer({"Id": "e"}),
        "POST /exec/e/start": lambda _, request: request.sock.sendall(stub.UPGRADED),
        "GET /exec/e/json": lambda *_: stub.answer({"ExitCode": 0}),
        "GET /containers/json": lambda *_: stub.answer([]),
    }
    bare, ours = [], []
    with tempfile.TemporaryDirectory() as directory, stub.serving(Path(directory), routes) as daemon:
        for _ in range(ROUNDS):
            bare.append(_timed([sys.executable, "-I", "-S", "-c", "pass"]))
            ours.append(_timed(command(daemon.host, *words)))
    return statistics.median(bare), statistics.median(ours)


def main() -> None:
    """Print a table."""
    print("| command | bare Python | with the command | over it |\n|---|---|---|---|")
    for words in (("run", "--rm", "busybox", "true"), ("exec", "c", "true"), ("ps", "-a")):
        bare, ours = measure(words)
        print(f"| `{' '.join(words)}` | {bare:.1f} | {ours:.1f} | {ours - bare:.1f} |")


if __name__ == "__main__":
    main()
