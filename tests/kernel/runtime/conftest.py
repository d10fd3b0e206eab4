"""A small root file system, and a way to run one container in it and see that nothing stays."""

from __future__ import annotations

import gc
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wharfie.linux.process import wait_pidfd
from wharfie.runtime.launch import Launch
from wharfie.runtime.parent import Container, create
from wharfie.spec import capabilities, mounts

APPLETS = (
    "sh",
    "true",
    "false",
    "cat",
    "echo",
    "id",
    "ls",
    "sleep",
    "stat",
    "touch",
    "mkdir",
    "hostname",
    "ip",
    "tty",
    "stty",
    "kill",
    "chmod",
    "readlink",
    "mknod",
    "grep",
    "wc",
    "ln",
    "rm",
    "uname",
    "pwd",
)


PASSWD = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n"


def make_root(directory: Path) -> Path:
    """A root file system with busybox and two users."""
    binary = shutil.which("busybox")
    assert binary, "busybox-static is needed"
    for name in ("bin", "etc", "tmp", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(binary, directory / "bin/busybox")
    for name in APPLETS:
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "etc/passwd").write_text(PASSWD)
    (directory / "etc/group").write_text("root:x:0:\nbob:x:1000:\nwheel:x:10:bob\n")
    return directory


def make_spec(args: list[str], **changes: Any) -> dict[str, Any]:
    """A configuration as the engine makes them; ``process`` and ``linux`` are merged in."""
    names = changes.pop("namespaces", ("pid", "network", "mount", "ipc", "uts", "cgroup"))
    process = {
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
        "capabilities": {name: list(capabilities.DEFAULT) for name in ("bounding", "effective", "permitted")},
        **changes.pop("process", {}),
    }
    linux = {
        "namespaces": [{"type": name} for name in names],
        "maskedPaths": list(mounts.MASKED_PATHS),
        "readonlyPaths": list(mounts.READONLY_PATHS),
        "resources": {},
        **changes.pop("linux", {}),
    }
    return {
        "ociVersion": "1.2.0",
        "process": process,
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": mounts.default_mounts() + changes.pop("mounts", []),
        "linux": linux,
        **changes,
    }


class Result(NamedTuple):
    """How a container ended and what it wrote."""

    code: int
    output: str


class Box:
    """Starts containers on overlays of one root and collects what they say."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = make_root(directory / "root")
        self.upper = directory / "upper"
        self.id = f"t{uuid.uuid4().hex[:10]}"
        self.cgroup = f"/wharfie-test/{self.id}"
        for name in ("upper", "work"):
            (directory / name).mkdir()

    def launch(self, spec: dict[str, Any], **more: Any) -> Launch:
        """A launch of ``spec`` on the overlay."""
        rootfs = {"lower": [str(self.root)], "upper": str(self.upper), "work": str(self.directory / "work")}
        more.setdefault("rootfs", rootfs)
        return Launch(self.id, spec, bundle=str(self.directory), cgroup=self.cgroup, **more)

    def start(self, spec: dict[str, Any], **more: Any) -> Container:
        """Create and start; the caller ends it."""
        return create(self.launch(spec, **more), start=True)

    def run(self, args: list[str] | str, *, launch: dict[str, Any] | None = None, **changes: Any) -> Result:
        """Run to the end, with its output."""
        words = ["sh", "-c", args] if isinstance(args, str) else args
        reader, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        with os.fdopen(reader, "rb") as stream:
            try:
                stdio = (null, writer, writer)
                container = self.start(make_spec(words, **changes), stdio=stdio, **(launch or {}))
            finally:
                os.close(writer)
                os.close(null)
            output = stream.read().decode(errors="replace")
        code = wait_pidfd(container.pidfd)
        container.destroy()
        container.close()
        assert code is not None
        return Result(code, output)


def leftovers(name: str) -> list[str]:
    """Mounts and cgroups that mention ``name``."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    # unlike a glob, this does not mind that others' cgroups vanish meanwhile
    return found + [top for top, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(top) == name]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A box that must leave no mount, cgroup, process or descriptor behind."""
    assert os.geteuid() == 0, "these tests need root"
    made = Box(tmp_path)
    gc.collect()  # descriptors of earlier tests go now, not in the middle
    before = set(os.listdir("/proc/self/fd"))
    # a test session may have an engine as its child, which may end
    children = set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    yield made
    assert leftovers(made.id) == []
    assert set(os.listdir("/proc/self/fd")) <= before, "descriptors were left open"
    assert set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()) <= children
