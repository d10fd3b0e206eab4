"""dockerode, Node's client, unmodified: one session of all that its programs do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests import ours

SESSION = Path(__file__).parent / "node" / "session.js"
MODULES = ours.ROOT / ".cache" / "node" / "node_modules"


def test_a_session(engine: ours.Engine, tmp_path: Path) -> None:
    assert MODULES.exists(), "dockerode is missing: scripts/setup dev installs it"
    (tmp_path / "Dockerfile").write_text("FROM busybox\nLABEL made='by node'\nRUN true\n")
    before = set(engine.cli("ps", "-aq").stdout.split())
    socket = engine.host.removeprefix("unix://")
    done = subprocess.run(
        ["node", "--unhandled-rejections=strict", str(SESSION), socket, str(tmp_path)],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_PATH": str(MODULES), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr
    ours.until(lambda: set(engine.cli("ps", "-aq").stdout.split()) <= before, "a container is left")
