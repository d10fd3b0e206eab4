"""A container of busybox for the monitor's tests: a root directory, a spec, and a spawner of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests import ours
from wharfie.monitor.client import Attachment, LaunchRequest, MonitorLink, Spawner
from wharfie.support.ids import new_id

APPLETS = (
    "sh",
    "cat",
    "echo",
    "sleep",
    "true",
    "false",
    "kill",
    "head",
    "yes",
    "dd",
    "stty",
    "tty",
    "trap",
    "seq",
)


def make_rootfs(directory: Path) -> Path:
    """A root directory with busybox and little else."""
    root = directory / "rootfs"
    for name in ("bin", "proc", "dev", "sys", "tmp", "etc", "work"):
        (root / name).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (root / "bin/busybox").chmod(0o755)
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    return root


def spec_of(root: Path, args: Sequence[str], *, terminal: bool = False, **changes: Any) -> dict[str, Any]:
    """An OCI specification with the usual namespaces."""
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
    ]
    namespaces = [
        {"type": kind} for kind in changes.pop("namespaces", ("pid", "mount", "uts", "ipc", "network"))
    ]
    return {
        "ociVersion": "1.2.0",
        "hostname": "box",
        "root": {"path": str(root)},
        "process": {
            "terminal": terminal,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin", "HOME=/"],
            "cwd": "/",
            "capabilities": {
                kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted")
            },
        },
        "mounts": mounts,
        "linux": {"namespaces": namespaces, "resources": {}, **changes},
    }


class Bench:
    """Launches containers and knows where their things are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = make_rootfs(directory)
        self.spawner: Spawner
        self.links: list[MonitorLink] = []
        (directory / "exec").mkdir()

    async def start_spawner(self) -> Spawner:
        self.spawner = await Spawner.start(
            exec_root=str(self.directory / "exec"), interpreter=[sys.executable]
        )
        return self.spawner

    def log(self, link_id: str) -> Path:
        return self.directory / f"{link_id}-json.log"

    def request(self, args: Sequence[str], **options: Any) -> LaunchRequest:
        """A request to run ``args``."""
        identifier = options.pop("id", None) or new_id()
        place = self.directory / "exec" / "containers" / identifier
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        tty = options.get("tty", False)
        changes = options.pop("linux", {})
        log = {
            "driver": "json-file",
            "path": str(self.log(identifier)),
            "max_size": 0,
            "max_file": 1,
            "attrs": {},
        }
        return LaunchRequest(
            id=identifier,
            spec=spec_of(self.root, args, terminal=tty, **changes),
            bundle=str(self.directory),
            directory=str(place),
            cgroup=f"/wharfie-test/{identifier}",
            log=options.pop("log", log),
            **options,
        )

    async def run(self, *args: str, fds: Sequence[int] = (), **options: Any) -> MonitorLink:
        """Launch a container."""
        link = await self.spawner.launch(self.request(args, **options), fds)
        self.links.append(link)
        return link

    def logged(self, link_id: str) -> str:
        """What the log says, as text."""
        import json

        return "".join(json.loads(line)["log"] for line in self.log(link_id).read_text().splitlines())


@asynccontextmanager
async def bench_in(directory: Path) -> AsyncIterator[Bench]:
    """A bench with a running spawner, and nothing left of it afterwards."""
    bench = Bench(directory)
    await bench.start_spawner()
    try:
        yield bench
    finally:
        for link in bench.links:
            # what a failed test left running
            if alive(link.pid) and not link.exited.done():
                os.kill(link.pid, 9)
                await gone(link.monitor_pid)
        if not bench.spawner.died.done():
            await bench.spawner.close()
        print((directory / "exec/spawner.log").read_text())


class Client:
    """The far end of an attachment's stream."""

    def __init__(self, **attachment: Any) -> None:
        ours, theirs = socket.socketpair()
        self.attachment = Attachment(**attachment)
        self.theirs = theirs
        ours.setblocking(False)
        self.socket = ours

    def handed_over(self) -> None:
        """The stream is the monitor's now."""
        self.theirs.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def read_all(self) -> bytes:
        """Everything until the end of the stream."""
        parts = []
        while data := await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16):
            parts.append(data)
        return b"".join(parts)

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to ``mark``."""
        found = b""
        while mark not in found:
            data = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
            assert data, f"the stream ended before {mark!r}: {found!r}"
            found += data
        return found

    def end_input(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> None:
    """Wait for the end of a process."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(pidfd, lambda: ended.done() or ended.set_result(None))
    try:
        await asyncio.wait_for(ended, ours.PATIENCE)
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
