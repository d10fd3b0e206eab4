"""What a container writes goes with it, is listed by diff and kept by commit; the image stays."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tests import ours


def digest(directory: Path) -> str:
    """A digest over names, modes, owners, times and contents of a tree."""
    total = hashlib.sha256()
    for root, directories, files in os.walk(directory):
        directories.sort()
        for name in sorted(directories + files):
            path = Path(root) / name
            state = path.lstat()
            facts = (str(path), state.st_mode, state.st_uid, state.st_gid, state.st_size, state.st_mtime_ns)
            total.update(repr(facts).encode())
            if path.is_file() and not path.is_symlink():
                total.update(path.read_bytes())
    return total.hexdigest()


def test_the_image_is_never_changed(engine: ours.Engine) -> None:
    # only its own: others are made and removed meanwhile
    form = "{{range .GraphDriver.Data}}{{.}}:{{end}}"
    shown = engine.cli("image", "inspect", "-f", form, "busybox").stdout.strip()
    layers = [Path(name) for name in shown.split(":") if name and Path(name).exists()]
    assert layers, shown
    before = [digest(layer) for layer in layers]
    script = "echo x > /bin/new; rm /bin/ls; chmod 700 /etc/passwd; echo y >> /etc/group; mkdir -p /a/b"
    assert engine.cli("run", "--rm", "busybox", "sh", "-c", script).returncode == 0
    assert [digest(layer) for layer in layers] == before
    assert (
        engine.cli("run", "--rm", "busybox", "sh", "-c", "ls /bin/new /a; stat -c %a /etc/passwd").stdout
        == "644\n"
    )


def test_diff_lists_and_commit_keeps(engine: ours.Engine) -> None:
    script = "echo kept > /new; rm /bin/ls; echo y >> /etc/group"
    engine.cli("run", "--name", "writer", "busybox", "sh", "-c", script)
    try:
        listed = engine.cli("diff", "writer").stdout.splitlines()
        assert sorted(listed) == ["A /new", "C /bin", "C /etc", "C /etc/group", "D /bin/ls"]
        done = engine.cli("commit", "-m", "a new layer", "-c", 'CMD ["cat", "/new"]', "writer", "kept:1")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("sha256:")
    finally:
        engine.cli("rm", "writer")
    assert engine.cli("run", "--rm", "kept:1").stdout == "kept\n"
    assert engine.cli("run", "--rm", "kept:1", "sh", "-c", "test -e /bin/ls").returncode == 1
    assert len(engine.cli("history", "-q", "kept:1").stdout.split()) == 2
    assert engine.cli("rmi", "kept:1").returncode == 0
