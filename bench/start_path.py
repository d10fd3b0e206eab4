"""``python -m bench.start_path``: where the milliseconds of one ``run --rm busybox true`` go.

Nothing in wharfie is instrumented: the kernel's own trace (tracefs: processes forked, executed and ended,
and the calls of the command line) gives the times, one clock for all processes. Medians of spaced runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import ours

TRACING = Path("/sys/kernel/tracing")
CONNECT, SENDTO = 42, 44
EVENT = re.compile(
    r"^\s*(?P<task>.+)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+(?P<time>[\d.]+): (?P<name>\w+): (?P<rest>.*)$"
)


class Event(NamedTuple):
    """One line of the trace; ``time`` in milliseconds."""

    time: float
    pid: int
    name: str
    rest: str


@contextlib.contextmanager
def tracing(pids: list[int]) -> Iterator[Path]:
    """A trace instance of our own that follows ``pids`` and all their children."""
    mounted = not (TRACING / "instances").exists()
    if mounted:
        subprocess.run(["mount", "-t", "tracefs", "nodev", str(TRACING)], check=True)
    instance = TRACING / "instances" / f"wharfie-{os.getpid()}"
    instance.mkdir()
    try:
        (instance / "trace_clock").write_text("mono")
        (instance / "options" / "event-fork").write_text("1")
        (instance / "set_event_pid").write_text(" ".join(map(str, pids)))
        (instance / "events/raw_syscalls/sys_enter/filter").write_text(f"id == {CONNECT} || id == {SENDTO}")
        for event in ("raw_syscalls/sys_enter", "sched/sched_process_fork", "sched/sched_process_exec",
                      "sched/sched_process_exit"):  # fmt: skip
            (instance / "events" / event / "enable").write_text("1")
        yield instance
    finally:
        instance.rmdir()
        if mounted:
            subprocess.run(["umount", str(TRACING)], check=False)


def parse(text: str) -> list[Event]:
    """The events of a trace, by time."""
    found = (EVENT.match(line) for line in text.splitlines() if not line.startswith("#"))
    return sorted(
        Event(float(match["time"]) * 1000, int(match["pid"]), match["name"], match["rest"])
        for match in found
        if match
    )


def stages(events: list[Event], cli: int) -> dict[str, float]:
    """From the events of one run to the milliseconds of each stage."""
    executed = [event for event in events if event.name == "sched_process_exec"]
    shell, python = [event for event in executed if event.pid == cli][:2]
    program = next(event for event in executed if "filename=/bin/true" in event.rest)
    init = next(e for e in events if e.name == "sched_process_fork" and f"child_pid={program.pid}" in e.rest)
    calls = [event for event in events if event.pid == cli and event.name == "sys_enter"]
    connect = next(event for event in calls if event.rest.startswith(f"NR {CONNECT} "))
    requests = [event for event in calls if event.rest.startswith(f"NR {SENDTO} ")]
    ended = next(e for e in events if e.name == "sched_process_exit" and e.pid == program.pid)
    last = next(e for e in reversed(events) if e.name == "sched_process_exit" and e.pid == cli)
    started = [event for event in requests if event.time < init.time][-1]
    return {
        "launcher (`sh`) to `exec python`": python.time - shell.time,
        "Python's start, options, up to `connect`": connect.time - python.time,
        "requests: create, attach, wait": started.time - connect.time,
        "start request: daemon, spawner, monitor: cgroup and sources, up to PID 1's `clone3`": init.time
        - started.time,
        "PID 1: mounts, devices, masks, network, pivot_root, filter, up to `execve`": program.time
        - init.time,
        "the program itself, up to its exit": ended.time - program.time,
        "exit noticed, container removed, command line ends": last.time - ended.time,
        "**total**": last.time - shell.time,
    }


def descendants(pid: int) -> list[int]:
    """A process and all below it: the daemon, its spawner and what stands by."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    found = [pid]
    for line in listed.splitlines() * 3:
        child, parent = map(int, line.split())
        if parent in found and child not in found:
            found.append(child)
    return found


def measure(engine: ours.Engine, rounds: int) -> dict[str, float]:
    """The median of each stage."""
    samples: list[dict[str, float]] = []
    for turn in range(rounds + 3):
        with tracing([os.getpid(), *descendants(engine.pid)]) as instance:
            command = [ours.WHARFIE, "-H", engine.host, "run", "--rm", "busybox", "true"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                process.wait()
            text = (instance / "trace").read_text()
        if turn >= 3:
            samples.append(stages(parse(text), process.pid))
        time.sleep(0.1)
    return {stage: statistics.median(sample[stage] for sample in samples) for stage in samples[0]}


def main() -> None:
    """Print the table."""
    with (
        tempfile.TemporaryDirectory(prefix="wharfie-path-") as state,
        ours.engine(Path(state), bridge="whp") as engine,
    ):
        result = measure(engine, 21)
    print("| stage | ms |\n|---|---|")
    for stage, value in result.items():
        print(f"| {stage} | {value:.1f} |")


if __name__ == "__main__":
    main()
