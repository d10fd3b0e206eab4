"""testcontainers, unmodified: a service of Debian's packages is waited for, used, reaped when its test dies.

Ryuk, which removes what a test that was killed leaves behind, comes from a registry that tests cannot reach.
In its place is a stand-in that speaks its protocol: it is told a label, and when that connection ends it
removes all that has it, through the engine's socket that is mounted in it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.build import hosttree

REAPER = """
import http.client, json, socket, urllib.parse

class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

def ask(method, target):
    engine = Engine("engine")
    engine.request(method, target)
    return engine.getresponse().read()

listener = socket.create_server(("", 8080))
print("Started!", flush=True)
peer = listener.accept()[0]
lines = peer.makefile("rb")
label = lines.readline().decode().strip().removeprefix("label=")
peer.sendall(b"ACK\\n")
try:
    lines.read()
except ConnectionError:
    pass  # it was killed before it had read our word
filters = urllib.parse.quote(json.dumps({"label": [label]}))
for found in json.loads(ask("GET", f"/containers/json?all=1&filters={filters}")):
    ask("DELETE", f"/containers/{found['Id']}?force=1&v=1")
"""
PROGRAM = """
import os, signal, socket, sys
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

service = DockerContainer("redis").with_exposed_ports(6379).with_name(sys.argv[1])
with service.waiting_for(LogMessageWaitStrategy("Ready to accept connections")):
    assert wait_for_logs(service, "Ready to accept connections") is not None
    address = (service.get_container_host_ip(), int(service.get_exposed_port(6379)))
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"SET key value\\r\\nGET key\\r\\n")
        answer = b""
        while not answer.endswith(b"value\\r\\n"):
            answer += client.recv(100)
    assert service.exec(["redis-server", "--version"]).exit_code == 0
    print(answer, flush=True)
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def images(engine: ours.Engine) -> Iterator[None]:
    """``redis``, and ``ryuk:1``, which is the stand-in."""
    tree = hosttree.Tree()
    links = hosttree.shell(tree)
    server = hosttree.output("sh", "-c", "command -v redis-server").strip()
    tree.program(server)
    made = {"redis": (tree.archive(links), f'CMD ["{server}", "--save", "", "--protected-mode", "no"]')}
    tree = hosttree.Tree()
    interpreter = hosttree.python(tree)
    made["ryuk:1"] = (tree.archive(), f'CMD ["{interpreter}", "-I", "-S", "-c", {json.dumps(REAPER)}]')
    for name, (archive, command) in made.items():
        change = ("--change", command, "--change", f"ENV PATH={os.path.dirname(server)}")
        done = engine.cli("import", *change, "-", name, stdin=archive)
        assert done.returncode == 0, done.stderr
    yield
    engine.cli("rmi", "-f", *made)


def run(
    engine: ours.Engine, tmp_path: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={
            **os.environ,
            "DOCKER_HOST": engine.host,
            "HOME": str(tmp_path),
            "RYUK_CONTAINER_IMAGE": "ryuk:1",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.usefixtures("images")
def test_a_service_is_waited_for_used_and_removed(engine: ours.Engine, tmp_path: Path) -> None:
    done = run(engine, tmp_path, "tc-plain", "ends", TESTCONTAINERS_RYUK_DISABLED="true")
    assert (done.returncode, done.stdout) == (0, repr(b"+OK\r\n$5\r\nvalue\r\n") + "\n"), done.stderr
    assert "tc-plain" not in engine.cli("ps", "-a", "--format", "{{.Names}}").stdout


@pytest.mark.usefixtures("images")
def test_what_a_killed_test_leaves_is_reaped(engine: ours.Engine, tmp_path: Path) -> None:
    done = run(engine, tmp_path, "tc-reaped", "dies")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout
    ours.until(
        lambda: not {"tc-reaped"} & names(engine) and not any("ryuk" in name for name in names(engine)),
        "the service is gone, and the reaper with it",
        60,
    )


def names(engine: ours.Engine) -> set[str]:
    return set(engine.cli("ps", "-a", "--format", "{{.Names}}").stdout.split())
