"""The real engines as holders of images: load, save, and the tree of one."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import trees
from tests.peers import docker as peer

Tree = dict[bytes, dict[str, Any]]


def _run(words: list[str], data: bytes | None = None) -> str:
    done = subprocess.run(words, input=data or b"", capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def skopeo(*words: str) -> str:
    """Run skopeo without its policy file."""
    return _run(["skopeo", "--insecure-policy", *words])


class Docker:
    """A dockerd of our own."""

    def __init__(self, host: str) -> None:
        self._words = [peer.docker_cli(), "-H", host]

    @staticmethod
    @contextmanager
    def running(state: Path) -> Iterator[Docker]:
        with peer.dockerd(state) as host:
            yield Docker(host)

    def load(self, archive: bytes) -> str:
        return _run([*self._words, "load"], archive)

    def save(self, target: Path, *names: str) -> None:
        _run([*self._words, "save", "-o", str(target), *names])

    def identity(self, name: str) -> str:
        return _run([*self._words, "image", "inspect", "-f", "{{.Id}}", name]).strip()

    def tree(self, name: str) -> Tree:
        found = json.loads(_run([*self._words, "image", "inspect", name]))[0]
        return trees.of_graph(found["GraphDriver"]["Data"])


class Podman:
    """Podman with storage of its own."""

    def __init__(self, state: Path) -> None:
        self._words = [
            "podman", "--root", str(state / "root"), "--runroot", str(state / "run"),
            "--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=overlay",
        ]  # fmt: skip

    @staticmethod
    @contextmanager
    def with_storage() -> Iterator[Podman]:
        # its paths may have 50 bytes
        with tempfile.TemporaryDirectory(prefix="whp") as directory:
            state = Path(directory)
            try:
                yield Podman(state)
            finally:
                subprocess.run(["umount", "-l", str(state / "root" / "overlay")], capture_output=True)

    def load(self, archive: Path) -> str:
        return _run([*self._words, "load", "-i", str(archive)])

    def pull(self, name: str) -> str:
        return _run([*self._words, "pull", "--tls-verify=false", name])

    def push(self, name: str, target: str) -> str:
        return _run([*self._words, "push", "--tls-verify=false", name, target])

    def save(self, target: Path, form: str, name: str) -> None:
        _run([*self._words, "save", "--format", form, "-o", str(target), name])

    def identity(self, name: str) -> str:
        return "sha256:" + _run([*self._words, "image", "inspect", "-f", "{{.Id}}", name]).strip()

    def tree(self, name: str) -> Tree:
        where = _run([*self._words, "image", "mount", name]).strip()
        try:
            return trees.tree(os.path.join(where, "."))
        finally:
            _run([*self._words, "image", "unmount", name])
