"""Containers of an ordinary user whose interpreter is that user's own file (SECURITY 1)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.base import DEV, PROC, mount, namespaces
from tests.conformance.runtime.rootless import USER, own, stage

# what is executed cannot be written ("text file busy"): it is written when nothing runs from it any more
SHELL = """
while :; do
    said=$( (printf x 1<>/proc/self/fd/$FD) 2>&1 )
    case $said in *busy*) ;; *) break ;; esac
done
echo "$said" end
"""
ATTACK = f"""
import os
fd = os.open("/proc/self/exe", os.O_RDONLY)
os.set_inheritable(fd, True)
os.execve("/bin/sh", ["sh", "-c", {SHELL!r}], {{"FD": str(fd)}})
"""


@pytest.fixture
def top() -> Iterator[Path]:
    with stage() as made:
        yield made


def own_interpreter(top: Path) -> Path:
    """A copy that belongs to the user, as one that is installed below a home directory does."""
    place = top / "home/bin"
    place.mkdir(parents=True)
    program = place / "python"
    shutil.copy(runtimes.python(), program)
    (top / "home/pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(runtimes.python()))}\n")
    for path in (top / "home", place, program):
        os.chown(path, USER, USER)
    return program


def as_user(top: Path, *words: str) -> subprocess.CompletedProcess[str]:
    user = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(top / "home")}
    return subprocess.run([*user, *words], env=environment, capture_output=True, text=True, timeout=60)


def start(top: Path, program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return as_user(top, str(program), "-I", "-S", "-c", runtimes.BOOT, str(top / "src"), *words)


def bundle(top: Path, args: list[str]) -> Path:
    """A container that sees the host's programs, so that the interpreter finds its libraries."""
    made = top / "home/bundle"
    (made / "rootfs").mkdir(parents=True)
    for name in ("proc", "dev", "host"):
        (made / "rootfs" / name).mkdir()
    for name in ("bin", "lib", "lib64", "usr", "opt"):
        (made / "rootfs" / name).symlink_to(f"host/{name}")
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"args": args, "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]},
        "root": {"path": "rootfs"},
        "mounts": [PROC, DEV, mount("/host", "bind", "/", "rbind", "ro")],
        "linux": {
            "namespaces": namespaces("pid", "mount", "user"),
            "uidMappings": [own()],
            "gidMappings": [own()],
        },
    }
    (made / "config.json").write_text(json.dumps(spec))
    for path in (made, *made.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    return made


def test_a_rootless_image_cannot_write_its_users_interpreter(top: Path) -> None:
    program = own_interpreter(top)
    before = program.read_bytes()
    made = bundle(top, ["/proc/self/exe", "-I", "-S", "-c", ATTACK])
    done = start(top, program, "run", "--detach", "--bundle", str(made), "box")
    assert "printf: " in done.stdout, done.stderr
    assert start(top, program, "delete", "--force", "box").returncode == 0
    assert program.read_bytes() == before


def test_that_attack_would_write_it_otherwise(top: Path) -> None:
    program = own_interpreter(top)
    done = as_user(top, str(program), "-I", "-S", "-c", ATTACK)
    assert done.stdout == " end\n", done.stderr
    assert program.read_bytes()[:1] == b"x"


def test_an_interpreter_of_roots_that_others_may_write_is_not_run_from(top: Path) -> None:
    program = own_interpreter(top)
    tell = (
        "import sys; sys.path.insert(0, sys.argv[1]); from wharfie.runtime import interpreter;"
        "interpreter._BOOT = 'print(\"again\")'; interpreter.ensure_read_only([]); print('stays')"
    )
    seen = []
    for owner, mode in ((0, 0o755), (0, 0o777), (USER, 0o555)):
        os.chown(program, owner, owner)
        program.chmod(mode)
        seen.append(as_user(top, str(program), "-I", "-S", "-c", tell, str(top / "src")).stdout)
    assert seen == ["stays\n", "again\n", "again\n"]
