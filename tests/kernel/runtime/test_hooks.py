"""Hooks: where they run, what they are told, and what their failure means."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, make_spec
from wharfie.runtime.hooks import run_hook
from wharfie.runtime.launch import LaunchError

STAGES = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
STATUS = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def test_each_stage_has_its_status_its_pid_and_its_namespace(box: Box, tmp_path: Path) -> None:
    stages = {
        name: [hook(f"/bin/cat >{tmp_path}/{name}; /bin/readlink /proc/self/ns/mnt >{tmp_path}/{name}.ns")]
        for name in STAGES
    }
    inside = "cat >/told; readlink /proc/self/ns/mnt >/told.ns; echo $A >>/told.ns"
    stages["startContainer"] = [hook(inside, env=["PATH=/bin", "A=b"])]
    done = box.run("cat /told /told.ns; readlink /proc/self/ns/mnt", hooks=stages, annotations={"k": "v"})
    lines = done.output.replace("}mnt", "}\nmnt").split()
    # in the container's mount namespace its root covers the bundle
    places = {name: box.upper if name == "createContainer" else tmp_path for name in STAGES}
    states = {name: json.loads((places[name] / name).read_text()) for name in STAGES}
    states["startContainer"] = json.loads(lines[0])
    for name, state in states.items():
        assert (state["status"], state["id"]) == (STATUS[name], box.id)
        assert (state["annotations"], state["bundle"]) == ({"k": "v"}, str(box.directory))
    pids = {name: state["pid"] for name, state in states.items()}
    assert pids["prestart"] == pids["createRuntime"] == pids["poststart"] > 1
    assert (pids["createContainer"], pids["startContainer"], pids["poststop"]) == (1, 1, 0)
    own = os.readlink("/proc/self/ns/mnt")
    spaces = {name: (places[name] / f"{name}.ns").read_text().strip() for name in STAGES}
    assert {name for name, space in spaces.items() if space == own} == set(STAGES) - {"createContainer"}
    assert lines[1:] == [spaces["createContainer"], "b", spaces["createContainer"]]


@pytest.mark.parametrize("stage", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_a_failure_before_the_program_takes_the_container_back(box: Box, tmp_path: Path, stage: str) -> None:
    stages = {stage: [hook("exit 0"), hook("exit 3")], "poststop": [hook(f"echo >{tmp_path}/stopped")]}
    with pytest.raises(LaunchError, match=rf"error running {stage} hook #1 .*exit status 3"):
        box.start(make_spec(["true"], hooks=stages))
    assert (tmp_path / "stopped").exists()


def test_a_failure_after_the_program_started_is_a_warning(box: Box, tmp_path: Path) -> None:
    stages = {
        "poststart": [hook("exit 4"), hook(f"echo >{tmp_path}/next")],
        "poststop": [{"path": "/does/not/exist"}],
    }
    container = box.start(make_spec(["true"], hooks=stages))
    assert os.waitid(os.P_PIDFD, container.pidfd, os.WEXITED)
    container.destroy()
    container.close()
    assert (tmp_path / "next").exists()
    assert "poststart hook #0 (/bin/sh): exit status 4" in container.warnings[0]
    assert "no such file or directory" in container.warnings[1]


def test_a_hook_that_takes_too_long_is_killed(box: Box) -> None:
    stages = {"createRuntime": [hook("exec /bin/sleep 100", timeout=1)]}
    with pytest.raises(LaunchError, match="hook ran past specified timeout of 1s"):
        box.start(make_spec(["true"], hooks=stages))


def test_a_hook_inherits_nothing_and_may_write_much() -> None:
    secret = os.open("/", os.O_RDONLY)
    os.set_inheritable(secret, True)
    script = (
        f'test -z "$HOME" || exit 5; test ! -e /proc/self/fd/{secret} || exit 6; '
        "/usr/bin/head -c 300000 /dev/zero"
    )
    try:
        assert run_hook(hook(script), {}) == ""
    finally:
        os.close(secret)
