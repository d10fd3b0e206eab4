"""``python -m bench.images``: loading, saving, committing and listing images beside Docker, in one run.

The archives are made beforehand. Between an engine's turns the disk is synced: what one engine has written
or removed is not paid for by the next. ext4 looks twice at inodes that were freed a minute ago, so what a
turn made is removed only after the last one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench import imagedata, report
from bench.engines import engines as all_engines
from bench.measure import Engines, Numbers

_COUNT = 500


def load_big(engines: Engines, directory: Path) -> Numbers:
    """``load`` of an image of 800 MB in 19,000 files and three layers, s."""
    archive = imagedata.image(directory, "big", layers=3, files=19_000, size=800_000_000)
    found = {}
    for name, engine in engines.items():
        os.sync()
        found[name] = engine.timed("load", "-i", str(archive))
    _remove(engines, "big:1")
    archive.unlink()
    return found


def save_and_load(engines: Engines, directory: Path) -> Numbers:
    """``save`` of a 200 MB image and ``load`` of that again, s."""
    archive = imagedata.image(directory, "middle", layers=2, files=2_000, size=200_000_000)
    found = {}
    for name, engine in engines.items():
        engine.call("load", "-i", str(archive))
        saved = directory / "saved.tar"
        os.sync()
        found[name] = engine.timed("save", "-o", str(saved), "middle:1")
        engine.call("rmi", "middle:1")
        os.sync()
        found[name] += engine.timed("load", "-i", str(saved))
        saved.unlink()
    _remove(engines, "middle:1")
    archive.unlink()
    return found


def commit(engines: Engines) -> Numbers:
    """``commit`` of 20 MB that a container wrote, ms."""
    script = "dd if=/dev/urandom of=/blob bs=1M count=20 2>/dev/null"
    found = {}
    for name, engine in engines.items():
        container = f"bench-commit-{id(engine)}"
        engine.call("run", "--name", container, "--network", "none", "busybox", "sh", "-c", script)
        samples = [engine.timed("commit", container, f"committed:{turn}") for turn in range(7)]
        found[name] = statistics.median(samples[2:]) * 1000
        engine.call("rm", container)
        engine.call("rmi", *(f"committed:{turn}" for turn in range(7)))
    return found


def listing(engines: Engines, directory: Path) -> Numbers:
    """``images`` with 500 of them, ms."""
    archive = imagedata.many(directory, _COUNT)
    found = {}
    for name, engine in engines.items():
        engine.call("load", "-i", str(archive))
        found[name] = statistics.median([engine.timed("images") for _ in range(9)]) * 1000
        engine.call("rmi", *(f"many{number}:1" for number in range(_COUNT)))
    archive.unlink()
    return found


def _remove(engines: Engines, name: str) -> None:
    for engine in engines.values():
        engine.call("rmi", name)


def main() -> None:
    """Measure and print the table."""
    subprocess.run([str(Path(__file__).with_name("peers.sh"))], check=True)
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as directory:
        state = Path(directory)
        with all_engines(state) as running:
            two = {name: running[name] for name in ("wharfie", "docker")}
            rows = [
                report.Row("`load`, 800 MB, 19,000 files", "s", load_big(two, state), 0.35),
                report.Row("`save` and `load`, 200 MB", "s", save_and_load(two, state), 0.2),
                report.Row("`commit` of 20 MB", "ms", commit(two), 0.6),
                report.Row("`images`, 500 of them", "ms", listing(two, state), 1.0),
            ]
    print(report.table(rows))


if __name__ == "__main__":
    main()
