"""A container makes a tree five thousand directories deep: nothing of the engine stumbles over it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import docker

from tests import ours

DEPTH = 5005
# a path of this length cannot be named: five that can be are put into each other
SCRIPT = """
set -e
p=; i=0
while [ $i -lt 1000 ]; do p=d/$p; i=$((i+1)); done
mkdir -p t1/$p
echo x > t1/${p}bottom
for k in 2 3 4 5; do mkdir -p t$k/$p; mv t$((k-1)) t$k/$p; done
"""
BOTTOM = "".join(f"t{k}/" + "d/" * 1000 for k in (5, 4, 3, 2, 1)) + "bottom"


def test_it_is_listed_exported_refused_as_a_layer_and_removed(engine: ours.Engine, tmp_path: Path) -> None:
    done = engine.cli("run", "--name", "deep", "-w", "/home", "busybox", "sh", "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    listed = engine.cli("diff", "deep").stdout.splitlines()
    assert len(listed) == DEPTH + 2
    assert listed[-1] == "A /home/" + BOTTOM
    client = docker.APIClient(base_url=engine.host, version="1.41")
    with (tmp_path / "out.tar").open("wb") as file:
        for piece in client.export("deep"):
            file.write(piece)
    client.close()
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert "home/" + BOTTOM in archive.getnames()
    # a layer that no other engine could unpack is refused, in words
    committed = engine.cli("commit", "deep", "deep:1")
    assert committed.returncode == 1
    assert "the archive has" in committed.stderr
    identifier = engine.cli("inspect", "-f", "{{.Id}}", "deep").stdout.strip()
    assert engine.cli("rm", "deep").returncode == 0
    tmp = engine.state / "data" / "tmp"
    ours.until(lambda: not list(tmp.iterdir()), "the tree is still there")
    assert not (engine.state / "data" / "containers" / identifier).exists()


def test_as_many_levels_as_a_path_can_name_are_committed_and_come_back(
    engine: ours.Engine, tmp_path: Path
) -> None:
    script = (
        "p=; i=0; while [ $i -lt 1900 ]; do p=d/$p; i=$((i+1)); done; mkdir -p /home/$p; echo x > /home/${p}f"
    )
    done = engine.cli("run", "--name", "levels", "busybox", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    committed = engine.cli("commit", "levels", "levels:1")
    assert committed.returncode == 0, committed.stderr
    assert engine.cli("save", "-o", str(tmp_path / "levels.tar"), "levels:1").returncode == 0
    engine.cli("rm", "levels")
    engine.cli("rmi", "levels:1")
    assert engine.cli("load", "-i", str(tmp_path / "levels.tar")).returncode == 0
    bottom = engine.cli("run", "--rm", "levels:1", "cat", "/home/" + "d/" * 1900 + "f")
    assert bottom.stdout == "x\n", bottom.stderr
    assert engine.cli("system", "check").returncode == 0
    engine.cli("rmi", "levels:1")
