"""Two hundred lives in parallel, failures on purpose among them, leave the machine as it was."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tests import ours

# how a life goes wrong, or right, and docker's exit code for it
LIVES = (
    (("true",), (), 0),
    (("sh", "-c", "exit 3"), (), 3),
    (("nosuchcommand",), (), 127),
    (("/etc/passwd",), (), 126),
    (("true",), ("-u", "nosuchuser"), 125),
    (("true",), ("-w", "/etc/passwd"), 125),
    (("true",), ("--mount", "type=bind,source=/nosuch/source,target=/x"), 125),
    (("true",), ("-v", "/etc/passwd:/etc"), 125),
    (("true",), ("--cpuset-cpus", "999"), 125),
    (("true",), ("--network", "none"), 0),
)


def facts(engine: ours.Engine) -> dict[str, object]:
    """What must be the same before and after; only what is this engine's, others may be at work too."""
    cgroups = [root for root, _, _ in os.walk("/sys/fs/cgroup") if f"/{engine.bridge}" in root]
    links = os.listdir(f"/sys/class/net/{engine.bridge}/brif")
    tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    own = [line.split()[1:] for line in tables.splitlines() if engine.bridge in line]
    rules = [subprocess.run(["nft", "list", "table", *table], check=True, capture_output=True).stdout
             for table in own]  # fmt: skip
    state = str(engine.state)
    daemon = engine.pid
    return {
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if state in line],
        "daemon's mounts": [
            line for line in Path(f"/proc/{daemon}/mounts").read_text().splitlines() if state in line
        ],
        "cgroups": sorted(cgroups),
        "links": links,
        "rules": rules,
        "processes": sorted(line for line in ours.processes().values() if state in line),
        "descriptors": len(os.listdir(f"/proc/{daemon}/fd")),
        "spawner's descriptors": [count for pid in children(daemon) if (count := descriptors(pid))],
        "directories": sorted(
            str(path.relative_to(engine.state))
            for directory in ("data/containers", "exec/containers", "data/volumes", "data/tmp")
            for path in (engine.state / directory).glob("*")
        ),
    }


def children(pid: int) -> list[str]:
    """The processes that a process has forked: the daemon's one child is its spawner."""
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += (task / "children").read_text().split()
    return found


def descriptors(pid: str) -> int:
    """How many a process has open; 0 when it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def live(engine: ours.Engine, number: int) -> None:
    command, options, wanted = LIVES[number % len(LIVES)]
    if number % 3 == 0:
        # step by step, started and stopped while it runs
        name = f"leak{number}"
        assert engine.cli("create", "--name", name, "busybox", "sleep", "100").returncode == 0
        assert engine.cli("start", name).returncode == 0
        assert engine.cli("stop", "-t", "0", name).returncode == 0
        assert engine.cli("rm", name).returncode == 0
        return
    done = engine.cli("run", "--name", f"leak{number}", *options, "busybox", *command)
    assert done.returncode == wanted, (number, done.returncode, done.stderr)
    # docker leaves a container whose start failed in the state "created"
    engine.cli("rm", "-f", f"leak{number}")


def settled(engine: ours.Engine) -> dict[str, object]:
    """The facts once the kernel has taken down what ended: the last network devices go in its own time."""
    deadline = time.monotonic() + 60
    last: dict[str, object] = {}
    while (found := facts(engine)) != last or found["links"]:
        assert time.monotonic() < deadline, found["links"]
        last = found
        time.sleep(0.3)
    return found


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with ours.engine(tmp_path, bridge="whl") as engine:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: live(engine, number), range(20)))
        before = settled(engine)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: live(engine, number), range(200)))
        deadline = time.monotonic() + 60
        while (after := facts(engine)) != before and time.monotonic() < deadline:
            time.sleep(0.2)  # namespaces, and with them veths, are taken down by the kernel in its own time
        for what, value in before.items():
            assert after[what] == value, what
