"""Has real Docker build the corpus (BuildKit, by ``docker buildx``), and writes down what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.peers import builds, docker, sources

RECORDING = Path(__file__).parent / "recordings" / "builds.json"


def record(state: Path) -> dict[str, Any]:
    """Every case's outcome from a real dockerd."""
    plugins = state / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(
        docker.PEERS / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
    )
    with docker.dockerd(state, bridge="whpeer0") as host:
        docker.load_busybox(host)
        program = [docker.docker_cli(), "--config", str(state / "config"), "-H", host]
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}

        def run(*words: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.run([*program, *words], capture_output=True, timeout=120, env=environment)

        base = builds.outcome(run("save", "busybox").stdout)["whole"]
        found: dict[str, Any] = {}
        inside = ["nsenter", "-n", "-t", (state / "docker.pid").read_text().strip()]
        with sources.served(state / "sources", builds.STAMP, inside) as addresses:
            for case in builds.cases():
                directory = state / "contexts" / case.name
                builds.write_context(case, directory, addresses)
                words = [sources.put_in(word, addresses) for word in case.arguments]
                done = run("build", "-t", "case", *words, str(directory))
                found[case.name] = answer(done, lambda: run("save", "case").stdout, base)
        version = run("version", "--format", "{{.Server.Version}}").stdout.decode().strip()
        return {"server": version, "cases": found}


def answer(done: subprocess.CompletedProcess[bytes], save: Any, base: dict[str, Any]) -> dict[str, Any]:
    """What is compared of one build."""
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip().splitlines()
        return {"code": done.returncode, "error": text[-1] if text else ""}
    found = builds.outcome(save(), base)
    del found["whole"]
    return {"code": 0, **found}


def main() -> None:
    """Record."""
    with tempfile.TemporaryDirectory(prefix="peer-") as state:
        answers = record(Path(state))
    RECORDING.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
    print(f"docker {answers['server']}: {len(answers['cases'])} builds recorded", file=sys.stderr)


if __name__ == "__main__":
    main()
