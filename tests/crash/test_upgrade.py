"""An upgrade takes our files away under running containers: the tree is renamed, as packagers do it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.monitor.bench import Bench, Client
from tests.kernel.runtime.conftest import Box, box, make_spec
from wharfie.monitor import interpreter
from wharfie.monitor.client import reconnect

__all__ = ["box"]
ROOT = Path(__file__).resolve().parents[2]


def install(place: Path) -> Path:
    """A virtual environment with our package, as an installation lays it out; its site-packages."""
    packages = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    shutil.copytree(ROOT / "src/wharfie", packages / "wharfie", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "bin").mkdir()
    real = os.path.realpath(sys.executable)
    (place / "bin/python").symlink_to(real)
    (place / "pyvenv.cfg").write_text(f"home = {os.path.dirname(real)}\n")
    shutil.copy(ROOT / "scripts/wharfie-runtime", place / "bin")
    (place / "bin/wharfie-runtime").chmod(0o755)
    return packages


async def test_monitors_need_none_of_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_SOURCE", str(install(tmp_path / "venv")))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    bench = Bench(tmp_path)
    await bench.start_spawner()
    try:
        script = "trap 'echo ending; exit 9' TERM; echo up; sleep 1000 & wait"
        link = await bench.run("sh", "-c", script)
        log = bench.log(link.id)
        await asyncio.to_thread(
            ours.until, lambda: log.exists() and "up" in log.read_text(), "it says nothing"
        )
        os.rename(tmp_path / "venv", tmp_path / "replaced")
        client = Client()
        handle = await link.exec(
            "e1",
            {
                "args": ["sh", "-c", "echo inside; exit 5"],
                "env": ["PATH=/bin"],
                "cwd": "/",
                "user": {"uid": 0, "gid": 0},
                "terminal": False,
                "capabilities": {},
            },
            attachments=[client.attachment],
            fds=[client.theirs.fileno()],
        )
        client.handed_over()
        assert b"inside\n" in await client.read_all()
        assert await handle.exited == 5
        link.close()
        again = await reconnect(link.directory)
        assert again is not None
        await again.signal(15)
        assert (await again.exited).exit_code == 9
        assert bench.logged(link.id).split() == ["up", "ending"]
        # and the spawner makes new ones until it is replaced, too
        assert (await (await bench.run("sh", "-c", "exit 3")).exited).exit_code == 3
    finally:
        await bench.spawner.close()


def test_the_runtime_goes_on_with_what_another_tree_began(box: Box, tmp_path: Path) -> None:
    install(tmp_path / "venv")
    spec = make_spec(["sleep", "1000"], linux={"cgroupsPath": box.cgroup})
    spec["root"]["path"] = "root"
    (box.directory / "config.json").write_text(json.dumps(spec))

    def command(tree: str, *words: str) -> str:
        with open(tmp_path / "said", "w+") as said:
            head = [str(tmp_path / tree / "bin/wharfie-runtime"), "--root", str(tmp_path / "state")]
            subprocess.run(
                [*head, *words],
                cwd=box.directory,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=said,
                timeout=60,
            )
            said.seek(0)
            return said.read()

    command("venv", "create", "one")
    os.rename(tmp_path / "venv", tmp_path / "replaced")
    install(tmp_path / "venv")
    command("venv", "start", "one")
    assert command("venv", "exec", "one", "hostname") == "box\n"
    os.rename(tmp_path / "venv", tmp_path / "replaced-again")
    assert json.loads(command("replaced", "state", "one"))["status"] == "running"
    assert command("replaced", "exec", "one", "hostname") == "box\n"
    command("replaced", "delete", "--force", "one")
