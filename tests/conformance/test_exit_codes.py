"""The end of a stream comes after the exit code is known: a client that asks then gets it, always."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests import ours
from tests.peers import docker

ROUNDS = 200


class Connection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, engine: ours.Engine) -> None:
        super().__init__("engine")
        self._path = engine.host.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        self.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
        return json.loads(self.getresponse().read())


def exec_and_inspect(engine: ours.Engine, code: int) -> dict[str, Any]:
    """Run one command to the end of its stream and ask at once, on a connection that is open already."""
    asking = Connection(engine)
    body = {"Cmd": ["sh", "-c", f"exit {code}"], "AttachStdout": True, "AttachStderr": True}
    exec_id = asking.ask("POST", "/containers/hammered/exec", body)["Id"]
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(engine.host.removeprefix("unix://"))
        head = f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        stream.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        while stream.recv(4096):
            pass
    try:
        return dict(asking.ask("GET", f"/exec/{exec_id}/json"))
    finally:
        asking.close()


def test_the_code_of_an_exec_is_there_when_its_stream_ends(engine: ours.Engine) -> None:
    assert engine.cli("run", "-d", "--name", "hammered", "busybox", "sleep", "1000").returncode == 0
    try:
        with ThreadPoolExecutor(4) as pool:
            codes = [1 + number % 100 for number in range(ROUNDS)]
            answers = list(pool.map(lambda code: exec_and_inspect(engine, code), codes))
        assert [(answer["Running"], answer["ExitCode"]) for answer in answers] == [(False, n) for n in codes]
    finally:
        engine.cli("rm", "-f", "hammered")


def test_the_docker_command_line_sees_every_exit_code(engine: ours.Engine) -> None:
    program = [docker.docker_cli(), "-H", engine.host]
    assert engine.cli("run", "-d", "--name", "hammered", "busybox", "sleep", "1000").returncode == 0
    try:
        with ThreadPoolExecutor(3) as pool:
            codes = [1 + number for number in range(40)]
            done = pool.map(
                lambda code: subprocess.run([*program, "exec", "hammered", "sh", "-c", f"exit {code}"]), codes
            )
            assert [process.returncode for process in done] == codes
    finally:
        engine.cli("rm", "-f", "hammered")
