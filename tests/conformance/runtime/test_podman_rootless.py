"""Our runtime under a real Podman of an ordinary user: as the root of the user namespace that Podman makes.

Everything happens in mount and pid namespaces that end with the script, so that nothing of Podman's stays.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.rootless import FIRST, MANY, USER, as_user, stage
from tests.peers import busybox

LIMITS = "--network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024"


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    with stage() as made:
        home = made / "home"
        home.mkdir()
        os.chown(home, USER, USER)
        (made / "image.tar").write_bytes(busybox.tarball())
        words = " ".join(shlex.quote(word) for word in runtimes.ours(str(made / "src")).argv)
        launcher = made / "wharfie-runtime"
        launcher.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        launcher.chmod(0o755)
        yield made


def podman_user(top: Path, script: str) -> list[str]:
    """What the script's commands wrote, run by the user."""
    home = top / "home"
    begin = (
        f"p() {{ podman --root {home}/root --runroot {home}/run --tmpdir {home}/tmp --storage-driver=vfs"
        f' --cgroup-manager=cgroupfs --events-backend=file --runtime {top}/wharfie-runtime "$@"; }};'
        f" export HOME={home}; cd {home};"
    )
    alone = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--ipc")
    done = subprocess.run(
        [*alone, *as_user(top, home), "sh", "-c", begin + script], capture_output=True, text=True, timeout=80
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


def test_a_life_under_rootless_podman(top: Path) -> None:
    seen = podman_user(
        top,
        f"p import -q --change ENV=PATH=/bin {top}/image.tar box >/dev/null;"
        f"p run --rm {LIMITS} box sh -c 'id -u; cat /proc/self/uid_map; exit 7'; echo $?;"
        f"p run -d --name lives {LIMITS} box sh -c"
        " 'trap \"exit 3\" TERM; echo up; while :; do sleep 0.1; done' >/dev/null;"
        ' until [ "$(p logs lives)" = up ]; do :; done;'
        "p exec -u 5 lives id -u; p exec lives sh -c 'exit 5'; echo $?;"
        "p stop lives >/dev/null; p inspect -f '{{.State.ExitCode}}' lives; p rm lives >/dev/null; p ps -aq",
    )
    assert seen == f"0 0 {USER} 1 1 {FIRST} {MANY} 7 5 5 3".split()
