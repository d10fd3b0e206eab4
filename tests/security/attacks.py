"""What an attacker has: images of his own making, a Python inside a container, and the API's socket."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import ours

Member = tuple[tarfile.TarInfo, bytes]
SKELETON = ("proc", "sys", "dev", "etc", "tmp", "root")
HOST_PROGRAMS = ("-v", "/usr:/usr:ro")
"""What the image made by :func:`python_image` needs to run anything."""


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> Member:
    """One entry of an archive."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def link(name: str, target: str) -> Member:
    """A symbolic link."""
    return member(name, tarfile.SYMTYPE, linkname=target)


def archive(members: Iterable[Member]) -> bytes:
    """The archive's bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def busybox_with(*members: Member, without: Sequence[str] = ()) -> bytes:
    """A small root directory with a shell and the attacker's additions, in place of what he leaves out."""
    program = Path("/bin/busybox").read_bytes()
    applets = ("sh", "cat", "ls", "echo", "sleep", "true", "id", "mount", "ln", "mv", "rm", "mkdir", "test",
               "readlink", "touch", "mknod", "dd", "stat", "grep", "chmod", "head", "mkfifo")  # fmt: skip
    entries = [member(name, tarfile.DIRTYPE) for name in ("bin", *SKELETON) if name not in without]
    entries.append(member("bin/busybox", content=program))
    entries += [member(f"bin/{name}", tarfile.LNKTYPE, linkname="bin/busybox") for name in applets]
    return archive([*entries, *members])


def import_image(engine: ours.Engine, name: str, data: bytes, *changes: str) -> str:
    """Import an archive as an image; its name."""
    words = [word for change in ("ENV PATH=/bin", *changes) for word in ("--change", change)]
    done = engine.cli("import", *words, "-", name, stdin=data)
    assert done.returncode == 0, done.stderr
    return name


def python_image(engine: ours.Engine) -> str:
    """An image whose programs are the host's (bind them with HOST_PROGRAMS): it has a Python."""
    name = "with-python"
    if engine.cli("image", "inspect", name).returncode:
        links = [link(where, f"usr/{where}") for where in ("bin", "sbin", "lib", "lib64")]
        entries = [member(where, tarfile.DIRTYPE) for where in ("usr", *SKELETON)]
        passwd = member("etc/passwd", content=b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        import_image(engine, name, archive([*entries, *links, passwd]), "ENV PATH=/usr/bin:/usr/sbin")
    return name


def python(engine: ours.Engine, script: str, *options: str, timeout: float = 60) -> Any:
    """Run a script by Python in a container; what it printed, as JSON."""
    done = engine.cli(
        "run", "--rm", *HOST_PROGRAMS, *options, python_image(engine), "python3", "-I", "-S", "-c", script,
        timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = connect(self._path)


def connect(path: str, timeout: float = 60) -> socket.socket:
    """A raw connection to a Unix socket; we may be faster than the daemon takes them (EAGAIN)."""
    deadline = time.monotonic() + ours.PATIENCE
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
            return sock
        except BlockingIOError:
            sock.close()
            assert time.monotonic() < deadline, "no connection is taken any more"
            time.sleep(0.005)


def socket_path(engine: ours.Engine) -> str:
    """Where the engine's API listens."""
    return engine.host.removeprefix("unix://")


def request(
    engine: ours.Engine, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One request: status and body. ``body`` is sent as it is when it is bytes, else as JSON."""
    connection = _Connection(socket_path(engine))
    try:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, f"/v1.51{path}", data, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def inspect(engine: ours.Engine, ref: str, template: str) -> str:
    """One field of ``inspect``."""
    done = engine.cli("inspect", "-f", template, ref)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def each(names: Iterable[str], test: Callable[[str], object]) -> dict[str, object]:
    """The test's results by name."""
    return {name: test(name) for name in names}
