"""``.venv/bin/python -m bench.builds [files] [stages] [large]``: our builds beside Docker's, of both kinds.

A context of 2,000 files without and with a cache, eight independent stages, a context of 500 MB; all of them,
or those that are named.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import ours
from tests.peers import docker

Builder = tuple[list[str], dict[str, str]]
"""The words before ``build``, and variables."""
ROUNDS = 3


def many_files(place: Path) -> None:
    """2,000 small files in forty directories."""
    for number in range(2000):
        path = place / f"d{number % 40}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number}\n" * 20)
    lines = ["FROM busybox", "COPY . /src", "RUN ls /src | wc -l", "ENV a=b", 'CMD ["sh"]']
    (place / "Dockerfile").write_text("\n".join(lines))


def eight_stages(place: Path) -> None:
    """Each works, and waits, for a moment; one takes from all."""
    place.mkdir()
    stages = [f"FROM busybox AS s{number}\nRUN echo {number} > /o && sleep 0.5" for number in range(8)]
    copies = [f"COPY --from=s{number} /o /o{number}" for number in range(8)]
    (place / "Dockerfile").write_text("\n".join([*stages, "FROM busybox", *copies]))


def large(place: Path) -> None:
    """500 MB that cannot be compressed."""
    place.mkdir()
    (place / "Dockerfile").write_text("FROM busybox\nCOPY big /big\n")
    with (place / "big").open("wb") as file:
        for _ in range(500):
            file.write(os.urandom(1 << 20))


@contextmanager
def builders(state: Path) -> Iterator[dict[str, Builder]]:
    """All that are compared, running."""
    docker.settings(state / "config")
    with (
        ours.engine(state / "ours", bridge="whm") as own,
        docker.dockerd(state / "peer", bridge="whpeer0") as host,
    ):
        docker.load_busybox(host)
        classic = [docker.docker_cli(), "--config", str(state / "config")]
        yield {
            "wharfie": ([ours.WHARFIE, "-H", own.host], {}),
            "docker CLI on wharfie, classic": ([*classic, "-H", own.host], {"DOCKER_BUILDKIT": "0"}),
            "docker CLI on wharfie, BuildKit": ([*classic, "-H", own.host], {"DOCKER_BUILDKIT": "1"}),
            "Docker, classic": ([*classic, "-H", host], {"DOCKER_BUILDKIT": "0"}),
            "Docker, BuildKit": ([*classic, "-H", host], {"DOCKER_BUILDKIT": "1"}),
        }


def once(builder: Builder, *words: str) -> float:
    """Seconds that one build takes."""
    command, variables = builder
    begun = time.perf_counter()
    done = subprocess.run([*command, "build", *words], capture_output=True, env={**os.environ, **variables})
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-500:])
    return time.perf_counter() - begun


def main() -> None:
    """Measure by turns, and print medians."""
    subprocess.run([str(Path(__file__).with_name("peers.sh"))], check=True)
    with tempfile.TemporaryDirectory(prefix="wharfie-bench-") as directory:
        state = Path(directory)
        for name, make in (("files", many_files), ("stages", eight_stages), ("large", large)):
            make(state / name)
        with builders(state) as all_builders:
            for what, name, words, rounds in (
                ("2,000 files, no cache", "files", ("--no-cache",), ROUNDS),
                ("2,000 files, all cached", "files", (), ROUNDS),
                ("eight stages, no cache", "stages", ("--no-cache",), ROUNDS),
                ("500 MB, no cache", "large", ("--no-cache",), 1),
            ):
                if sys.argv[1:] and name not in sys.argv[1:]:
                    continue
                numbers: dict[str, list[float]] = {label: [] for label in all_builders}
                for turn in range(rounds + 1):
                    for label, builder in all_builders.items():
                        taken = once(builder, "-t", "bench", *words, str(state / name))
                        if turn or rounds == 1:  # the first turn warms up
                            numbers[label].append(taken)
                    if rounds == 1:
                        break
                medians = {label: statistics.median(values) for label, values in numbers.items()}
                classic = medians["Docker, classic"]
                row = ", ".join(f"{label} {value:.2f} s" for label, value in medians.items())
                print(f"{what}: {row}; wharfie ÷ classic {medians['wharfie'] / classic:.2f}", flush=True)


if __name__ == "__main__":
    main()
