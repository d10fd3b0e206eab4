"""``python -m bench.images``: loading, saving, committing and listing images beside Docker, in one run.

The archives are made beforehand, other content for each turn. Before each load the disk is synced: what one
engine has written is not paid for by the next. ext4 passes over inodes that were freed in the last minutes
one by one, which can take longer than all the rest: everything is on a file system of its own, and what the
turns made is removed after the last one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import imagedata, report
from bench.engines import engines as all_engines
from bench.measure import Engines, Numbers, settle

_COUNT = 500
_TURNS = 5


def load_big(engines: Engines, directory: Path) -> Numbers:
    """``load`` of an image of 800 MB in 19,000 files and three layers, s."""
    samples: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(_TURNS):
        archive = imagedata.image(directory, f"big{turn}", 3, 19_000, 800_000_000, first=10 * turn)
        for name, engine in engines.items():
            settle()
            samples[name].append(engine.timed("load", "-i", str(archive)))
        archive.unlink()
    _remove(engines, [f"big{turn}:1" for turn in range(_TURNS)])
    return {name: statistics.median(taken) for name, taken in samples.items()}


def save_and_load(engines: Engines, directory: Path) -> Numbers:
    """``save`` of a 200 MB image and ``load`` of that again, s."""
    samples: dict[str, list[float]] = {name: [] for name in engines}
    saved = directory / "saved.tar"
    for turn in range(_TURNS):
        name = f"middle{turn}:1"
        archive = imagedata.image(directory, f"middle{turn}", 2, 2_000, 200_000_000, first=100 + 10 * turn)
        for label, engine in engines.items():
            engine.call("load", "-i", str(archive))
            settle()
            taken = engine.timed("save", "-o", str(saved), name)
            engine.call("rmi", name)
            settle()
            samples[label].append(taken + engine.timed("load", "-i", str(saved)))
            saved.unlink()
        archive.unlink()
    _remove(engines, [f"middle{turn}:1" for turn in range(_TURNS)])
    return {name: statistics.median(taken) for name, taken in samples.items()}


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


def _remove(engines: Engines, names: list[str]) -> None:
    for engine in engines.values():
        engine.call("rmi", *names)


@contextmanager
def fresh_disk() -> Iterator[Path]:
    """An ext4 file system of its own, in a file."""
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as directory:
        disk, place = Path(directory, "disk"), Path(directory, "mounted")
        place.mkdir()
        disk.touch()
        os.truncate(disk, 16 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", str(disk)], check=True)
        subprocess.run(["mount", "-o", "loop", str(disk), str(place)], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)


def main() -> None:
    """Measure and print the table."""
    subprocess.run([str(Path(__file__).with_name("peers.sh"))], check=True)
    with fresh_disk() as state, all_engines(state) as running:
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
