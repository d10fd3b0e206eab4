"""What is measured. Each function takes all engines and returns one number for each, by turns.

Starts are spaced: back-to-back starts hide the waits for the kernel's grace periods that a person's do not.
"""

from __future__ import annotations

import mmap
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.engines import Engine, idle_memory, pss

PAUSE = 0.1
Engines = dict[str, Engine]
Numbers = dict[str, float]


def settle() -> None:
    """What was written before is on the disk, and there is memory for what comes.

    The host of a virtual machine gives memory page by page when it is first touched, at up to 2 µs each, and
    takes back what lies free for some seconds: whoever is measured would pay for it or not, as it happens.
    """
    os.sync()
    size = min(2 << 30, os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 2)
    touched = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
    touched.close()


def _by_turns(engines: Engines, once: Callable[[Engine], float], rounds: int) -> Numbers:
    """The median of ``rounds`` turns of each engine, alternately: they share the machine's moods."""
    samples: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds + 2):
        for name, engine in engines.items():
            value = once(engine)
            if turn >= 2:
                samples[name].append(value)
            time.sleep(PAUSE)
    return {name: statistics.median(values) for name, values in samples.items()}


def start(engines: Engines, rounds: int) -> Numbers:
    """``run --rm busybox true`` on the default bridge network, ms."""
    return _by_turns(engines, lambda engine: engine.timed("run", "--rm", "busybox", "true") * 1000, rounds)


def start_without_network(engines: Engines, rounds: int) -> Numbers:
    """``run --rm --network none busybox true``, ms."""
    words = ("run", "--rm", "--network", "none", "busybox", "true")
    return _by_turns(engines, lambda engine: engine.timed(*words) * 1000, rounds)


def start_detached(engines: Engines, rounds: int) -> Numbers:
    """``run -d busybox sleep``, ms; removal is not counted."""

    def once(engine: Engine) -> float:
        elapsed = engine.timed("run", "-d", "--name", "bench-d", "busybox", "sleep", "60")
        engine.call("rm", "-f", "bench-d")
        return elapsed * 1000

    return _by_turns(engines, once, rounds)


def execute(engines: Engines, rounds: int) -> Numbers:
    """``exec C true``, ms."""
    for engine in engines.values():
        engine.call("run", "-d", "--name", f"bench-x-{id(engine)}", "busybox", "sleep", "1000")
    result = _by_turns(
        engines, lambda engine: engine.timed("exec", f"bench-x-{id(engine)}", "true") * 1000, rounds
    )
    for engine in engines.values():
        engine.call("rm", "-f", f"bench-x-{id(engine)}")
    return result


def _many(engine: Engine, count: int, at_once: int) -> list[str]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: engine.call("run", "-d", "busybox", "sleep", "1000"), range(count)))


def parallel(engines: Engines) -> tuple[Numbers, Numbers]:
    """40 × ``run -d`` four at a time, and ``rm -f`` of 20 running, s."""
    starts, removals = {}, {}
    for name, engine in engines.items():
        before = time.perf_counter()
        containers = _many(engine, 40, 4)
        starts[name] = time.perf_counter() - before
        before = time.perf_counter()
        engine.call("rm", "-f", *containers[:20])
        removals[name] = time.perf_counter() - before
        engine.call("rm", "-f", *containers[20:])
        time.sleep(1)
    return starts, removals


def listing(engines: Engines, rounds: int, count: int = 60) -> Numbers:
    """``ps`` with ``count`` containers that run, ms."""
    # two command lines of one daemon list the same containers
    made = {
        name: _many(engine, count, 4) for name, engine in engines.items() if name != "docker cli on wharfie"
    }
    result = _by_turns(engines, lambda engine: engine.timed("ps") * 1000, rounds)
    for name, containers in made.items():
        engines[name].call("rm", "-f", *containers)
    return result


def memory(engines: Engines, count: int = 20) -> Numbers:
    """Pss of the process that holds a container, after 1,000 chunks of log each, MiB (mean of ``count``)."""
    script = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; sleep 1000"
    result = {}
    for name, engine in engines.items():
        containers = [engine.call("run", "-d", "busybox", "sh", "-c", script) for _ in range(count)]
        for container in containers:
            deadline = time.monotonic() + 60
            while "line 999" not in engine.call("logs", "--tail", "1", container):
                assert time.monotonic() < deadline, f"{name}: the log does not end"
        result[name] = statistics.mean(pss(engine.holder(container)) for container in containers)
        engine.call("rm", "-f", *containers)
    return result


def idle(engines: Engines) -> Numbers:
    """Pss of the daemons, no container running, MiB."""
    return {name: idle_memory(engine.daemons) for name, engine in engines.items() if engine.daemons}


LINES = (
    "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | head -c 200000000"
)


def log_attached(engines: Engines) -> Numbers:
    """200 MB of lines through an attached ``run``, s."""
    return {
        name: engine.timed("run", "--rm", "busybox", "sh", "-c", LINES) for name, engine in engines.items()
    }


def log_detached(engines: Engines) -> Numbers:
    """200 MB of lines detached, then ``logs`` of them all, s."""
    result = {}
    for name, engine in engines.items():
        before = time.perf_counter()
        engine.call("run", "-d", "--name", "bench-l", "busybox", "sh", "-c", LINES)
        engine.call("wait", "bench-l")
        with subprocess.Popen([*engine.command, "logs", "bench-l"], stdout=subprocess.PIPE) as reading:
            assert reading.stdout is not None
            size = 0
            while chunk := reading.stdout.read(1 << 20):
                size += len(chunk)
        result[name] = time.perf_counter() - before
        assert size == 200_000_000 or name in ("wharfie", "docker cli on wharfie"), (name, size)
        engine.call("rm", "-f", "bench-l")
    return result


def pipe(engines: Engines) -> Numbers:
    """204 MB of text through ``run -i … cat``, s."""
    result = {}
    data = b"0123456789" * 8 + b"\n"
    data *= 204_000_000 // len(data)
    for name, engine in engines.items():
        before = time.perf_counter()
        done = subprocess.run(
            [*engine.command, "run", "--rm", "-i", "busybox", "cat"], input=data, capture_output=True
        )
        result[name] = time.perf_counter() - before
        assert len(done.stdout) == len(data), (name, len(done.stdout), done.stderr[-300:])
    return result
