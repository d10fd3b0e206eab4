"""A whole container of the runtime on control groups version 2; runs inside the virtual machine only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from wharfie.linux.process import wait_pidfd
from wharfie.runtime.cgroups.layout import layout
from wharfie.runtime.launch import Launch
from wharfie.runtime.parent import create

MIB = 1 << 20


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root with busybox."""
    root = tmp_path / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for name in ("sh", "cat", "sleep", "head", "tail", "true"):
        os.symlink("busybox", root / "bin" / name)
    return root


def spec(rootfs: Path, script: str, resources: dict[str, Any]) -> dict[str, Any]:
    kinds = ("pid", "mount", "network", "uts", "ipc", "cgroup")
    return {
        "ociVersion": "1.2.0",
        "root": {"path": str(rootfs)},
        "hostname": "guest",
        "process": {
            "args": ["/bin/sh", "-c", script],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {},
        },
        "mounts": [
            {
                "destination": "/proc",
                "type": "proc",
                "source": "proc",
                "options": ["nosuid", "noexec", "nodev"],
            },
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in kinds], "resources": resources},
    }


def run(rootfs: Path, script: str, resources: dict[str, Any]) -> tuple[int, str, int]:
    """Exit status, output, processes killed for want of memory."""
    reader, writer = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    launch = Launch(
        "guest", spec(rootfs, script, resources), cgroup="/wharfie/guest", stdio=(null, writer, writer)
    )
    try:
        container = create(launch, start=True)
    finally:
        os.close(writer)
        os.close(null)
    with os.fdopen(reader, "rb") as output:
        text = output.read().decode()
    status = wait_pidfd(container.pidfd)
    kills = container.cgroup.oom_kills()
    container.destroy()
    assert not container.cgroup.exists()
    assert status is not None
    return status, text, kills


def test_the_machine_has_version_two_only() -> None:
    assert layout().mode == "v2"


def test_a_container_is_born_in_its_group(rootfs: Path) -> None:
    status, text, _ = run(rootfs, "cat /proc/self/cgroup; echo $$", {})
    assert (status, text) == (0, "0::/\n1\n")


def test_a_container_meets_its_limits(rootfs: Path) -> None:
    resources = {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}, "pids": {"limit": 30}}
    status, _, kills = run(rootfs, "head -c 200000000 /dev/zero | tail; echo $?", resources)
    assert kills >= 1, status


def test_nothing_stays_mounted(rootfs: Path) -> None:
    before = subprocess.run(["cat", "/proc/mounts"], capture_output=True, check=True).stdout
    run(rootfs, "true", {"devices": [{"allow": False, "access": "rwm"}]})
    assert subprocess.run(["cat", "/proc/mounts"], capture_output=True, check=True).stdout == before
