"""The runtime's command line through a container's whole life."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.runtime.conftest import Box, box, make_spec

__all__ = ["box"]
SOURCE = str(Path(__file__).resolve().parents[3] / "src")
BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from wharfie.door import runtime; runtime()"
# what is loaded when the command ends (its children end, too), run where it is
REPORT = """
import posix, sys; sys.path.insert(0, sys.argv[1])
from wharfie.runtime import interpreter
interpreter.ensure_read_only = lambda words: None
pid, leave = posix.getpid(), posix._exit
def end(code):
    if posix.getpid() == pid:
        open("modules", "w").write(" ".join(sys.modules))
    leave(code)
posix._exit = end
"""
HEAVY = {"os", "posixpath", "genericpath", "stat", "_collections_abc", "json", "re", "enum"}


class Runtime:
    """The command line with a state root of its own."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.log = box.directory / "log"
        self.boot = BOOT

    def write(self, args: list[str]) -> None:
        """Write the bundle's configuration."""
        spec = make_spec(args, linux={"cgroupsPath": self.box.cgroup})
        spec["root"]["path"] = "root"
        (self.box.directory / "config.json").write_text(json.dumps(spec))

    def __call__(self, *words: str, fails: bool = False) -> str:
        """Run one command in the bundle; its output."""
        head = [sys.executable, "-I", "-S", "-c", self.boot, SOURCE]
        head += ["--root", str(self.box.directory / "state")]
        head += ["--log", str(self.log), "--log-format", "json"]
        # a file and no pipe: a created container keeps its standard output open
        with open(self.box.directory / "output", "w+") as output:
            done = subprocess.run(
                [*head, *words], cwd=self.box.directory, stdout=output, stderr=output if fails else None,
                stdin=subprocess.DEVNULL, timeout=60,
            )  # fmt: skip
            output.seek(0)
            said = output.read()
        assert (done.returncode != 0) == fails, (words, said)
        return said


@pytest.fixture
def runtime(box: Box) -> Runtime:
    return Runtime(box)


def test_no_command_of_a_life_loads_what_is_heavy(runtime: Runtime) -> None:
    runtime.write(["sleep", "1000"])
    # one command makes the file that the modules of the others come from, of the sources as they are
    for file in Path(SOURCE, "wharfie/runtime/__pycache__").glob("*.modules"):
        file.unlink()
    runtime("--version")
    runtime.boot = REPORT + BOOT
    for words in (
        "create one", "start one", "state one", "exec one hostname", "kill one KILL", "delete --force one",
        "run --detach two", "delete --force two",
    ):  # fmt: skip
        runtime(*words.split())
        loaded = set((runtime.box.directory / "modules").read_text().split())
        assert "wharfie.runtime.state" in loaded, words
        assert not loaded & HEAVY, words


def test_a_descriptor_of_the_runtimes_own_is_never_handed_on(runtime: Runtime) -> None:
    runtime.write(["sleep", "1000"])
    runtime("run", "--detach", "one")
    # where the caller has nothing open, the first that the command itself opens is
    for command in (
        ("run", "--preserve-fds", "1", "two"),
        ("exec", "--preserve-fds", "1", "one", "hostname"),
    ):
        runtime(*command, fails=True)
        said = json.loads(runtime.log.read_text().splitlines()[-1])["msg"]
        assert said.endswith("preserving 1 descriptors failed: descriptor 3 is not open")
    assert runtime("list", "--quiet") == "one\n"
    runtime("delete", "--force", "one")


