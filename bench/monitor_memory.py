"""Memory of monitors: the PSS of each of 20 from one spawner, after 1,000 chunks of output each.

Run as root from the tree's top: ``PYTHONPATH=src:. python bench/monitor_memory.py [count] [chunks]``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.kernel.monitor.bench import Bench, bench_in
from wharfie.monitor.client import MonitorLink

LINE = "x" * 70


def pss_kib(pid: int) -> int:
    """Proportional set size of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no Pss")


async def all_logged(bench: Bench, links: list[MonitorLink], lines: int) -> None:
    """Wait until each container's last line is in its log."""
    for link in links:
        while True:
            text = bench.log(link.id).read_bytes() if bench.log(link.id).exists() else b""
            if text.count(b"\n") >= lines:
                break
            await asyncio.sleep(0.05)


async def main(count: int, chunks: int) -> None:
    """Measure and print."""
    script = f"i=0; while [ $i -lt {chunks} ]; do echo {LINE}; i=$((i+1)); done; sleep 1000"
    with tempfile.TemporaryDirectory() as directory:
        async with bench_in(Path(directory)) as bench:
            links = [await bench.run("sh", "-c", script) for _ in range(count)]
            await all_logged(bench, links, chunks)
            # a monitor gives back what a burst of output took when it is over
            await asyncio.sleep(1)
            sizes = [pss_kib(link.monitor_pid) for link in links]
            spawner = pss_kib(bench.spawner.pid)
            for link in links:
                await link.signal(9)
            await asyncio.gather(*(link.exited for link in links))
    result = {
        "monitors": count,
        "chunks": chunks,
        "pss_kib_median": statistics.median(sizes),
        "pss_kib_max": max(sizes),
        "spawner_pss_kib": spawner,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(*(int(argument) for argument in sys.argv[1:3] or ("20", "1000"))))
