"""``./check peers``: asks the real engines anew and writes down what they answer, for ``./check``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conformance.runtime import recording
from tests.peers import (
    cases,
    docker,
    record_answers,
    record_builds,
    record_help,
    record_traffic,
    record_wrongs,
)
from tests.peers.step import SHELL, Step

RECORDINGS = Path(__file__).parent / "recordings"
ROOT = Path(__file__).resolve().parents[2]


def ask(program: list[str], step: Step, directory: Path) -> dict[str, Any]:
    """Run one step with ``program`` as the docker command in ``directory``; its comparable answer."""
    words = [*program, *step.argv]
    if step.argv[0] == SHELL:
        words = ["sh", "-c", f'docker() {{ {shlex.join(program)} "$@"; }}; {step.argv[1]}']
    done = subprocess.run(
        words,
        input=step.stdin,
        capture_output=True,
        text=True,
        timeout=100,
        errors="backslashreplace",
        cwd=directory,
        env={**os.environ, "DOCKER": shlex.join(program)},
    )
    return {
        "argv": list(step.argv),
        "code": done.returncode,
        "stdout": cases.normalise(done.stdout, step.compare),
        "stderr": cases.normalise(done.stderr, step.compare),
    }


def ask_all(program: list[str], steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """All of a group's answers, in a new directory."""
    with tempfile.TemporaryDirectory(prefix="steps-") as directory:
        return [ask(program, step, Path(directory)) for step in steps]


def record_docker(state: Path) -> dict[str, Any]:
    """Every step's answer from a real dockerd."""
    with docker.dockerd(state, bridge="whpeer0") as host:
        docker.load_busybox(host)
        program = [docker.docker_cli(), "-H", host]
        version = subprocess.run([*program, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"],
                                 check=True, capture_output=True, text=True).stdout.split()  # fmt: skip
        return {
            "client": version[0],
            "server": version[1],
            "groups": {name: ask_all(program, steps) for name, steps in cases.GROUPS.items()},
        }


def main() -> None:
    """Record all peers."""
    subprocess.run([str(ROOT / "bench" / "peers.sh")], check=True)
    RECORDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="peer-") as state:
        answers = record_docker(Path(state))
    (RECORDINGS / "docker.json").write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
    steps = sum(len(group) for group in answers["groups"].values())
    print(f"docker {answers['server']}: {steps} answers recorded", file=sys.stderr)
    print(f"docker: {record_wrongs.main()} wrong requests answered", file=sys.stderr)
    print(f"docker: the shapes of {record_answers.main()} answers recorded", file=sys.stderr)
    print(f"docker: {record_traffic.main()} connections tried", file=sys.stderr)
    record_help.main()
    record_builds.main()
    for name, peer in recording.record().items():
        passed = sum(well for _, well in peer["cases"].values())
        print(f"{name} {peer['version']}: {passed} of {len(peer['cases'])} cases passed", file=sys.stderr)


if __name__ == "__main__":
    main()
