"""The power plug: what is done to the store ends at any of its steps, and nothing is lost or left over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conformance.registry import registries
from tests.crash import storework
from tests.crash.stores import Found, pull_the_plug, stores

PREPARED = {
    "load": [],
    "pull": [],
    "import_image": [],
    "commit": ["load"],
    "squash": ["load"],
    "rmi": ["load"],
    "prune": ["load", "import_image"],
    "repair": ["load"],
}
# fewer would mean that the points are not passed any more
LEAST = {
    "load": 20,
    "pull": 15,
    "import_image": 10,
    "commit": 9,
    "squash": 10,
    "rmi": 6,
    "prune": 12,
    "repair": 6,
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with registries.registry(directory) as address:
        layout = registries.layout(directory / "layout", storework.LAYERS[:2])
        asyncio.run(registries.push(layout, f"{address}/power:1"))
        yield address


@pytest.mark.parametrize("command", PREPARED)
def test_the_power_goes_at_every_step(tmp_path: Path, registry: str, command: str) -> None:
    def check(found: Found, at: str, _steps: Sequence[str]) -> None:
        assert command == "repair" or not found["problems"], (at, found["problems"])

    with stores(tmp_path, "storework", registry) as bench:
        written = bench.top / "upper" / "etc"
        written.mkdir(parents=True)
        (written / "written").write_bytes(b"by a container")
        bench.prepare("before", PREPARED[command])
        pull_the_plug(bench, command, LEAST, check)
