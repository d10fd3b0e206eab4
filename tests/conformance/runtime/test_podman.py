"""Our runtime under a real Podman (``--runtime``), with conmon between them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.runtime import runtimes
from tests.conformance.runtime.harness import remove_groups
from tests.peers import busybox


class Podman:
    """Podman with storage of its own."""

    def __init__(self, state: Path, runtime: Path) -> None:
        self.words = [
            "podman", "--root", str(state / "root"), "--runroot", str(state / "run"), "--tmpdir",
            str(state / "tmp"),
            "--cgroup-manager=cgroupfs", "--events-backend=file", "--storage-driver=overlay",
            "--runtime", str(runtime),
        ]  # fmt: skip

    def __call__(self, *words: str, code: int = 0, stdin: str | bytes = "") -> str:
        """Run one command; what it writes."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([*self.words, *words], input=data, capture_output=True, timeout=90, check=False)
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == code, (words, done.returncode, said)
        return said

    def run(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """``podman run`` within the limits that this machine's root may set."""
        limits = ("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:4096", "--network", "none")
        return self("run", *limits, *words, code=code, stdin=stdin)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    # its paths may have 50 bytes
    with tempfile.TemporaryDirectory(prefix="whp") as directory:
        state = Path(directory)
        found = Podman(state, runtimes.launcher(state))
        try:
            found("import", "--change", "ENV=PATH=/bin", "-", "busybox", stdin=busybox.tarball())
            yield found
        finally:
            found("rm", "-fa", "-t", "0")
            subprocess.run(["umount", "-l", str(state / "root" / "overlay")], capture_output=True)
            remove_groups("/libpod_parent/conmon", "/libpod_parent")


@pytest.fixture(autouse=True)
def _nothing_stays(podman: Podman) -> Iterator[None]:
    yield
    podman("rm", "-fa", "-t", "0")
    assert podman("ps", "-aq") == ""


def test_info_names_the_runtime(podman: Podman) -> None:
    shown = podman("info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}")
    assert "wharfie-runtime" in shown


def test_run_gives_output_and_exit_code(podman: Podman) -> None:
    assert podman.run("--rm", "busybox", "echo", "hello") == "hello\n"
    podman.run("--rm", "busybox", "sh", "-c", "exit 7", code=7)
    podman.run("--rm", "busybox", "nope", code=127)
    podman.run("--rm", "busybox", "/etc/passwd", code=126)
    assert podman.run("--rm", "-i", "busybox", "tr", "a-z", "A-Z", stdin="in\n") == "IN\n"


def test_run_with_options(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine\n")
    tmp_path.chmod(0o755)
    shown = podman.run(
        "--rm", "--hostname", "box", "-u", "1000:1000", "-w", "/tmp", "-e", "A=b", "-v",
        f"{tmp_path}:/data:ro",
        "--read-only", "--tmpfs", "/scratch", "-m", "64m", "--pids-limit", "50", "--cap-drop", "all",
        "busybox",
        "sh", "-c", "hostname; id -u; pwd; echo $A; cat /data/f; touch /x 2>/dev/null || echo refused;"
        " touch /scratch/x && echo scratch; grep CapBnd /proc/self/status",
    )  # fmt: skip
    assert shown.split() == [
        *("box", "1000", "/tmp", "b", "mine", "refused", "scratch", "CapBnd:", "0000000000000000"),
    ]


def test_a_user_namespace(podman: Podman) -> None:
    shown = podman.run(
        "--rm", "--uidmap", "0:100000:65536", "busybox", "sh", "-c", "id -u; cat /proc/self/uid_map"
    )
    assert shown.split() == ["0", "0", "100000", "65536"]


def test_exec_logs_top_pause_stop_start(podman: Podman) -> None:
    podman.run("-d", "--name", "lives", "busybox", "sh", "-c",
               "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done")  # fmt: skip
    ours.until(lambda: podman("logs", "lives") == "up\n", "nothing was logged")
    assert podman("exec", "lives", "echo", "inside") == "inside\n"
    podman("exec", "lives", "sh", "-c", "exit 5", code=5)
    assert "trap" in podman("top", "lives", "args") or "sh" in podman("top", "lives")
    podman("pause", "lives")
    assert podman("inspect", "-f", "{{.State.Status}}", "lives") == "paused\n"
    podman("unpause", "lives")
    podman("stop", "lives")
    assert podman("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "lives") == "exited 3\n"
    podman("start", "lives")
    podman("kill", "lives")
    assert podman("wait", "lives") == "137\n"


def test_a_pod_shares_namespaces(podman: Podman) -> None:
    podman.run("-d", "--name", "first", "--hostname", "shared", "busybox", "sleep", "1000")
    words = ("--rm", "--pid", "container:first", "--uts", "container:first", "--ipc", "container:first")
    shown = podman.run(*words, "busybox", "sh", "-c", "hostname; ps | grep -c 'sleep 1000'")
    assert shown.split()[0] == "shared"


def test_health_checks(podman: Podman) -> None:
    podman.run("-d", "--name", "healthy", "--health-cmd", "test -e /fine", "busybox", "sleep", "1000")
    podman("healthcheck", "run", "healthy", code=1)
    podman("exec", "healthy", "touch", "/fine")
    podman("healthcheck", "run", "healthy")


def test_update_changes_limits(podman: Podman) -> None:
    podman.run("-d", "--name", "limited", "-m", "64m", "busybox", "sleep", "1000")
    podman("update", "--memory", "80m", "limited")
    pid = podman("inspect", "-f", "{{.State.Pid}}", "limited").strip()
    places = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    file = (
        f"memory{places['memory']}/memory.limit_in_bytes"
        if "memory" in places
        else f"{places['']}/memory.max"
    )
    assert Path(f"/sys/fs/cgroup/{file}").read_text() == f"{80 << 20}\n"
