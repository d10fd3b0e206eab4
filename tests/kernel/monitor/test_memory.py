"""A monitor stays small: most of its memory is the spawner's, shared by all."""

from __future__ import annotations

import asyncio
import compileall
import statistics
import time
from pathlib import Path

import pytest

import wharfie
from bench.monitor_memory import all_logged, pss_kib
from tests.kernel.monitor.bench import Bench

MONITORS = 20
LINES = 1000
LIMIT_KIB = 1024


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """As an installation is: a spawner that had to compile its modules would keep the room that takes."""
    assert compileall.compile_dir(Path(wharfie.__file__).parent, quiet=1)


@pytest.mark.asyncio
async def test_twenty_monitors_take_little_memory_each_after_a_thousand_lines(bench: Bench) -> None:
    script = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; sleep 1000"
    links = [await bench.run("sh", "-c", script) for _ in range(MONITORS)]
    await all_logged(bench, links, LINES)
    deadline = time.monotonic() + 60
    # what a burst of output took is given back when it is over
    while (size := statistics.mean(pss_kib(link.monitor_pid) for link in links)) > LIMIT_KIB:
        assert time.monotonic() < deadline, f"{size} KiB each"
        await asyncio.sleep(0.05)
    for link in links:
        await link.signal(9)
        await link.exited
