"""What the processes of the start path have loaded: the spawner, its monitors and the cold runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
HEAVY = {
    "_collections_abc",
    "argparse",
    "asyncio",
    "collections",
    "contextlib",
    "ctypes",
    "dataclasses",
    "enum",
    "functools",
    "genericpath",
    "inspect",
    "json",
    "logging",
    "os",
    "pathlib",
    "posixpath",
    "re",
    "shutil",
    "signal",
    "socket",
    "stat",
    "string",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
}


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import wharfie.monitor.spawner",
        "import wharfie.runtime.cli, wharfie.runtime.commands, wharfie.runtime.control",
        "import wharfie.runtime.parent, wharfie.runtime.join",
        "import wharfie.runtime.executing, wharfie.runtime.views, wharfie.runtime.foreground",
        "import wharfie.runtime.network, wharfie.runtime.seccomp_cache, wharfie.runtime.runcconfig",
        "import wharfie.runtime.cgroups.v1, wharfie.runtime.cgroups.v2, wharfie.runtime.cgroups.systemd",
    ],
)
def test_no_heavy_module_is_loaded(statement: str) -> None:
    assert not HEAVY & loaded_by(statement)


def test_nothing_of_the_spawner_is_from_outside_the_standard_library() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("import wharfie.monitor.spawner")}
    assert not loaded - sys.stdlib_module_names - {"wharfie", "__main__"}


def test_the_daemon_loads_what_buildkits_clients_need_with_the_first_of_them() -> None:
    script = "import wharfie.daemon.main, wharfie.daemon.wiring, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    assert not {"h2", "hpack", "google.protobuf", "wharfie.buildkit"} & set(done.stdout.split())
