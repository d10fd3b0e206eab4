"""The unmodified docker command line with its buildx plugin, on a daemon of ours."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests import ours
from tests.peers import docker


class Site(NamedTuple):
    """An engine, the client's settings, and a directory for contexts."""

    engine: ours.Engine
    settings: Path
    place: Path

    @property
    def environment(self) -> dict[str, str]:
        """For the client: plain progress, nothing of the machine's own settings."""
        left = {"DOCKER_BUILDKIT", "BUILDX_BUILDER", "SSH_AUTH_SOCK"}
        mine = {name: value for name, value in os.environ.items() if name not in left}
        return {
            **mine,
            "DOCKER_HOST": self.engine.host,
            "DOCKER_CONFIG": str(self.settings),
            "BUILDKIT_PROGRESS": "plain",
            "NO_COLOR": "1",
        }

    def docker(
        self, *words: str, stdin: bytes = b"", code: int = 0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """One command, and its exit code."""
        done = subprocess.run(
            [docker.docker_cli(), *words],
            input=stdin,
            env={**self.environment, **more},
            capture_output=True,
            timeout=60,
        )
        text = subprocess.CompletedProcess(
            done.args,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        assert text.returncode == code, text.stderr + text.stdout
        return text

    def build(self, *words: str, stdin: bytes = b"", code: int = 0, **more: str) -> str:
        """What ``docker build`` says."""
        return self.docker("build", *words, stdin=stdin, code=code, **more).stderr

    def context(self, name: str, dockerfile: str = "", **files: str) -> Path:
        """A directory of files; ``__`` in a name is a dot."""
        place = self.place / name
        place.mkdir(parents=True, exist_ok=True)
        if dockerfile:
            files["Dockerfile"] = dockerfile + "\n"
        for file, text in files.items():
            path = place / file.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return place

    def output_of(self, image: str, *words: str) -> str:
        """What a command in a container of the image writes."""
        return self.docker("run", "--rm", "--network", "none", image, *words).stdout


@contextmanager
def site(place: Path) -> Iterator[Site]:
    """All of it."""
    with ours.engine(place / "engine", bridge="whbx") as engine:
        yield Site(engine, docker.settings(place / "settings"), place / "contexts")


def steps(text: str) -> dict[str, str]:
    """Names of vertexes, and how each ended: DONE, CACHED, ERROR."""
    names: dict[str, str] = {}
    ends: dict[str, str] = {}
    for line in text.splitlines():
        found = re.match(r"#(\d+) (.*)", line)
        if found is None:
            continue
        number, rest = found.groups()
        names.setdefault(number, rest)
        for word in ("DONE", "CACHED", "ERROR", "CANCELED"):
            if rest.split(" ")[0].rstrip(":") == word:
                ends[number] = word
    return {name: ends.get(number, "") for number, name in names.items()}


def without_times(text: str) -> list[str]:
    """Lines, without the numbers of vertexes and what a clock says."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^#\d+ ", "", line)
        line = re.sub(r"\b\d+\.\d+s?\b ?", "", line)
        if line:
            lines.append(line.strip())
    return lines
