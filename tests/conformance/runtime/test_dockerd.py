"""Our runtime under a real dockerd: a day's usual commands with the docker command line.

dockerd hands it to containerd's shim as the option ``BinaryName``. Each test says what Docker's users see
with runc, and was seen with runc first (``WHARFIE_TEST_RUNTIME=runc`` plays it so; ``--privileged`` needs all
capabilities then).
"""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.conformance.runtime import runtimes
from tests.conformance.runtime.harness import remove_groups
from tests.peers import docker as peer

BRIDGE = "whrt0"
RUNTIME = os.environ.get("WHARFIE_TEST_RUNTIME", "wharfie")


class Docker:
    """The docker command line on one daemon."""

    def __init__(self, host: str) -> None:
        self.words = [peer.docker_cli(), "-H", host]

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """Run one command; what it writes."""
        done = subprocess.run(
            [*self.words, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def run(self, *words: str, code: int = 0, stdin: str = "") -> str:
        """``docker run --rm``."""
        return self("run", "--rm", "--runtime", RUNTIME, *words, code=code, stdin=stdin)

    def start(self, name: str, *words: str) -> str:
        """``docker run -d``; the name."""
        self("run", "-d", "--runtime", RUNTIME, "--name", name, *words)
        return name

    def field(self, name: str, template: str) -> str:
        """A field of ``docker inspect``."""
        return self("inspect", "-f", template, name).strip()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    state = tmp_path_factory.mktemp("dockerd")
    program = runtimes.launcher(state)
    with peer.dockerd(state, bridge=BRIDGE, options=("--add-runtime", f"wharfie={program}")) as host:
        peer.load_busybox(host)
        yield Docker(host)
    remove_groups("/docker")


@pytest.fixture(autouse=True)
def _nothing_stays(docker: Docker) -> Iterator[None]:
    yield
    names = docker("ps", "-aq").split()
    if names:
        docker("rm", "-f", *names)
    left = Path(f"/run/{'runc' if RUNTIME == 'runc' else 'wharfie-runtime'}")
    ours.until(lambda: not [entry for entry in left.glob("*/*") if len(entry.name) == 64], "state is left")


def test_info_lists_the_runtime(docker: Docker) -> None:
    assert "wharfie" in docker("info", "--format", "{{json .Runtimes}}")


def test_run_gives_output_and_exit_code(docker: Docker) -> None:
    assert docker.run("busybox", "echo", "hello") == "hello\n"
    docker.run("busybox", "sh", "-c", "exit 7", code=7)
    assert "not found" in docker.run("busybox", "nope", code=127)
    assert "ermission denied" in docker.run("busybox", "/etc/passwd", code=126)


def test_run_takes_input(docker: Docker) -> None:
    assert docker.run("-i", "busybox", "tr", "a-z", "A-Z", stdin="hello\n") == "HELLO\n"


def test_run_in_a_terminal(docker: Docker) -> None:
    master, slave = pty.openpty()
    words = [*docker.words, "run", "--rm", "-ti", "--runtime", RUNTIME, "busybox", "sh", "-c",
             "tty; stty size; read x; echo got-$x"]  # fmt: skip
    process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = b""
    while b"/dev/pts/0" not in said:
        assert select.select([master], [], [], 30)[0], said
        said += os.read(master, 4096)
    os.write(master, b"word\n")
    while select.select([master], [], [], 30)[0]:
        try:
            said += os.read(master, 4096)
        except OSError:  # EIO: the client has ended
            break
    os.close(master)
    assert process.wait(30) == 0
    assert b"got-word" in said


def test_the_options_of_run_reach_the_container(docker: Docker) -> None:
    shown = docker.run(
        "--hostname", "box", "--user", "1000:1001", "-w", "/tmp", "-e", "A=b", "--memory", "64m", "--cpus",
        "0.5",
        "--pids-limit", "50", "--ulimit", "nofile=99:99", "--sysctl", "net.ipv4.ip_forward=0", "--cap-drop",
        "ALL",
        "--security-opt", "no-new-privileges", "--read-only", "--tmpfs", "/scratch:mode=777", "--init",
        "busybox",
        "sh", "-c",
        "hostname; id -u; pwd; echo $A; ulimit -n; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status;"
        " touch /x 2>/dev/null || echo read-only; touch /scratch/x && echo scratch; cat /proc/1/comm",
    )  # fmt: skip
    assert shown.split() == [
        *(
            "box",
            "1000",
            "/tmp",
            "b",
            "99",
            "CapBnd:",
            "0000000000000000",
            "NoNewPrivs:",
            "1",
            "Seccomp:",
            "2",
        ),
        *("read-only", "scratch", "docker-init"),
    ]


def test_volumes_and_devices(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine\n")
    shown = docker.run("-v", f"{tmp_path}:/data:ro", "-v", "named:/named", "--device", "/dev/zero:/dev/mine",
                       "busybox", "sh", "-c", "cat /data/f; touch /data/x 2>/dev/null || echo refused;"
                       " touch /named/x && ls /named; head -c 1 /dev/mine | wc -c")  # fmt: skip
    assert shown.split() == ["mine", "refused", "x", "1"]
    docker("volume", "rm", "named")


def test_a_privileged_container_has_more(docker: Docker) -> None:
    shown = docker.run(
        "--privileged",
        "busybox",
        "sh",
        "-c",
        "mount -t tmpfs x /mnt 2>&1 || mount -t tmpfs x /tmp && echo mounted",
    )
    assert "mounted" in shown


def test_exec_in_its_ways(docker: Docker) -> None:
    docker.start("execs", "-e", "A=b", "busybox", "sleep", "1000")
    assert docker("exec", "execs", "sh", "-c", "echo $A; hostname | wc -c").split() == ["b", "13"]
    assert docker("exec", "-i", "execs", "cat", stdin="in\n") == "in\n"
    assert docker(
        "exec", "-u", "nobody", "-w", "/tmp", "-e", "C=d", "execs", "sh", "-c", "id -u; pwd; echo $C"
    ) == ("65534\n/tmp\nd\n")
    docker("exec", "execs", "sh", "-c", "exit 5", code=5)
    assert "not found" in docker("exec", "execs", "nope", code=126)
    docker("exec", "-d", "execs", "touch", "/detached")
    ours.until(lambda: "detached" in docker("exec", "execs", "ls", "/"), "the detached command did not run")


def test_logs_stop_start_restart(docker: Docker) -> None:
    docker.start(
        "lives", "busybox", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"
    )
    ours.until(lambda: docker("logs", "lives") == "up\n", "nothing was logged")
    docker("stop", "lives")
    assert docker.field("lives", "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
    assert docker("logs", "lives") == "up\nbye\n"
    docker("start", "lives")
    docker("restart", "-t", "1", "lives")
    assert docker.field("lives", "{{.State.Status}}") == "running"
    docker("kill", "lives")
    assert docker.field("lives", "{{.State.ExitCode}}") == "137"


def test_update_changes_limits(docker: Docker) -> None:
    docker.start("limits", "--memory", "64m", "busybox", "sleep", "1000")
    docker(
        "update",
        "--memory",
        "80m",
        "--memory-swap",
        "80m",
        "--cpu-shares",
        "512",
        "--pids-limit",
        "77",
        "limits",
    )
    pid = docker.field("limits", "{{.State.Pid}}")
    places = dict(line.split(":")[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    if "memory" in places:
        top = Path("/sys/fs/cgroup")
        assert (top / f"memory{places['memory']}/memory.limit_in_bytes").read_text() == f"{80 << 20}\n"
        assert (top / f"cpu{places['cpu']}/cpu.shares").read_text() == "512\n"
        assert (top / f"pids{places['pids']}/pids.max").read_text() == "77\n"
    else:
        group = Path(f"/sys/fs/cgroup{places['']}")
        assert (group / "memory.max").read_text() == f"{80 << 20}\n"
        assert (group / "pids.max").read_text() == "77\n"


def test_top_stats_pause_and_unpause(docker: Docker) -> None:
    docker.start("looked", "busybox", "sleep", "1000")
    assert "sleep 1000" in docker("top", "looked")
    figures = json.loads(docker("stats", "--no-stream", "--format", "{{json .}}", "looked"))
    assert figures["PIDs"] == "1"
    docker("pause", "looked")
    assert docker.field("looked", "{{.State.Status}}") == "paused"
    assert "paused" in docker("exec", "looked", "true", code=1)
    docker("unpause", "looked")
    assert docker("exec", "looked", "echo", "back") == "back\n"


def test_copies_in_and_out(docker: Docker, tmp_path: Path) -> None:
    docker.start("copied", "busybox", "sleep", "1000")
    (tmp_path / "f").write_text("text")
    docker("cp", str(tmp_path / "f"), "copied:/tmp/g")
    assert docker("exec", "copied", "cat", "/tmp/g") == "text"
    docker("cp", "copied:/tmp/g", str(tmp_path / "h"))
    assert (tmp_path / "h").read_text() == "text"


def test_health_checks(docker: Docker) -> None:
    docker.start("healthy", "--health-cmd", "test -e /fine", "--health-interval", "0.2s", "--health-retries",
                 "1",
                 "busybox", "sleep", "1000")  # fmt: skip
    ours.until(lambda: docker.field("healthy", "{{.State.Health.Status}}") == "unhealthy", "never unhealthy")
    docker("exec", "healthy", "touch", "/fine")
    ours.until(lambda: docker.field("healthy", "{{.State.Health.Status}}") == "healthy", "never healthy")


def test_a_container_that_takes_too_much_memory_is_told_so(docker: Docker) -> None:
    docker("run", "--runtime", RUNTIME, "--name", "hungry", "-m", "16m", "--memory-swap", "16m", "busybox",
           "tail", "/dev/zero", code=137)  # fmt: skip
    ours.until(lambda: docker.field("hungry", "{{.State.OOMKilled}}") == "true", "it is not told")


def test_containers_see_each_other_over_the_bridge(docker: Docker) -> None:
    docker.start("server", "busybox", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    address = docker.field("server", "{{.NetworkSettings.IPAddress}}")
    ours.until(lambda: "LISTEN" in docker("exec", "server", "netstat", "-ltn"), "it does not listen")
    assert docker.run("busybox", "nc", "-w", "20", address, "80") == "hello\n"


def test_shared_namespaces(docker: Docker) -> None:
    docker.start("first", "--hostname", "shared", "--ipc", "shareable", "busybox", "sleep", "1000")
    shown = docker.run("--network", "container:first", "--pid", "container:first", "--ipc", "container:first",
                       "busybox", "sh", "-c", "ps | grep -c 'sleep 1000'; hostname")  # fmt: skip
    assert shown.split()[-1] == "shared"
    assert docker.run(
        "--network", "host", "--pid", "host", "--uts", "host", "busybox", "hostname"
    ).strip() == (os.uname().nodename)


def test_a_restart_policy_starts_it_again(docker: Docker) -> None:
    docker.start("again", "--restart", "on-failure:2", "busybox", "false")
    ours.until(
        lambda: docker.field("again", "{{.RestartCount}} {{.State.Status}}") == "2 exited", "not restarted"
    )


def test_many_at_once(docker: Docker) -> None:
    words = [*docker.words, "run", "--rm", "--runtime", RUNTIME, "busybox", "echo"]
    running = [
        subprocess.Popen([*words, str(number)], stdout=subprocess.PIPE, text=True) for number in range(6)
    ]
    assert [process.communicate(timeout=90)[0] for process in running] == [f"{n}\n" for n in range(6)]
