"""runtime.md: state, lifecycle, operations and their errors, with runc's commands around them."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.case import (
    CREATE,
    DELETE,
    END,
    FORCE,
    KILL,
    START,
    STOPPED,
    Case,
    Step,
    does,
    shell,
)

_OPERATIONS = "runtime.md#operations"
_SLEEP = "exec sleep 100"
_AWAY = "does not exist|not exist|no such"


def _life(name: str, *steps: Step, probe: str = _SLEEP, clause: str = _OPERATIONS, before: str = "",
          change: dict[str, Any] | None = None) -> Case:  # fmt: skip
    return Case(name, clause, change or {}, probe, steps=steps, before=before)


def _state(**wanted: Any) -> Step:
    return does("state", "@ID@", json=wanted)


def _fails(pattern: str, *words: str) -> Step:
    return does(*words, fails=pattern)


def _run(*words: str, **wanted: Any) -> Step:
    return does("run", "--bundle", "@BUNDLE@", *words, "@ID@", **wanted)


_PROPERTIES = [
    _life("state has a version", CREATE, does("state", "@ID@", like='"ociVersion": *"1\\.'), *END,
          clause="runtime.md#state"),
    _life("state has the id", CREATE, _state(id="@ID@"), *END, clause="runtime.md#state"),
    _life("state has the bundle, absolute", does("create", "--bundle", ".", "@ID@"),
          _state(bundle="@BUNDLE@"), *END,
          clause="runtime.md#state"),
    _life("state has the process's id while there is one", does("create", "--bundle", "@BUNDLE@",
                                                                "--pid-file",
                                                                 "@BUNDLE@/pid", "@ID@"),
          does("state", "@ID@", like='"pid": *[1-9]'),
          shell("[ -d /proc/$(cat pid) ] && echo there", see="there"), *END, clause="runtime.md#state"),
    _life("state has no process's id when it has stopped", CREATE, START, KILL, STOPPED, _state(pid=0),
          DELETE,
          clause="runtime.md#state"),
    _life("state says created, running, stopped", CREATE, _state(status="created"), START,
          _state(status="running"),
          KILL, STOPPED, _state(status="stopped"), DELETE, clause="runtime.md#state"),
    _life("a process that ends by itself has stopped", CREATE, START, STOPPED, _state(status="stopped"),
          DELETE,
          probe="true", clause="runtime.md#state"),
    _life("state says paused", CREATE, START, does("pause", "@ID@"), _state(status="paused"),
          does("resume", "@ID@"),
          _state(status="running"), *END, clause="runtime.md#state"),
    _life("state has the root", CREATE, _state(rootfs="@BUNDLE@/rootfs"), *END, clause="runtime.md#state"),
    _life("state of nobody is an error", _fails(_AWAY, "state", "nobody")),
    _life("state without an id is an error", _fails("argument|requires", "state")),
]  # fmt: skip

_CREATES = [
    _life("create does not run the program", CREATE, shell("[ -e rootfs/ran ] || echo not yet",
                                                           see="not yet"), START,
          STOPPED, shell("ls rootfs/ran", see="rootfs/ran"), DELETE, probe="touch /ran"),
    _life("a change of config.json after create has no effect", CREATE, shell("echo '{}' >config.json"),
          START, STOPPED,
          shell("ls rootfs/ran", see="rootfs/ran"), DELETE, probe="touch /ran"),
    _life("an id that is taken is an error, and the container of that id stays", CREATE,
          _fails("exist", "create", "--bundle", "@BUNDLE@", "@ID@"), _state(status="created"), *END),
    _life("an id with a slash is an error", _fails("invalid.*id|id.*invalid|format", "create", "--bundle",
                                                   "@BUNDLE@",
                                                   "a/b")),
    _life("an empty id is an error", _fails("id|empty|argument", "create", "--bundle", "@BUNDLE@", "")),
    _life("the id .. is an error", _fails("invalid.*id|id.*invalid|format", "create", "--bundle", "@BUNDLE@",
                                          "..")),
    _life("an id with a blank is an error", _fails("invalid.*id|id.*invalid|format", "create", "--bundle",
                                                   "@BUNDLE@",
                                                   "a b")),
    _life("create without an id is an error", _fails("argument|requires|id", "create", "--bundle",
                                                     "@BUNDLE@")),
    _life("a bundle that is not there is an error", _fails("no such file|not found", "create", "--bundle",
                                                           "@BUNDLE@/nowhere", "@ID@")),
    _life("a bundle without config.json is an error", shell("mkdir empty"),
          _fails("config.json|no such file", "create", "--bundle", "@BUNDLE@/empty", "@ID@")),
    _life("config.json that is no JSON is an error", shell("echo '{' >config.json"),
          _fails("JSON|unexpected|config.json|EOF|parse|premature", "create", "--bundle", "@BUNDLE@",
                 "@ID@")),
    _life("an error of create leaves no container", _fails("", "create", "--bundle", "@BUNDLE@", "@ID@"),
          _fails(_AWAY, "state", "@ID@"), change={"root": {"path": "nowhere"}}),
    _life("an id may be used again after delete", CREATE, *END, CREATE, *END),
    _life("an id may be used again after a failure", shell("cp config.json good; echo '{' >config.json"),
          _fails("", "create", "--bundle", "@BUNDLE@", "@ID@"), shell("mv good config.json"), CREATE, *END),
    _life("--pid-file has the process's id", does("create", "--bundle", "@BUNDLE@", "--pid-file",
                                                  "@BUNDLE@/pid", "@ID@"),
          shell("grep -c '^[0-9]*$' pid", see="1"), *END),
    _life("--no-pivot still makes the root the container's", _run("--no-pivot", like="^bin$"), probe="ls /"),
    _life("--no-new-keyring runs", _run("--no-new-keyring", see="ran"), probe="echo ran"),
]  # fmt: skip

_STARTS = [
    _life("start runs the program", CREATE, START, STOPPED, shell("cat rootfs/ran", see="yes"), DELETE,
          probe="echo yes >/ran"),
    _life("start of nobody is an error", _fails(_AWAY, "start", "nobody")),
    _life("start without an id is an error", _fails("argument|requires|id", "start")),
    _life("a second start is an error and has no effect", CREATE, START,
          _fails("start|running|already", "start", "@ID@"),
          _state(status="running"), *END),
    _life("start of a stopped container is an error", CREATE, START, STOPPED,
          _fails("stop|start", "start", "@ID@"),
          DELETE, probe="true"),
    _life("start returns while the program runs", CREATE, START, _state(status="running"), *END),
]  # fmt: skip

_KILLS = [
    _life("kill sends the signal that is named", CREATE, START,
          shell("until [ -e rootfs/ready ]; do sleep 0.01; done"),
          does("kill", "@ID@", "USR1"), STOPPED, shell("cat rootfs/got", see="usr1"), DELETE,
          probe="trap 'echo usr1 >/got; exit' USR1; touch /ready; while :; do sleep 0.05; done"),
    _life("kill takes a number", CREATE, START, shell("until [ -e rootfs/ready ]; do sleep 0.01; done"),
          does("kill", "@ID@", "12"), STOPPED, shell("cat rootfs/got", see="usr2"), DELETE,
          probe="trap 'echo usr2 >/got; exit' USR2; touch /ready; while :; do sleep 0.05; done"),
    _life("kill takes a name with SIG", CREATE, START, does("kill", "@ID@", "SIGKILL"), STOPPED, DELETE),
    _life("kill without a signal is TERM", CREATE, START,
          shell("until [ -e rootfs/ready ]; do sleep 0.01; done"),
          does("kill", "@ID@"), STOPPED, shell("cat rootfs/got", see="term"), DELETE,
          probe="trap 'echo term >/got; exit' TERM; touch /ready; while :; do sleep 0.05; done"),
    _life("kill of a created container", CREATE, KILL, STOPPED, DELETE),
    _life("kill of a stopped container is an error", CREATE, START, STOPPED,
          _fails("not running|stopped|finished|no such", "kill", "@ID@", "KILL"), DELETE, probe="true"),
    _life("kill of nobody is an error", _fails(_AWAY, "kill", "nobody", "KILL")),
    _life("kill without an id is an error", _fails("argument|requires|id", "kill")),
    _life("an unknown signal is an error", CREATE, START, _fails("signal", "kill", "@ID@", "NOPE"),
          _state(status="running"), *END),
    _life("a signal beyond the last is an error", CREATE, START,
          _fails("signal|invalid", "kill", "@ID@", "99"),
          _state(status="running"), *END),
    _life("kill --all reaches every process", CREATE, START,
          shell("until [ -e rootfs/ready ]; do sleep 0.01; done"),
          does("kill", "--all", "@ID@", "KILL"), STOPPED, DELETE, probe="sleep 100 & touch /ready; wait"),
    _life("a paused container is killed", CREATE, START, does("pause", "@ID@"), KILL, STOPPED, DELETE),
]  # fmt: skip

_DELETES = [
    _life("delete of nobody is an error", _fails(_AWAY, "delete", "nobody")),
    _life("delete without an id is an error", _fails("argument|requires|id", "delete")),
    _life("delete of a running container is an error and has no effect", CREATE, START,
          _fails("not stopped|running|stopped", "delete", "@ID@"), _state(status="running"), *END),
    _life("a container that was deleted is not there", CREATE, *END, _fails(_AWAY, "state", "@ID@")),
    _life("delete --force of a running container", CREATE, START, FORCE, _fails(_AWAY, "state", "@ID@")),
    _life("delete --force of a created container", CREATE, FORCE, _fails(_AWAY, "state", "@ID@")),
    _life("delete --force of a paused container", CREATE, START, does("pause", "@ID@"), FORCE,
          _fails(_AWAY, "state", "@ID@")),
    _life("delete --force of nobody is no error", does("delete", "--force", "nobody")),
    _life("delete of a created container", CREATE, DELETE, _fails(_AWAY, "state", "@ID@")),
    _life("what the container did not make stays", CREATE, *END,
          shell("ls rootfs/bin/sh config.json | wc -l", see="2")),
    _life("delete ends processes that are left", CREATE, START, STOPPED, DELETE, probe="sleep 100 & exit 0"),
]  # fmt: skip

_EXEC = ("exec", "@ID@")


def _exec(name: str, *words: str, options: tuple[str, ...] = (), change: dict[str, Any] | None = None,
          before: str = "",
          **wanted: Any) -> Case:  # fmt: skip
    return _life(name, CREATE, START, does("exec", *options, "@ID@", *words, **wanted), *END, change=change,
                 before=before, clause="runc exec")  # fmt: skip


_PROCESS = ('{"args": ["sh", "-c", "echo $A; pwd; id -u"], "env": ["PATH=/bin", "A=b"], "cwd": "/tmp",'
            ' "user": {"uid": 5, "gid": 6}}')  # fmt: skip

_EXECS = [
    _exec("exec runs in the container", "hostname", see="box"),
    _exec("exec joins every namespace", "sh", "-c",
          "for n in pid mnt net uts ipc; do [ $(readlink /proc/self/ns/$n) ="
          " $(readlink /proc/1/ns/$n) ] || echo $n; done; echo compared", see="compared"),
    _exec("exec gives the exit code", "sh", "-c", "exit 9", code=9),
    _exec("exec gives a signal as 128 and its number", "sh", "-c", "kill -9 $$", code=137),
    _exec("exec of what is not there is an error", "nope", fails="not found|no such file"),
    _exec("exec has the container's environment", "sh", "-c", "echo $MINE", see="yes",
          change={"process": {"env": ["PATH=/bin", "MINE=yes"]}}),
    _exec("exec --env adds", "sh", "-c", "echo $MINE $MORE", options=("--env", "MORE=more"), see="yes more",
          change={"process": {"env": ["PATH=/bin", "MINE=yes"]}}),
    _exec("exec --cwd", "pwd", options=("--cwd", "/tmp"), see="/tmp"),
    _exec("exec is in the container's cwd", "pwd", change={"process": {"cwd": "/tmp"}}, see="/tmp"),
    _exec("exec --user", "sh", "-c", "id -u; id -g", options=("--user", "7:8"), see="7\n8"),
    _exec("exec --user with a uid only", "id", "-u", options=("--user", "7"), see="7"),
    _exec("exec --additional-gids", "grep", "Groups", "/proc/self/status",
          options=("--user", "7:8", "-g", "20", "-g",
                                                                                   "30"), like="20 30"),
    _exec("exec --cap", "grep", "CapEff", "/proc/self/status", options=("--cap", "CAP_SYS_PTRACE"),
          like="CapEff:\t00000000a80c25fb"),
    _exec("exec has the container's capabilities", "grep", "CapBnd", "/proc/self/status",
          see="CapBnd:\t00000000a80425fb"),
    _exec("exec --no-new-privs", "grep", "NoNewPrivs", "/proc/self/status", options=("--no-new-privs",),
          see="NoNewPrivs:\t1"),
    _exec("exec has the container's noNewPrivileges", "grep", "NoNewPrivs", "/proc/self/status",
          see="NoNewPrivs:\t1",
          change={"process": {"noNewPrivileges": True}}),
    _exec("exec --process", options=("--process", "@BUNDLE@/process.json"), see="b\n/tmp\n5",
          before=f"echo '{_PROCESS}' >process.json"),
    _exec("exec is in the container's control group", "sh", "-c",
          "[ \"$(cat /proc/self/cgroup)\" = \"$(cat /proc/1/cgroup)\" ] && echo same", see="same"),
    _exec("exec is under the container's seccomp filter", "sh", "-c",
          "mkdir /tmp/d 2>/dev/null || echo denied",
          change={"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
              {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}}}, see="denied"),
    _exec("exec has the container's umask", "sh", "-c", "umask",
          change={"process": {"user": {"uid": 0, "gid": 0,
                                                                                            "umask": 63}}},
          see="0077"),
    _exec("exec has the container's limits", "sh", "-c", "ulimit -n",
          change={"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 77}]}}, see="77"),
    _exec("exec has the container's oomScoreAdj", "cat", "/proc/self/oom_score_adj",
          change={"process": {"oomScoreAdj": 321}}, see="321"),
    _exec("exec --detach returns and --pid-file has the process", "sleep", "50",
          options=("--detach", "--pid-file", "@BUNDLE@/pid")),
    _life("exec in nobody is an error", _fails(_AWAY, "exec", "nobody", "true")),
    _life("exec without a command is an error", CREATE, START,
          _fails("argument|command|args|process|requires", *_EXEC),
          *END),
    _life("exec in a stopped container is an error", CREATE, START, STOPPED,
          _fails("stopped|not running", *_EXEC, "true"),
          DELETE, probe="true"),
    _life("exec in a paused container is an error", CREATE, START, does("pause", "@ID@"),
          _fails("paused", *_EXEC, "true"), does("resume", "@ID@"), *END),
    _life("exec in a created container", CREATE, does(*_EXEC, "hostname", see="box"), *END),
]  # fmt: skip

_REST = [
    _life("run has the program's output and code", _run(see="out", code=3), probe="echo out; exit 3"),
    _life("run leaves nothing", _run(see=""), _fails(_AWAY, "state", "@ID@"), probe="true"),
    _life("run --detach returns at once", _run("--detach"), _state(status="running"), *END),
    _life("run --keep keeps", _run("--keep"), _state(status="stopped"), DELETE, probe="true"),
    _life("list --quiet is the ids", CREATE, does("list", "--quiet", like="^c[0-9a-f]{12}$"),
          *END),
    _life("list --format json", CREATE, does("list", "--format", "json", like='"status": *"created"'), *END),
    _life("list shows a table", CREATE, does("list", like="^ID +PID +STATUS +BUNDLE +CREATED +OWNER$"), *END),
    _life("list of nothing is empty", does("list", "--quiet", see="")),
    _life("list as JSON of nothing", does("list", "--format", "json", like=r"^(null|\[\])$")),
    _life("ps shows the processes", CREATE, START, does("ps", "@ID@", like="sleep 100"), *END),
    _life("ps --format json is their ids", CREATE, START, does("ps", "--format", "json", "@ID@",
                                                               like=r"^\[[0-9]+\]$"),
          *END),
    _life("ps takes ps's own options", CREATE, START, does("ps", "@ID@", "-o", "pid,args", like="sleep 100"),
          *END),
    _life("pause of what is paused is an error", CREATE, START, does("pause", "@ID@"),
          _fails("not running|paused", "pause", "@ID@"), does("resume", "@ID@"), *END),
    _life("resume of what runs is an error", CREATE, START, _fails("not paused|paused", "resume", "@ID@"),
          *END),
    _life("pause of nobody is an error", _fails(_AWAY, "pause", "nobody")),
    _life("events --stats tells what is used", CREATE, START, does("events", "--stats", "@ID@", json={
        "type": "stats", "id": "@ID@"}), *END),
    _life("events tells of processes and memory", CREATE, START, does("events", "--stats", "@ID@",
                                                                      like='"pids": *{.*"current": *1'),
          *END),
    _life("spec writes a configuration that runs", shell("mkdir new"),
          does("spec", "--bundle", "@BUNDLE@/new"),
          shell("grep -c ociVersion new/config.json", see="1"),
          _fails("exist", "spec", "--bundle", "@BUNDLE@/new")),
    _life("--version names the specification", does("--version", like="spec: 1")),
    _life("an unknown command is an error", _fails("", "dance")),
    _life("an unknown option is an error", _fails("flag|option", "list", "--dance")),
    _life("an error is in the log as JSON when so asked", _fails("", "--log", "@BUNDLE@/mine", "--log-format",
                                                                 "json",
                                                                 "state", "nobody"),
          shell("grep -c '\"level\": *\"error\"' mine", see="1")),
]  # fmt: skip

CASES = [*_PROPERTIES, *_CREATES, *_STARTS, *_KILLS, *_DELETES, *_EXECS, *_REST]