def test_a_life_from_create_to_delete(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write(["sleep", "1000"])
    runtime("create", "--pid-file", str(tmp_path / "pid"), "one")
    state = json.loads(runtime("state", "one"))
    assert (state["status"], str(state["pid"])) == ("created", (tmp_path / "pid").read_text())
    runtime("start", "one")
    pidfd = os.pidfd_open(state["pid"])
    assert json.loads(runtime("state", "one"))["status"] == "running"
    assert "already exists" in runtime("create", "one", fails=True)
    assert runtime("exec", "one", "hostname") == "box\n"
    assert 'exec: "nope": executable file not found in $PATH' in runtime("exec", "one", "nope", fails=True)
    runtime("pause", "one")
    assert json.loads(runtime("list", "--format", "json"))[0]["status"] == "paused"
    runtime("resume", "one")
    assert "not stopped" in runtime("delete", "one", fails=True)
    runtime("kill", "one", "KILL")
    assert _gone(pidfd)
    runtime("delete", "one")
    assert "container does not exist" in runtime("state", "one", fails=True)
    assert json.loads(runtime.log.read_text().splitlines()[-1])["msg"] == "container does not exist"


def _gone(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ready = bool(poller.poll(60_000))
    os.close(pidfd)
    return ready


def test_run_gives_the_exit_code_and_leaves_nothing(runtime: Runtime) -> None:
    runtime.write(["sh", "-c", "echo out; exit 0"])
    assert runtime("run", "two") == "out\n"
    assert runtime("list", "--quiet") == ""


def test_a_failed_create_leaves_no_record(runtime: Runtime) -> None:
    runtime.write(["/nope"])
    assert "no such file or directory" in runtime("create", "three", fails=True)
    assert runtime("list", "--quiet") == ""


def test_exec_takes_options_and_its_own_exit_codes(runtime: Runtime, tmp_path: Path) -> None:
    runtime.write(["sleep", "1000"])
    runtime("create", "four")
    # a created container can be joined already
    assert runtime("exec", "four", "hostname") == "box\n"
    runtime("start", "four")
    told = runtime(
        "exec", "--cwd", "/tmp", "-e", "A=b", "-u", "1000:5", "-g", "7", "-g", "8", "four",
        "sh", "-c", "pwd; echo $A; id -u; id -g; id -G",
    )  # fmt: skip
    assert told.split() == ["/tmp", "b", "1000", "5", "5", "7", "8"]
    (tmp_path / "process.json").write_text(
        json.dumps({"args": ["sh", "-c", "echo $X; exit 0"], "env": ["X=y", "PATH=/bin"], "cwd": "/"})
    )
    assert runtime("exec", "--process", str(tmp_path / "process.json"), "four") == "y\n"
    assert "process args cannot be empty" in runtime("exec", "four", fails=True)
    assert "parsing a:1 as int for uid" in runtime("exec", "-u", "a:1", "four", "true", fails=True)
    runtime("pause", "four")
    assert "use --ignore-paused to override" in runtime("exec", "four", "true", fails=True)
    runtime("resume", "four")
    runtime("exec", "--detach", "--pid-file", str(tmp_path / "pid"), "four", "true")
    assert int((tmp_path / "pid").read_text()) > 1
    runtime("delete", "--force", "four")
    runtime("delete", "--force", "four")


def test_exec_enters_a_group_below_the_container(runtime: Runtime) -> None:
    runtime.write(["sleep", "1000"])
    runtime("run", "--detach", "five")
    state = json.loads((runtime.box.directory / "state/five/state.json").read_text())
    pids = Path(state["cgroup_paths"]["pids"])
    (pids / "below").mkdir()
    shown = runtime("exec", "--cgroup", "pids:below", "five", "sh", "-c", "cat /proc/self/cgroup")
    assert next(line for line in shown.splitlines() if ":pids:" in line).endswith("/below")
    assert next(line for line in shown.splitlines() if ":memory:" in line).endswith(":/")
    assert "leave the container" in runtime("exec", "--cgroup", "../..", "five", "true", fails=True)
    assert "no nonsense control groups" in runtime(
        "exec", "--cgroup", "nonsense:x", "five", "true", fails=True
    )
    runtime("delete", "--force", "five")


def test_limits_change_and_statistics_are_told(runtime: Runtime) -> None:
    runtime.write(["sleep", "1000"])
    runtime("run", "--detach", "six")
    runtime("update", "--memory", "64M", "--pids-limit", "33", "--cpu-share", "512", "six")
    paths = json.loads((runtime.box.directory / "state/six/state.json").read_text())["cgroup_paths"]
    assert Path(paths["memory"], "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
    assert Path(paths["pids"], "pids.max").read_text() == "33\n"
    assert Path(paths["cpu"], "cpu.shares").read_text() == "512\n"
    (runtime.box.directory / "limits").write_text('{"pids": {"limit": 44}}')
    runtime("update", "--resources", "limits", "six")
    assert Path(paths["pids"], "pids.max").read_text() == "44\n"
    (runtime.box.directory / "limits").write_text('{"pids": {"limit": "x"}}')
    assert "resources.pids.limit must be a whole number" in runtime(
        "update", "-r", "limits", "six", fails=True
    )
    event = json.loads(runtime("events", "--stats", "six"))
    assert (event["type"], event["id"], event["data"]["pids"]) == (
        "stats",
        "six",
        {"current": 1, "limit": 44},
    )
    assert event["data"]["memory"]["usage"]["limit"] == 64 << 20
    usage = event["data"]["cpu"]["usage"]
    assert len(usage["percpu_kernel"]) == len(usage["percpu_user"]) == len(usage["percpu"])
    assert json.loads(runtime("ps", "-f", "json", "six")) == [json.loads(runtime("state", "six"))["pid"]]
    runtime("delete", "--force", "six")


def test_memory_running_out_is_an_event(runtime: Runtime) -> None:
    runtime.write(["sh", "-c", "read x </tmp/go; x=a; while true; do x=$x$x; done"])
    os.mkfifo(runtime.box.root / "tmp/go")
    runtime("create", "seven")
    runtime("update", "--memory", "8M", "seven")
    runtime("start", "seven")
    head = [sys.executable, "-I", "-S", "-c", BOOT, SOURCE, "--root", str(runtime.box.directory / "state")]
    with subprocess.Popen(
        [*head, "events", "--interval", "100ms", "seven"], stdout=subprocess.PIPE
    ) as events:
        assert events.stdout is not None
        # it listens by now
        assert json.loads(events.stdout.readline())["type"] == "stats"
        (runtime.box.root / "tmp/go").write_text("go\n")
        kinds = [json.loads(line)["type"] for line in events.stdout]
    assert "oom" in kinds
    runtime("delete", "--force", "seven")


def test_a_bad_configuration_is_refused_by_its_field(runtime: Runtime) -> None:
    runtime.write(["true"])
    path = runtime.box.directory / "config.json"
    good = json.loads(path.read_text())
    for change, message in (
        ({"process": {"args": "x"}}, "process.args must be an array, not a string"),
        ({"mounts": [{}]}, "mounts[0].destination is missing"),
        ({"linux": {**good["linux"], "mountLabel": "a:b:c"}}, "linux.mountLabel"),
        ({"process": {**good["process"], "apparmorProfile": "x"}}, "process.apparmorProfile"),
        ({"process": {**good["process"], "selinuxLabel": "a:b:c"}}, "process.selinuxLabel"),
        ({"linux": {**good["linux"], "intelRdt": {"closID": "x"}}}, "intelRdt"),
    ):
        path.write_text(json.dumps({**good, **change}))
        assert message in runtime("run", "eight", fails=True)
    path.write_text("{")
    assert "config.json cannot be read" in runtime("run", "eight", fails=True)
    assert not (runtime.box.directory / "state/eight").exists()


def test_features_and_a_configuration_to_begin_with(runtime: Runtime, tmp_path: Path) -> None:
    features = json.loads(runtime("features"))
    assert "SCMP_ACT_NOTIFY" in features["linux"]["seccomp"]["actions"]
    assert {"idmap", "rro", "tmpcopyup", "rshared"} <= set(features["mountOptions"])
    assert features["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "true"
    assert features["annotations"]["io.github.seccomp.libseccomp.version"].startswith("2.")
    for option in ((), ("--rootless",)):
        runtime("spec", "--bundle", str(tmp_path), *option)
        spec = json.loads((tmp_path / "config.json").read_text())
        assert ("uidMappings" in spec["linux"]) == bool(option)
        assert "Remove it first" in runtime("spec", "--bundle", str(tmp_path), fails=True)
        (tmp_path / "config.json").unlink()
