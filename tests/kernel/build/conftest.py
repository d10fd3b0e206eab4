"""A daemon of ours, and a way to build on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ours

Files = dict[str, str | tuple[str, int]]


class Build:
    """What came of one ``wharfie build --progress rawjson``."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.text = done.stderr
        self.messages: list[dict[str, Any]] = []
        for line in done.stderr.splitlines():
            if line.startswith("{"):
                self.messages.append(json.loads(line))
        own = [message["wharfie"] for message in self.messages if "wharfie" in message]
        self.steps = {item["step"]: item["text"] for item in own if "text" in item}
        self.cached = [self.steps[item["step"]] for item in own if item.get("cached")]
        self.output = "".join(item["output"] for item in own if "output" in item)
        self.image = next((message["aux"]["ID"] for message in self.messages if "aux" in message), "")
        self.error = next((message["error"] for message in self.messages if "error" in message), "")

    @property
    def made(self) -> list[str]:
        """Steps that were done anew, FROM left out."""
        return [
            text for text in self.steps.values() if text not in self.cached and not text.startswith("FROM")
        ]


class Yard:
    """Contexts, and builds of them."""

    def __init__(self, engine: ours.Engine, root: Path) -> None:
        self.engine = engine
        self.context = root / "context"
        self.context.mkdir()

    def write(self, dockerfile: str | None = None, files: Files | None = None) -> None:
        """Put files into the context."""
        given: Files = dict(files or {})
        if dockerfile is not None:
            given["Dockerfile"] = dockerfile + "\n"
        for name, what in given.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text, mode = what if isinstance(what, tuple) else (what, 0o644)
            path.write_text(text)
            path.chmod(mode)

    def build(self, *words: str, dockerfile: str | None = None, files: Files | None = None) -> Build:
        """Build the context."""
        self.write(dockerfile, files)
        return Build(self.engine.cli("build", "--progress", "rawjson", *words, str(self.context)))

    def run(self, image: str, *words: str) -> str:
        """What a command in a container of the image writes."""
        done = self.engine.cli("run", "--rm", image, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def leftovers(self) -> list[str]:
        """What a build must not leave."""
        state = self.engine.state
        places = ("data/tmp", "exec/containers")
        found = [str(path) for place in places for path in (state / place).glob("*")]
        found += [
            line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{state}/data" in line
        ]
        return found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ours.Engine]:
    with ours.engine(tmp_path_factory.mktemp("build"), bridge="whb") as running:
        yield running


@pytest.fixture
def yard(engine: ours.Engine, tmp_path: Path) -> Iterator[Yard]:
    engine.cli("builder", "prune", "-af")
    yard = Yard(engine, tmp_path)
    yield yard
    ours.until(lambda: not yard.leftovers(), "the build leaves nothing")
