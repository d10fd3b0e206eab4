"""``docker checkpoint`` against our engine: what ran goes on where it was, and failures cost nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.kernel.runtime.criu import search_path
from tests.peers.docker import docker_cli

COUNT = """mkfifo /go; exec 3<>/go; i=0
while read -r x <&3; do [ "$x" = end ] && exit 7; i=$((i+1)); echo $i $x; done"""
# it waits while somebody holds it
GATE = """#!/bin/sh
[ -p {0}/hold ] && read -r _ <{0}/hold
exec {1} "$@"
"""


@dataclass
class Lab:
    """An engine with what is experimental, and Docker's command line."""

    engine: ours.Engine
    gate: Path

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """What a command says, which must end with this code."""
        done = subprocess.run(
            [docker_cli(), "-H", self.engine.host, *words], input=stdin, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def run(self, name: str, *words: str) -> None:
        self("run", "-d", "--name", name, *words)

    def says(self, name: str, text: str, *, seen: str) -> None:
        """Have the counting container read a line, and see what it makes of it."""
        self("exec", name, "sh", "-c", f"until [ -p /go ]; do usleep 10000; done; echo {text} >/go")
        ours.until(lambda: self("logs", name).endswith(seen), f"the log never ended with {seen!r}")

    def state(self, name: str) -> str:
        return self("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name)

    def reaches(self, name: str, state: str) -> None:
        ours.until(lambda: self.state(name) == state, f"{name} is {self.state(name)} and never was {state}")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of the API."""
        return ask(self.engine, method, path, body)


def ask(engine: ours.Engine, method: str, path: str, body: object = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.host.removeprefix("unix://"))
    text = None if body is None else json.dumps(body)
    connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else None


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    gate = tmp_path_factory.mktemp("gate")
    criu = subprocess.run(
        ["sh", "-c", "command -v criu"], env={"PATH": search_path()}, capture_output=True, text=True
    ).stdout.strip()
    (gate / "criu").write_text(GATE.format(gate, criu))
    (gate / "criu").chmod(0o755)
    # where no other CRIU is
    tools = tmp_path_factory.mktemp("tools")
    for program in [*Path("/usr/sbin").iterdir(), *Path("/sbin").iterdir(), Path(docker_cli())]:
        if program.name != "criu" and not (tools / program.name).is_symlink():
            (tools / program.name).symlink_to(program)
    engine = ours.describe(tmp_path_factory.mktemp("checkpoints"), f"whc{os.getpid()}")
    engine.arguments.append("--experimental")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{gate}:{tools}:/usr/bin:/bin")
        process = engine.start()
        try:
            engine.load_busybox()
            yield Lab(engine, gate)
        finally:
            engine.end()
            process.wait(60)


def test_a_container_goes_on_where_its_checkpoint_was_made(lab: Lab) -> None:
    lab.run("counter", "--init", "-v", "kept:/kept", "--tmpfs", "/t", "--hostname", "boxy", "busybox", "sh",
            "-c", f"echo there >/t/file; {COUNT}")  # fmt: skip
    lab.says("counter", "one", seen="1 one")
    lab("exec", "-d", "counter", "sleep", "1000")
    assert lab("checkpoint", "create", "--leave-running", "counter", "first") == "first"
    lab.says("counter", "two", seen="2 two")
    assert lab("checkpoint", "create", "counter", "second") == "second"
    assert lab.state("counter") == "exited 137"
    assert lab("checkpoint", "ls", "counter").split("\n") == ["CHECKPOINT NAME", "first", "second"]
    assert lab("start", "--checkpoint", "second", "counter") == ""
    lab.says("counter", "three", seen="3 three")
    assert lab("exec", "counter", "sh", "-c", "cat /t/file; hostname; ls -d /kept") == "there\nboxy\n/kept"
    lab("kill", "counter")
    lab("start", "--checkpoint", "first", "counter")
    lab.says("counter", "again", seen="2 again")
    lab("exec", "-d", "counter", "sh", "-c", "echo end >/go")
    lab.reaches("counter", "exited 7")
    seen = lab("events", "--since", "0", "--until", f"{time.time():.6f}", "--filter", "container=counter",
               "--filter", "event=checkpoint", "--format", "{{.Action}}")  # fmt: skip
    assert seen.split() == ["checkpoint", "checkpoint"]
    lab("checkpoint", "rm", "counter", "first")
    assert lab("checkpoint", "ls", "counter").split("\n") == ["CHECKPOINT NAME", "second"]
    lab("rm", "counter")
    assert list((lab.engine.state / "data/containers").iterdir()) == []


def test_a_checkpoint_elsewhere_brings_another_container_to_life(lab: Lab, tmp_path: Path) -> None:
    lab.run("giver", "-i", "--rm", "busybox", "sh", "-c", "read -r x; echo got $x; exit 9")
    lab("checkpoint", "create", "--checkpoint-dir", str(tmp_path), "giver", "seed")
    ours.until(lambda: lab("ps", "-aq") == "", "it was not removed")
    assert lab.ask("GET", f"/containers/taker/checkpoints?dir={tmp_path}")[0] == 404
    lab("create", "-i", "--name", "taker", "busybox", "sh", "-c", "read -r x; echo got $x; exit 9")
    assert lab.ask("GET", f"/containers/taker/checkpoints?dir={tmp_path}") == (200, [{"Name": "seed"}])
    assert lab.ask("GET", "/containers/taker/checkpoints") == (200, None)
    # input, output and exit code are those of a start
    words = ("start", "-ai", "--checkpoint", "seed", "--checkpoint-dir", str(tmp_path), "taker")
    assert lab(*words, code=9, stdin="this\n") == "got this"
    assert lab("logs", "taker") == "got this"
    lab("rm", "taker")


def test_a_terminal_and_a_published_port_come_back(lab: Lab) -> None:
    lab.run("term", "-t", "-p", "127.0.0.1:0:80", "--memory", "64m", "--read-only", "--tmpfs", "/run",
            "busybox", "sh", "-c", "while read -r x; do echo got $x; done; exit 5")  # fmt: skip
    lab("checkpoint", "create", "term", "one")
    lab("start", "--checkpoint", "one", "term")
    assert lab("port", "term").startswith("80/tcp -> 127.0.0.1:")
    assert lab("inspect", "--format", "{{.HostConfig.Memory}}", "term") == str(64 << 20)
    lab("exec", "term", "sh", "-c", "! touch /new")
    assert "\r\n" not in lab("exec", "term", "cat", "/proc/1/cmdline")
    lab("rm", "-f", "term")


def test_what_cannot_be_is_said_in_dockers_words(lab: Lab, tmp_path: Path) -> None:
    lab.run("plain", "busybox", "sh", "-c", COUNT)
    lab("create", "--name", "still", "busybox", "true")
    make = {"CheckpointID": "x1", "CheckpointDir": str(tmp_path), "Exit": False}
    (tmp_path / "file").touch()
    (tmp_path / "there").mkdir()

    def said(*asked: Any) -> tuple[int, str]:
        status, answer = lab.ask(*asked)
        return status, answer["message"]

    assert said("POST", "/containers/nobody/checkpoints", make) == (404, "No such container: nobody")
    status, message = said("POST", "/containers/still/checkpoints", make)
    assert status == 409
    assert message.endswith("is not running")
    assert said("POST", "/containers/plain/checkpoints", {**make, "CheckpointID": "../x"}) == (
        500, "Invalid checkpoint ID (../x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    )  # fmt: skip
    assert said("POST", "/containers/plain/checkpoints", {**make, "CheckpointID": "there"}) == (
        500,
        "cannot checkpoint container plain: checkpoint with name there already exists for container plain",
    )  # fmt: skip
    assert said("POST", "/containers/plain/checkpoints", {**make, "CheckpointID": "file"}) == (
        500, f"cannot checkpoint container plain: {tmp_path}/file exists and is not a directory",
    )  # fmt: skip
    missing = (500, "checkpoint nope does not exist for container plain")
    assert said("DELETE", "/containers/plain/checkpoints/nope") == missing
    assert said("DELETE", "/containers/plain/checkpoints/..") == (
        500, "checkpoint .. does not exist for container plain",
    )  # fmt: skip
    assert said("POST", "/containers/still/start?checkpoint=nope") == (
        500, "checkpoint nope does not exist for container still",
    )  # fmt: skip
    status, message = said("POST", f"/containers/still/start?checkpoint=there&checkpoint-dir={tmp_path}")
    assert status >= 400
    assert "descriptors.json" in message
    assert lab.state("still").startswith("created")
    assert "you cannot restore multiple" in lab("start", "--checkpoint", "x", "plain", "still", code=1)
    lab.says("plain", "on", seen="1 on")
    lab("rm", "-f", "plain", "still")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]


def test_a_dump_that_fails_leaves_the_container_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    # CRIU keeps files without a name up to 1 MiB
    ghost = "busybox dd if=/dev/zero of=/big bs=1M count=2 2>/dev/null; exec 9</big; busybox rm /big"
    lab.run("ghost", "--restart", "always", "busybox", "sh", "-c", f"{ghost}; echo ready; {COUNT}")
    ours.until(lambda: lab("logs", "ghost") == "ready", "it never came so far")
    body = {"CheckpointID": "x1", "CheckpointDir": str(tmp_path), "Exit": True}
    status, answer = lab.ask("POST", "/containers/ghost/checkpoints", body)
    assert status == 500
    assert answer["message"].startswith("Cannot checkpoint container ghost: criu failed")
    assert list(tmp_path.iterdir()) == []
    lab.says("ghost", "on", seen="1 on")
    # its policy holds as before
    lab("exec", "-d", "ghost", "sh", "-c", "echo end >/go")
    restarts = ("inspect", "--format", "{{.RestartCount}} {{.State.Running}}", "ghost")
    ours.until(lambda: lab(*restarts) == "1 true", "it was not started again")
    lab("rm", "-f", "ghost")


def test_without_criu_there_is_a_clear_word(lab: Lab) -> None:
    lab.run("plain", "busybox", "sh", "-c", COUNT)
    (lab.gate / "criu").rename(lab.gate / "away")
    try:
        said = lab("checkpoint", "create", "plain", "one", code=1)
    finally:
        (lab.gate / "away").rename(lab.gate / "criu")
    assert "Cannot checkpoint container plain: checkpoint and restore need CRIU" in said
    assert lab("checkpoint", "ls", "plain") == "CHECKPOINT NAME"
    lab.says("plain", "on", seen="1 on")
    lab("rm", "-f", "plain")


@contextmanager
def held(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """A client whose checkpoint has come as far as CRIU, which goes on at the end."""
    hold = lab.gate / "hold"
    os.mkfifo(hold)
    words = [docker_cli(), "-H", lab.engine.host, "checkpoint", "create", "counter", "one"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as client:
        opened: list[int] = []

        def waits() -> bool:
            try:
                opened.append(os.open(hold, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # nobody reads there yet
                return False
            return True

        ours.until(waits, "CRIU was not asked")
        try:
            yield client
        finally:
            hold.unlink()
            os.write(opened[0], b"\n")
            os.close(opened[0])
            client.wait(60)


def test_a_dump_process_that_is_killed_leaves_nothing(lab: Lab) -> None:
    lab.run("counter", "busybox", "sh", "-c", COUNT)
    with held(lab) as client:
        (dumping,) = [pid for pid, line in ours.processes().items() if "wharfie.monitor.checkpoints" in line]
        os.kill(dumping, signal.SIGKILL)
    # CRIU has gone by now, too
    assert client.returncode == 1
    lab.says("counter", "on", seen="1 on")
    made = lab.engine.state.glob("data/containers/*/checkpoints")
    assert [name for directory in made for name in os.listdir(directory)] == []
    lab("rm", "-f", "counter")


def test_a_daemon_that_is_killed_meanwhile_changes_nothing(lab: Lab) -> None:
    lab.run("counter", "busybox", "sh", "-c", COUNT)
    lab.says("counter", "one", seen="1 one")
    with held(lab) as client:
        lab.engine.kill()
        assert client.wait(60)
        lab.engine.start()
        assert lab.state("counter") == "running 0"
    lab.reaches("counter", "exited 137")
    assert lab("checkpoint", "ls", "counter").split("\n") == ["CHECKPOINT NAME", "one"]
    lab("start", "--checkpoint", "one", "counter")
    lab.says("counter", "two", seen="2 two")
    lab("rm", "-f", "counter")


def test_they_are_for_daemons_with_what_is_experimental(engine: ours.Engine) -> None:
    disabled = (
        "This experimental feature is disabled by default. Start the Docker daemon in experimental mode"
    )
    status, answer = ask(engine, "GET", "/containers/any/checkpoints")
    assert status == 501
    assert answer["message"].startswith(disabled)
    assert ask(engine, "POST", "/containers/any/start?checkpoint=x") == (
        400, {"message": "checkpoint is only supported in experimental mode"},
    )  # fmt: skip
    done = subprocess.run(
        [docker_cli(), "-H", engine.host, "checkpoint", "ls", "any"], capture_output=True, text=True
    )
    assert "only supported on a Docker daemon with experimental features enabled" in done.stderr


def test_our_command_line_says_what_dockers_does(lab: Lab) -> None:
    lab.run("both", "busybox", "sleep", "1000")
    assert lab.engine.cli("checkpoint", "create", "--leave-running", "both", "one").stdout == "one\n"
    done = lab.engine.cli("checkpoint", "create", "both", "two")
    assert (done.returncode, done.stdout) == (0, "two\n")
    assert lab.engine.cli("checkpoint", "ls", "both").stdout.strip() == lab("checkpoint", "ls", "both")
    assert lab.engine.cli("start", "--checkpoint", "two", "both").stdout == ""
    assert lab.engine.cli("checkpoint", "rm", "both", "one").returncode == 0
    assert lab.engine.cli("checkpoint", "ls", "both").stdout == "CHECKPOINT NAME\ntwo\n"
    lab("rm", "-f", "both")
