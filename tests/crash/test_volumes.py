"""A daemon killed while it makes, mounts, fills, removes or restores volumes: the next one makes it whole."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import ours
from tests.crash.test_recovery import crashing, kill


def drop_all(engine: ours.Engine) -> None:
    """Containers, and volumes then; the daemon may be removing some of them itself."""
    for listing, removal in ((("ps", "-aq"), ("rm", "-f", "-v")), (("volume", "ls", "-q"), ("volume", "rm"))):

        def gone(listing: tuple[str, ...] = listing, removal: tuple[str, ...] = removal) -> bool:
            names = engine.cli(*listing).stdout.split()
            if names:
                engine.cli(*removal, *names)
            return not names

        ours.until(gone, f"{listing} shows some that cannot be removed")


def left(engine: ours.Engine) -> list[str]:
    data = engine.state / "data"
    names = [path for path in (data / "volumes").iterdir() if path.name != ".templates"]
    drafts = list((data / "volumes" / ".templates").glob("*.tmp"))
    rest = [*(data / "containers").iterdir(), *(data / "tmp").iterdir()]
    return [str(path) for path in (*names, *drafts, *rest)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_kill_amid_volumes_leaves_what_is_whole_and_nothing_else(tmp_path: Path, seed: int) -> None:
    with crashing(tmp_path, f"wv{seed}") as engine:
        archive = subprocess.run(["tar", "c", "-C", "/etc", "passwd"], capture_output=True, check=True).stdout

        def work(number: int) -> None:
            dice = random.Random(f"{seed} {number}")
            name = f"v{number}"
            options = dice.choice(
                ((), ("-o", "size=5m"), ("-o", f"size={3 + number}m"),
                 ("-o", "type=tmpfs", "-o", "device=tmpfs"))
            )  # fmt: skip
            for words, stdin in (
                (("volume", "create", *options, name), b""),
                (("run", "--rm", "-v", f"{name}:/etc", "busybox", "true"), b""),
                (("run", "--rm", "--storage-opt", "size=4m", "busybox", "touch", "/x"), b""),
                (("volume", "import", name), archive),
                (("volume", "rm", name), b""),
            ):
                try:
                    engine.cli(*words, stdin=stdin, timeout=15)
                except subprocess.TimeoutExpired:
                    return

        moment = threading.Event()
        with ThreadPoolExecutor(8) as pool:
            tasks = [pool.submit(work, number) for number in range(8)]
            moment.wait(random.Random(seed).uniform(0.3, 1.2))
            kill(engine)
            for each in tasks:
                each.result()
        engine.start()
        for name in engine.cli("volume", "ls", "-q").stdout.split():
            done = engine.cli("run", "--rm", "-v", f"{name}:/x", "busybox", "ls", "-A", "/x")
            assert done.returncode == 0, (name, done.stderr)
            assert "populating" not in done.stdout
        drop_all(engine)
        ours.until(lambda: left(engine) == [], str(left(engine)))
        ours.until(lambda: engine.loops() == [], str(engine.loops()))
        mounts = Path("/proc/self/mounts")
        ours.until(lambda: str(engine.state) not in mounts.read_text(), "something stays mounted")


def test_volumes_in_use_are_found_again_by_the_next_daemon(tmp_path: Path) -> None:
    with crashing(tmp_path, "wvu") as engine:
        engine.cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "mem")
        engine.cli("volume", "create", "-o", "size=8m", "disk")
        options = ("-v", "mem:/mem", "-v", "disk:/disk", "--storage-opt", "size=8m")
        done = engine.cli("run", "-d", "--name", "holds", *options, "busybox", "sleep", "1000")
        assert done.returncode == 0, done.stderr
        engine.cli("exec", "holds", "sh", "-c", "echo m > /mem/f; echo d > /disk/f; echo r > /f")
        kill(engine)
        engine.start()
        # one file, one device, one file system: a second one on it would destroy it
        assert engine.cli("exec", "holds", "sh", "-c", "echo more >> /disk/f").returncode == 0
        look = ("busybox", "cat", "/mem/f", "/disk/f")
        assert engine.cli("run", "--rm", "--volumes-from", "holds", *look).stdout == "m\nd\nmore\n"
        assert len([name for name in engine.loops() if name.endswith("volumes/disk/disk.ext4")]) == 1
        assert "A /f\n" in engine.cli("diff", "holds").stdout
        assert engine.cli("restart", "-t", "0", "holds").returncode == 0
        assert engine.cli("exec", "holds", "cat", "/f", "/disk/f").stdout == "r\nd\nmore\n"
        assert engine.cli("exec", "holds", "ls", "/mem").stdout == ""
        refused = engine.cli("volume", "rm", "disk")
        assert "volume is in use" in refused.stderr
        drop_all(engine)
        ours.until(lambda: engine.loops() == [], str(engine.loops()))


def test_disks_go_with_their_users_when_daemon_and_monitor_are_both_killed(tmp_path: Path) -> None:
    with crashing(tmp_path, "wvm") as engine:
        engine.cli("volume", "create", "-o", "size=8m", "disk")
        options = ("--name", "holds", "-v", "disk:/x", "--storage-opt", "size=8m")
        engine.cli("run", "-d", *options, "busybox", "sleep", "1000")
        pid = int(engine.cli("inspect", "-f", "{{.State.Pid}}", "holds").stdout)
        assert len(engine.loops()) == 2
        kill(engine)
        os.kill(pid, 9)
        ours.until(lambda: engine.loops() == [], str(engine.loops()))
        engine.start()
        assert engine.cli("run", "--rm", "-v", "disk:/x", "busybox", "touch", "/x/f").returncode == 0
        drop_all(engine)
