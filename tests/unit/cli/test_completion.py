"""What a tab offers."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import wharfie
from tests.unit.cli.stub import answer, serving

ROUTES: dict[str, stub.Route] = {
    "GET /containers/json": lambda *_: answer(
        [{"Names": ["/web"], "Status": "Up"}, {"Names": ["/db"], "Status": "Up"}]
    ),
    "GET /images/json": lambda *_: answer([{"RepoTags": ["app:1", "app:2"], "Id": "sha256:" + "a" * 64}]),
    "GET /networks": lambda *_: answer([{"Name": "front", "Driver": "bridge"}]),
    "GET /volumes": lambda *_: answer({"Volumes": [{"Name": "data", "Driver": "local"}]}),
}


def offered(directory: Path, line: str) -> list[str]:
    words = shlex.split(line)
    with serving(directory, ROUTES) as daemon:
        done = wharfie(daemon.host, "__complete", *words, *([""] if line.endswith(" ") or not line else []))
    assert (done.returncode, done.stderr) == (0, b"")
    return [one.partition("\t")[0] for one in done.stdout.decode().splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rena", ["rename"]),
        ("--hos", ["--host"]),
        ("--log-level ", ["debug", "error", "fatal", "info", "warn"]),
        ("-D --host x volum", ["volume"]),
        ("network conn", ["connect"]),
        ("run --hostn", ["--hostname"]),
        ("run --network ", ["front"]),
        ("run --network=f", ["--network=front"]),
        ("run --rm -ti ", ["app:1", "app:2"]),
        ("run -e A=b --name x app", ["app:1", "app:2"]),
        ("run app:1 ", []),
        ("rm ", ["db", "web"]),
        ("rm db w", ["web"]),
        ("container stop --time 3 d", ["db"]),
        ("network connect ", ["front"]),
        ("network connect front ", ["db", "web"]),
        ("volume rm ", ["data"]),
        ("image inspect ", ["app:1", "app:2"]),
        ("nosuch ", []),
        ("run --nosuch ", ["app:1", "app:2"]),
    ],
)
def test_what_a_tab_offers(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert offered(tmp_path, line) == expected


def test_every_command_has_one(tmp_path: Path) -> None:
    found = set(offered(tmp_path, ""))
    assert {"run", "container", "context", "completion", "ps"} <= found
    assert "__complete" not in found


def test_without_a_daemon_nothing_is_offered_and_none_is_started(tmp_path: Path) -> None:
    done = wharfie(f"unix://{tmp_path}/none.sock", "__complete", "rm", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_other_shells_are_refused(tmp_path: Path) -> None:
    done = wharfie("unix:///none", "completion", "tcsh")
    assert done.returncode == 1
    assert b"bash, zsh and fish" in done.stderr
