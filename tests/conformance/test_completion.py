"""The completion scripts, run by the shells they are for."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.launch import command
from tests.unit.cli.stub import serving
from tests.unit.cli.test_completion import ROUTES


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A ``wharfie`` on a path of its own, which talks to the stub."""
    return tmp_path / "wharfie"


def install(program: Path, host: str) -> None:
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command(host))} "$@"\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "expected"), [("run --netw", "--network"), ("rm ", "db web"), ("rmi app:", "1 2")]
)
def test_bash_asks_and_shows(tmp_path: Path, program: Path, line: str, expected: str) -> None:
    script = """
        source <(wharfie completion bash)
        COMP_LINE="wharfie $1" COMP_POINT=$((${#1} + 8))
        _wharfie
        echo "${COMPREPLY[@]}"
    """
    with serving(tmp_path, ROUTES) as daemon:
        install(program, daemon.host)
        done = subprocess.run(
            ["bash", "--norc", "-c", script, "bash", line],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            timeout=30,
        )
    assert done.stdout.split()[: len(expected.split())] == expected.split()


def test_fish_asks_and_shows(tmp_path: Path, program: Path) -> None:
    with serving(tmp_path, ROUTES) as daemon:
        install(program, daemon.host)
        done = subprocess.run(
            ["fish", "--no-config", "-c", "wharfie completion fish | source; complete -C 'wharfie rm d'"],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
            timeout=30,
        )
    assert "db\tUp" in done.stdout.splitlines()


def test_zsh_asks_and_shows(tmp_path: Path, program: Path) -> None:
    script = """
        autoload -Uz compinit && compinit -u -d $HOME/dump
        _describe() { print -r -- ${(P)2} }
        _files() { print files }
        source <(wharfie completion zsh)
        words=(wharfie rm d) CURRENT=3
        _wharfie
        words=(wharfie run app:1 '') CURRENT=4
        _wharfie
    """
    with serving(tmp_path, ROUTES) as daemon:
        install(program, daemon.host)
        done = subprocess.run(
            ["zsh", "-f", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
            timeout=30,
        )
    assert done.stdout.splitlines() == ["db:Up", "files"]
