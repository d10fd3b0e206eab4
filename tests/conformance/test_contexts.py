"""Contexts by both command lines on the same files, and a daemon that is reached over ssh."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import ours
from tests.peers import docker

COMMANDS = [
    "create xx --description about --docker host=tcp://1.2.3.4:5",
    "create xx",
    "create x",
    "create default",
    "create odd/name",
    "create bad --docker hosts=x",
    "create other --docker host=unix:///a,skip-tls-verify=true",
    "create copy --from other",
    "create taken --docker from=other",
    "inspect --format {{.Endpoints.docker.Host}} taken",
    "rm taken",
    "update copy --description changed",
    "update nosuch",
    "ls -q",
    "ls --format {{.Name}}|{{.Current}}|{{.Error}}",
    "inspect xx other",
    "inspect nosuch",
    "inspect --format {{.Endpoints.docker.Host}} xx copy",
    "use xx",
    "show",
    "use nosuch",
    "rm xx",
    "rm nosuch",
    "export copy",
    "export copy",
    "import again copy.dockercontext",
    "import again copy.dockercontext",
    "import nothing /dev/null",
    "inspect again",
    "use default",
    "rm xx other copy again",
    "ls -q",
]
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 3
exec {wharfie} "$@"
"""


def answers(program: str, directory: Path) -> list[tuple[str, int, str, str]]:
    found = []
    directory.mkdir()
    environment = {**os.environ, "DOCKER_CONFIG": str(directory / "settings")}
    for line in COMMANDS:
        words = [program, "context", *line.split()]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=directory, env=environment, timeout=30
        )
        out, err = (text.replace(str(directory), "<place>") for text in (done.stdout, done.stderr))
        # where it has no better words, the peer's are Go's
        found.append((line, done.returncode, out, err.strip().partition("\n")[0]))
    return found


def test_contexts_are_docker_s(tmp_path: Path) -> None:
    theirs = answers(docker.docker_cli(), tmp_path / "theirs")
    mine = answers(ours.WHARFIE, tmp_path / "mine")
    for their, my in zip(theirs, mine, strict=True):
        if their[0].startswith("import nothing"):
            assert (my[1], their[1]) == (1, 1)
            continue
        assert my == their


def test_both_read_each_other_s(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}

    def run(*words: str) -> str:
        return subprocess.run(
            words, capture_output=True, text=True, check=True, env=environment, timeout=30
        ).stdout

    run(docker.docker_cli(), "context", "create", "one", "--docker", "host=unix:///one")
    run(ours.WHARFIE, "context", "create", "two", "--docker", "host=unix:///two")
    for program in (docker.docker_cli(), ours.WHARFIE):
        assert run(program, "context", "ls", "-q").split() == ["default", "one", "two"]
    run(ours.WHARFIE, "context", "use", "two")
    # the other program's own choice stays
    assert run(docker.docker_cli(), "context", "show") == "default\n"


def test_a_context_says_whom_a_command_is_for(engine: ours.Engine, tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ours.WHARFIE, *words], capture_output=True, text=True, check=False, env=environment, timeout=60
        )

    run("context", "create", "mine", "--docker", f"host={engine.host}")
    assert run("-c", "mine", "run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    run("context", "use", "mine")
    assert run("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    assert "nosuch" in run("-c", "nosuch", "ps").stderr
    both = run("-c", "mine", "-H", engine.host, "ps")
    assert both.stderr.startswith("conflicting options: cannot specify both --host and --context")


def test_a_daemon_over_ssh(engine: ours.Engine, tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text(SSH.format(wharfie=ours.WHARFIE))
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    host = "ssh://me@there:22" + engine.host.removeprefix("unix://")

    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [ours.WHARFIE, "-H", host, *words],
            input=stdin,
            capture_output=True,
            check=False,
            env=environment,
            timeout=60,
        )

    data = os.urandom(300_000)
    echoed = run("run", "--rm", "-i", "busybox", "cat", stdin=data)
    assert (echoed.returncode, echoed.stdout) == (0, data)
    assert run("run", "--rm", "busybox", "sh", "-c", "exit 7").returncode == 7
    assert re.search(rb"Server:", run("version").stdout)


@pytest.mark.parametrize("host", ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://host:port"])
def test_hosts_that_would_be_options_are_refused(host: str) -> None:
    done = subprocess.run(
        [ours.WHARFIE, "-H", host, "ps"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert "want ssh://[USER@]HOST[:PORT]" in done.stderr
