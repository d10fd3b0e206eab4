"""Whatever the daemon was doing when it was killed, the next one makes it whole."""

from __future__ import annotations

import glob
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests import ours

ID = "{{.ID}} {{.Names}} {{.State}}"
OPTIONS = (
    ("-d",),
    (),
    ("--rm",),
    ("-d", "--restart", "always"),
    ("-v", "/anonymous", "--rm"),
    ("--ipc", "shareable"),
)
COMMANDS = (("true",), ("sh", "-c", "echo x; exit 3"))


@contextmanager
def crashing(state: Path, bridge: str) -> Iterator[ours.Engine]:
    """An engine whose daemon may be killed and started again; the last one is ended in order."""
    with ours.engine(state, bridge=bridge) as engine:
        try:
            yield engine
        finally:
            names = engine.cli("ps", "-aq").stdout.split()
            if names:
                engine.cli("rm", "-f", *names)
            engine.kill(signal.SIGTERM)


def pidfd(pid: int) -> int:
    return os.pidfd_open(pid)


def gone(fd: int, seconds: float = ours.PATIENCE) -> None:
    """Wait for the end of a process."""
    import select

    ended, _, _ = select.select([fd], [], [], seconds)
    os.close(fd)
    assert ended, "a process does not end"


def kill(engine: ours.Engine) -> None:
    """SIGKILL to the daemon; returns when it is gone."""
    engine.kill()


def state(engine: ours.Engine, name: str) -> str:
    return engine.cli("inspect", "-f", "{{.State.Status}}", name).stdout.strip()


def runs(engine: ours.Engine, name: str) -> bool:
    return state(engine, name) == "running"


def listed(engine: ours.Engine) -> dict[str, tuple[str, str]]:
    """Name to id and state, of every container."""
    rows = [line.split() for line in engine.cli("ps", "-a", "--no-trunc", "--format", ID).stdout.splitlines()]
    found = {name: (identifier, state) for identifier, name, state in rows}
    assert len(found) == len(rows), "a container is there twice"
    return found


def leftovers(engine: ours.Engine) -> dict[str, list[str]]:
    """What of containers is on the machine although none is known."""
    root = str(engine.state)
    ids = [path.name for path in (engine.state / "data" / "containers").iterdir()]
    return {
        "directories": ids,
        "run directories": [path.name for path in (engine.state / "exec" / "containers").iterdir()],
        "volumes": [path.name for path in (engine.state / "data" / "volumes").glob("*")],
        "tmp": [path.name for path in (engine.state / "data" / "tmp").iterdir()],
        "mounts": [line for line in Path("/proc/self/mounts").read_text().splitlines() if root in line],
        "links": [
            name
            for name in os.listdir("/sys/class/net")
            if os.path.realpath(f"/sys/class/net/{name}/master").endswith("/" + engine.bridge)
        ],
    }


def cgroups_of(identifiers: set[str]) -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(path) in identifiers]


