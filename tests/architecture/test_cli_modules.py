"""What a ``run`` loads: the sum of harmless imports is the whole budget of a start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.cli import stub
from tests.unit.cli.launch import SOURCE, command

FORBIDDEN = {
    "json", "re", "enum", "typing", "dataclasses", "argparse", "socket", "subprocess", "pathlib", "click",
    "rich", "collections", "functools", "contextlib", "logging", "shutil", "tempfile", "traceback", "signal",
    "os", "posixpath", "genericpath", "stat", "_collections_abc", "selectors", "msgspec",
    "aiohttp", "asyncio", "string", "urllib", "inspect",
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
    # each with whether it came out of the one file
    loader = "type(getattr(module.__spec__, 'loader', None)).__name__"
    shown = f"' '.join(name + '=' + {loader} for name, module in [*sys.modules.items()])"
    after = f"open({str(report)!r}, 'w').write({shown})"
    with stub.serving(tmp_path, routes) as daemon:
        # the first makes the file that the modules of the next come from, of the sources as they are
        for file in (SOURCE / "wharfie/cli/__pycache__").glob("*.modules"):
            file.unlink()
        subprocess.run(command(daemon.host, "version"), capture_output=True, timeout=30)
        done = subprocess.run(command(daemon.host, *words, after=after), capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    loaded = dict(one.split("=") for one in report.read_text().split())
    assert not loaded.keys() & FORBIDDEN
    ours = {name: loader for name, loader in loaded.items() if name.startswith("wharfie.")}
    assert ours.pop("wharfie.door") == "SourceFileLoader"
    assert set(ours.values()) == {"Finder"}, ours
