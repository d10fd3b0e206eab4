"""Our runtime under a real containerd: ``ctr`` gives it to the shim as ``BinaryName``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.runtime import runtimes
from tests.conformance.runtime.harness import remove_groups
from tests.peers import busybox

IMAGE = "docker.io/library/busybox:latest"
# images without a registry: an archive in Docker's form has to be made, buildah does that from a tree
_ARCHIVE = (
    "set -e; name=$(buildah {storage} from scratch); buildah {storage} add -q $name {tar} / >/dev/null;"
    " buildah {storage} config --env PATH=/bin $name;"
    " buildah {storage} commit -q $name docker-archive:{target}:{image} >/dev/null"
)


class Containerd:
    """A containerd of our own, and ``ctr`` for it."""

    def __init__(self, state: Path, runtime: Path) -> None:
        self._state = state
        self._runtime = str(runtime)

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """Run one command of ``ctr``; what it writes."""
        done = subprocess.run(
            ["ctr", "--address", str(self._state / "c.sock"), *words], input=stdin, capture_output=True,
            text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def run(
        self, name: str, *words: str, options: tuple[str, ...] = (), code: int = 0, stdin: str = ""
    ) -> str:
        """``ctr run`` with our runtime."""
        head = ("run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self._runtime, *options)
        return self(*head, IMAGE, name, *words, code=code, stdin=stdin)


def configuration(state: Path) -> str:
    """containerd's own configuration: everything below ``state``, and no plug-in that is not needed."""
    return f"""\
version = 2
root = "{state}/root"
state = "{state}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{state}/c.sock"
[ttrpc]
  address = "{state}/t.sock"
"""


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    state = tmp_path_factory.mktemp("c")
    (state / "config.toml").write_text(configuration(state))
    (state / "root.tar").write_bytes(busybox.tarball())
    storage = f"--root {state}/b --runroot {state}/r --storage-driver vfs"
    script = _ARCHIVE.format(storage=storage, tar=state / "root.tar", target=state / "image.tar", image=IMAGE)
    made = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(["containerd", "-c", state / "config.toml"], stdout=log, stderr=log)
    found = Containerd(state, runtimes.launcher(state))
    try:
        ours.until(lambda: (state / "c.sock").exists(), "containerd does not listen")
        found("image", "import", "--no-unpack", str(state / "image.tar"))
        # that unpacks it
        (state / "m").mkdir()
        found("image", "mount", IMAGE, str(state / "m"))
        found("image", "unmount", str(state / "m"))
        yield found
    finally:
        process.terminate()
        process.wait(60)
        remove_groups("/default")


@pytest.fixture(autouse=True)
def _nothing_stays(ctr: Containerd) -> Iterator[None]:
    yield
    for name in ctr("task", "list", "-q").split():
        ctr("task", "rm", "-f", name)
    for name in ctr("container", "list", "-q").split():
        ctr("container", "rm", name)
    state = Path("/run/containerd/runc/default")
    ours.until(lambda: not state.exists() or not os.listdir(state), "a container's state is left")


def test_run_gives_output_and_exit_code(ctr: Containerd) -> None:
    assert ctr.run("one", "echo", "hello", options=("--rm",)) == "hello\n"
    ctr.run("two", "sh", "-c", "exit 7", options=("--rm",), code=7)
    assert "not found" in ctr.run("three", "nope", options=("--rm",), code=1)


def test_run_with_options(ctr: Containerd, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine\n")
    bind = f"type=bind,src={tmp_path},dst=/data,options=rbind:ro"
    options = ("--rm", "--env", "A=b", "--cwd", "/tmp", "--mount", bind, "--read-only", "--memory-limit",
               "67108864")  # fmt: skip
    shown = ctr.run("four", "sh", "-c",
                    "echo $A; pwd; cat /data/f; touch /x 2>/dev/null || echo refused",
                    options=options)  # fmt: skip
    assert shown.split() == ["b", "/tmp", "mine", "refused"]


def test_a_task_in_the_background_lives_and_ends(ctr: Containerd) -> None:
    ctr.run("five", "sleep", "1000", options=("-d",))
    assert "RUNNING" in ctr("task", "list")
    assert ctr("task", "exec", "--exec-id", "e1", "five", "echo", "inside") == "inside\n"
    ctr("task", "exec", "--exec-id", "e2", "five", "sh", "-c", "exit 4", code=4)
    assert "PID" in ctr("task", "ps", "five")
    ctr("task", "pause", "five")
    assert "PAUSED" in ctr("task", "list")
    ctr("task", "resume", "five")
    assert "pids.current" in ctr("task", "metrics", "five") or "memory" in ctr("task", "metrics", "five")
    ctr("task", "kill", "-s", "KILL", "five")
    ours.until(lambda: "STOPPED" in ctr("task", "list"), "it did not stop")
    assert "137" in ctr("task", "rm", "five")


def test_the_default_seccomp_profile_of_containerd(ctr: Containerd) -> None:
    shown = ctr.run("six", "grep", "Seccomp:", "/proc/self/status", options=("--rm", "--seccomp"))
    assert shown.split() == ["Seccomp:", "2"]


def test_a_privileged_task(ctr: Containerd) -> None:
    shown = ctr.run(
        "seven", "sh", "-c", "mount -t tmpfs x /tmp && echo mounted", options=("--rm", "--privileged")
    )
    assert shown == "mounted\n"