def planned(seed: int, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options and command of one of the twenty."""
    one = random.Random(f"{seed} {number}")
    chosen = one.choice(OPTIONS)
    return chosen, ("sleep", "1000") if "-d" in chosen else one.choice(COMMANDS)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_kill_amid_twenty_runs_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    with crashing(tmp_path, f"wr{seed}") as engine:
        plans = [planned(seed, number) for number in range(20)]

        def run(number: int) -> None:
            chosen, command = plans[number]
            try:
                engine.cli("run", "--name", f"r{number}", *chosen, "busybox", *command, timeout=15)
            except subprocess.TimeoutExpired:
                return

        moment = threading.Event()
        with ThreadPoolExecutor(20) as pool:
            work = [pool.submit(run, number) for number in range(20)]
            moment.wait(random.Random(seed).uniform(0.1, 0.5))
            kill(engine)
            for each in work:
                each.result()
        engine.start()
        for number, (chosen, _) in enumerate(plans):
            if "-d" not in chosen:
                # what ends by itself may be at it, and what goes then on its way
                going = {"running", "exited"} if "--rm" in chosen else {"running"}
                ours.until(
                    lambda name=f"r{number}", going=going: state(engine, name) not in going,
                    f"r{number} stays",
                )
        known = listed(engine)
        ids = {identifier for identifier, _ in known.values()}
        for name, (identifier, status) in known.items():
            assert status in ("created", "running", "exited"), (name, status)
            pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout)
            assert (pid > 0) == (status == "running"), name
            if pid:
                assert identifier in Path(f"/proc/{pid}/cgroup").read_text()
                assert engine.cli("exec", name, "true").returncode == 0
            assert (engine.state / "data" / "containers" / identifier / "upper").is_dir()
        # a process of ours runs only in a container that is known to run
        running = {identifier for identifier, status in known.values() if status == "running"}
        place = f"{engine.state}/exec/containers"

        def monitors() -> set[str]:
            return {os.path.basename(os.path.dirname(one)) for one in glob.glob(f"{place}/*/monitor.sock")}

        ours.until(lambda: monitors() == running, f"{monitors()} have monitors, and {running} run")
        if known:
            done = engine.cli("rm", "-f", "-v", *known)
            assert done.returncode == 0, done.stderr
        assert listed(engine) == {}
        nothing: dict[str, list[str]] = {what: [] for what in leftovers(engine)}
        ours.until(lambda: leftovers(engine) == nothing, str(leftovers(engine)))
        ours.until(lambda: not cgroups_of(ids), "groups are left")


def test_policies_hold_across_a_kill(tmp_path: Path) -> None:
    with crashing(tmp_path, "wrp") as engine:
        cases = {
            "always": ("--restart", "always"),
            "unless": ("--restart", "unless-stopped"),
            "failure": ("--restart", "on-failure"),
            "no": (),
            "removed": ("--rm",),
            "stays": ("--rm",),
        }
        pids = {}
        for name, options in cases.items():
            done = engine.cli("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")
            assert done.returncode == 0, done.stderr
            pids[name] = int(engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout)
        for name in ("by-hand", "by-hand-always"):
            policy = "always" if name.endswith("always") else "unless-stopped"
            engine.cli("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000")
            engine.cli("stop", "-t", "0", name)
        kill(engine)
        for name in ("always", "unless", "failure", "no", "removed"):
            fd = pidfd(pids[name])
            os.kill(pids[name], signal.SIGKILL)
            gone(fd)
        engine.start()
        for name in ("always", "unless", "failure", "by-hand-always"):
            ours.until(partial(runs, engine, name), f"{name} was not started again")
        ours.until(lambda: state(engine, "no") == "exited", "its end is not noticed")
        assert engine.cli("inspect", "-f", "{{.State.ExitCode}}", "no").stdout == "137\n"
        assert state(engine, "by-hand") == "exited"
        assert state(engine, "stays") == "running"
        assert int(engine.cli("inspect", "-f", "{{.State.Pid}}", "stays").stdout) == pids["stays"]
        ours.until(lambda: engine.cli("inspect", "removed").returncode == 1, "--rm was forgotten")


def test_a_paused_container_stays_paused(tmp_path: Path) -> None:
    with crashing(tmp_path, "wrq") as engine:
        engine.cli("run", "-d", "--name", "frozen", "busybox", "sleep", "1000")
        assert engine.cli("pause", "frozen").returncode == 0
        kill(engine)
        engine.start()
        assert state(engine, "frozen") == "paused"
        assert engine.cli("unpause", "frozen").returncode == 0
        assert engine.cli("exec", "frozen", "echo", "thawed").stdout == "thawed\n"


def test_what_a_power_cut_leaves_is_swept(tmp_path: Path) -> None:
    with crashing(tmp_path, "wrz") as engine:
        engine.cli("create", "--name", "half", "busybox", "true")
        engine.cli("create", "--name", "whole", "busybox", "echo", "here")
        data, run = engine.state / "data", engine.state / "exec"
        half = engine.cli("inspect", "-f", "{{.Id}}", "half").stdout.strip()
        whole = engine.cli("inspect", "-f", "{{.Id}}", "whole").stdout.strip()
        kill(engine)
        # a removal that came as far as the files, and one that left its tree
        (data / "containers" / half).rename(data / "tmp" / f"removed-{half}")
        # a creation before its row, with the volume of it; a launch before its monitor
        stranger = "ab" * 32
        (data / "containers" / stranger / "upper").mkdir(parents=True)
        (data / "volumes" / stranger / "_data").mkdir(parents=True)
        (data / "volumes" / ".removed-1" / "_data").mkdir(parents=True)
        (run / "containers" / stranger).mkdir()
        (run / "containers" / whole).mkdir()
        groups = [Path(f"/sys/fs/cgroup/{kind}/{engine.bridge}/{stranger}") for kind in ("freezer", "pids")]
        for group in groups:
            group.mkdir(parents=True)
        # layers, blobs and files in the middle of being written
        (data / "tmp" / "layer-1" / "diff" / "x").mkdir(parents=True)
        (data / "tmp" / "half.tmp").write_text("half")
        (data / "layers" / ("cd" * 32) / "diff").mkdir(parents=True)
        (data / "blobs" / "sha256" / ("ef" * 32)).write_text("half a blob")
        engine.start()
        assert set(listed(engine)) == {"whole"}
        ours.until(lambda: os.listdir(data / "containers") == [whole], "containers are not swept")
        for place in (data / "volumes", data / "tmp", run / "containers", data / "blobs" / "sha256"):
            ours.until(lambda place=place: not list(place.iterdir()), f"{place} is not swept")
        ours.until(lambda: not (data / "layers" / ("cd" * 32)).exists(), "layers are not swept")
        ours.until(lambda: not any(group.exists() for group in groups), "groups are not swept")
        assert engine.cli("start", "-a", "whole").stdout == "here\n"


def test_a_stopped_daemon_leaves_containers_to_the_next(tmp_path: Path) -> None:
    with crashing(tmp_path, "wrs") as engine:
        engine.cli("run", "-d", "--name", "goes-on", "busybox", "sleep", "1000")
        pid = engine.cli("inspect", "-f", "{{.State.Pid}}", "goes-on").stdout
        old = pidfd(engine.pid)
        assert engine.cli("system", "stop").returncode == 0
        gone(old)
        assert Path(f"/proc/{pid.strip()}").exists()
        engine.start()
        assert engine.cli("inspect", "-f", "{{.State.Pid}}", "goes-on").stdout == pid
        assert engine.cli("exec", "goes-on", "echo", "alive").stdout == "alive\n"
