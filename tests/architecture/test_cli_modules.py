"""What a ``run`` loads: the sum of harmless imports is the whole budget of a start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import command

FORBIDDEN = {
    "json", "re", "enum", "typing", "dataclasses", "argparse", "socket", "subprocess", "pathlib", "click",
    "rich", "collections", "functools", "contextlib", "logging", "shutil", "tempfile", "traceback", "signal",
    "os", "selectors", "msgspec", "aiohttp", "asyncio", "string", "urllib", "inspect",
}  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--rm", "-e", "A=b", "-v", "/a:/b", "-m", "1g", "--name", "x", "busybox", "true"),
        ("run", "-d", "busybox"),
        ("start", "c"),
        ("stop", "c"),
        ("rm", "-f", "c"),
        ("wait", "c"),
        ("ps", "-a"),
        ("logs", "c"),
        ("exec", "c", "true"),
    ],
    ids=" ".join,
)
def test_a_hot_command_loads_nothing_heavy(tmp_path: Path, words: tuple[str, ...]) -> None:
    routes: dict[str, stub.Route] = stub.container_routes(stub.frame(1, b"x\n")) | {
        "POST /containers/c/start": lambda *_: stub.answer(None, 204),
        "POST /containers/c/stop": lambda *_: stub.answer(None, 204),
        "DELETE /containers/c": lambda *_: stub.answer(None, 204),
        "POST /containers/c/wait": lambda *_: stub.answer({"StatusCode": 0}),
        "GET /containers/json": lambda *_: stub.answer([]),
        "GET /containers/c/logs": lambda *_: stub.chunked(
            stub.frame(1, b"x\n"), kind="application/vnd.docker.multiplexed-stream"
        ),
        "POST /containers/c/exec": lambda *_: stub.answer({"Id": "e"}),
        "POST /exec/e/start": lambda _, request: request.sock.sendall(stub.UPGRADED),
        "GET /exec/e/json": lambda *_: stub.answer({"ExitCode": 0}),
    }
    report = tmp_path / "modules"
    after = f"open({str(report)!r}, 'w').write(' '.join(sys.modules))"
    with stub.serving(tmp_path, routes) as daemon:
        # the first makes the file that the modules of the next come from
        subprocess.run(command(daemon.host, "version"), capture_output=True, timeout=30)
        done = subprocess.run(command(daemon.host, *words, after=after), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    loaded = set(report.read_text().split())
    assert "wharfie.cli.main" in loaded
    assert not loaded & FORBIDDEN
