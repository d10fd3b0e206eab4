"""config.md, "POSIX-platform Hooks", and the steps of runtime.md's lifecycle where they run."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.case import CREATE, DELETE, KILL, START, STOPPED, Case, Step, does, shell

_CLAUSE = "config.md#posix-platform-hooks"
_ALL = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_HOST = ("prestart", "createRuntime", "poststart", "poststop")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def _hook(script: str, *arguments: str, env: list[str] | None = None, **more: Any) -> dict[str, Any]:
    words = ["sh", "-c", script, *arguments]
    return {"path": "/bin/sh", "args": words, "env": [_PATH] if env is None else env, **more}


def _log(name: str) -> dict[str, Any]:
    return _hook(f"cat >/dev/null; echo {name} >>@BUNDLE@/log.hooks")


def _steps(name: str, hooks: dict[str, Any], *steps: Step, probe: str = "true", **more: Any) -> Case:
    return Case(name, _CLAUSE, {"hooks": hooks, **more}, probe, steps=steps)


def _stage(stage: str) -> Case:
    """Every kind runs, and gets the state: the bundle is bound inside for those that run there."""
    hook = _hook("cat >@BUNDLE@/state.json")
    bind = {"destination": "@BUNDLE@", "type": "bind", "source": "@BUNDLE@", "options": ["rbind"]}
    status = {"poststart": "running", "poststop": "stopped"}.get(stage, "creat(ing|ed)")
    return Case(f"a {stage} hook has the state on its input", _CLAUSE,
                {"hooks": {stage: [hook]}, "+mounts": [bind]},
                "true", steps=(CREATE, START, STOPPED, DELETE, shell(
                    "grep -q '\"id\": *\"@ID@\"' state.json &&"
                    " grep -q '\"bundle\": *\"@BUNDLE@\"' state.json &&"
                    f" grep -q -E '\"status\": *\"{status}\"' state.json &&"
                    " grep -q '\"ociVersion\"' state.json"
                    " && echo told || cat state.json", see="told")))  # fmt: skip


def _failing(stage: str) -> Case:
    bind = {"destination": "@BUNDLE@", "type": "bind", "source": "@BUNDLE@", "options": ["rbind"]}
    hooks = {stage: [_hook("exit 3"), _log("second")], "poststop": [_log("poststop")]}
    return Case(f"a {stage} hook that fails takes the container back", _CLAUSE,
                {"hooks": hooks, "+mounts": [bind]},
                "true",
                steps=(does("create", "--bundle", "@BUNDLE@", "@ID@", fails="hook.*(exit status 3|3)"),
                               does("state", "@ID@", fails="does not exist"),
                               shell("grep -c second log.hooks || true", like="^0|")))  # fmt: skip


def _mild(stage: str, after: str) -> Case:
    return _steps(
        f"after a {stage} hook that fails the others still run",
        {stage: [_hook("exit 3"), _log("second")]},
        CREATE,
        START,
        STOPPED,
        DELETE,
        shell("cat log.hooks", see=after),
    )


_RUN = does("run", "--bundle", "@BUNDLE@", "@ID@")
_ORDERED = {stage: [_log(stage)] for stage in _HOST}

CASES = [
    *(_stage(stage) for stage in _ALL),
    _steps("hooks run in the order of the lifecycle", _ORDERED, CREATE,
           shell("cat log.hooks", see="prestart\ncreateRuntime"), START, STOPPED,
           shell("cat log.hooks", see="prestart\ncreateRuntime\npoststart"), DELETE,
           shell("cat log.hooks", see="prestart\ncreateRuntime\npoststart\npoststop")),
    _steps("hooks of one kind run in their order",
           {"createRuntime": [_log("one"), _log("two"), _log("three")]},
           CREATE, DELETE, shell("cat log.hooks", see="one\ntwo\nthree"), probe="true"),
    _steps("hooks run with run as well", _ORDERED, _RUN,
           shell("cat log.hooks", see="prestart\ncreateRuntime\npoststart\npoststop")),
    _steps("the arguments are the hook's, the first one too",
           {"createRuntime": [{"path": "/bin/sh", "args": ["mine", "-c",
                                                           "cat >/dev/null; echo $0 $1 >@BUNDLE@/said", "a",
                                                           "b"]}]}, CREATE, DELETE,
           shell("cat said", see="a b")),
    _steps("the environment is what is given",
           {"createRuntime": [{"path": "/usr/bin/env", "args": ["env", "-u", "nothing", "sh", "-c",
                                                                "cat >/dev/null;"
                                                                " echo $A-$B-$HOME >@BUNDLE@/said"],
                               "env": [_PATH, "A=1", "B=two"]}]}, CREATE, DELETE,
           shell("cat said", see="1-two-")),
    _steps("a createRuntime hook is in the runtime's mount namespace",
           {"createRuntime": [_hook("cat >/dev/null; readlink /proc/self/ns/mnt >@BUNDLE@/said")]}, CREATE,
           DELETE,
           shell("[ $(cat said) = $(readlink /proc/self/ns/mnt) ] && echo same", see="same")),
    _steps("the container's namespaces are there for a createRuntime hook",
           {"createRuntime": [_hook("pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); "
                                    "[ $(readlink /proc/$pid/ns/net) != $(readlink /proc/self/ns/net) ] &&"
                                    " echo other >@BUNDLE@/said")]}, CREATE, DELETE,
           shell("cat said", see="other")),
    Case("a createContainer hook is in the container's mount namespace", _CLAUSE,
         {"hooks": {"createContainer": [_hook("cat >/dev/null; echo made >@BUNDLE@/rootfs/made;"
                                              " readlink /proc/self/ns/net >@BUNDLE@/rootfs/net")]}},
         "cat /made; [ $(cat /net) = $(readlink /proc/self/ns/net) ] && echo same", see="made\nsame"),
    Case("a startContainer hook runs inside, before the program", _CLAUSE,
         {"hooks": {"startContainer": [_hook("cat >/dev/null; echo hook >>/order; [ -e /bin/busybox ]"
                                             " && echo inside >>/order", env=["PATH=/bin"])]}},
         "echo program >>/order; cat /order", see="hook\ninside\nprogram"),
    _steps("a startContainer hook waits for start",
           {"startContainer": [_hook("cat >/dev/null; echo hook >>/order", env=["PATH=/bin"])]}, CREATE,
           shell("[ -e rootfs/order ] || echo not yet", see="not yet"), START, STOPPED,
           shell("cat rootfs/order", see="hook"), DELETE),
    _steps("a poststart hook runs when the program does",
           {"poststart": [_hook("cat >/dev/null; echo x >@BUNDLE@/said")]}, CREATE,
           shell("[ -e said ] || echo not yet", see="not yet"), START, shell("cat said", see="x"), KILL,
           STOPPED, DELETE,
           probe="exec sleep 100"),
    _steps("a poststop hook waits for delete", {"poststop": [_log("poststop")]}, CREATE, KILL, STOPPED,
           shell("[ -e log.hooks ] || echo not yet", see="not yet"), DELETE,
           shell("cat log.hooks", see="poststop")),
    *(_failing(stage) for stage in ("prestart", "createRuntime", "createContainer")),
    _steps("a startContainer hook that fails keeps the program from running",
           {"startContainer": [_hook("exit 3", env=["PATH=/bin"])]},
           does("run", "--bundle", "@BUNDLE@", "@ID@", fails="hook|3"),
           shell("[ -e rootfs/ran ] || echo not run", see="not run"), probe="touch /ran"),
    _mild("poststop", "second"),
    _steps("a hook that takes longer than its timeout is ended and has failed",
           {"createRuntime": [_hook("sleep 30", timeout=1)]},
           does("create", "--bundle", "@BUNDLE@", "@ID@", fails="timeout|timed out|deadline|ran past")),
    _steps("a hook within its timeout is well", {"createRuntime": [_hook("cat >/dev/null", timeout=20)]},
           CREATE, DELETE),
    _steps("a hook that is not there is refused", {"createRuntime": [{"path": "/no/such/hook"}]},
           does("create", "--bundle", "@BUNDLE@", "@ID@", fails="no such file|/no/such/hook")),
    _steps("a hook whose path is not absolute is refused", {"createRuntime": [{"path": "sh"}]},
           does("create", "--bundle", "@BUNDLE@", "@ID@", fails="absolute|hook|path")),
    _steps("a hook without a path is refused", {"createRuntime": [{"args": ["x"]}]},
           does("create", "--bundle", "@BUNDLE@", "@ID@", fails="absolute|hook|path")),
    _steps("what a failing hook says is in the error",
           {"createRuntime": [_hook("echo the reason >&2; exit 1")]},
           does("create", "--bundle", "@BUNDLE@", "@ID@", fails="the reason")),
    _steps("a hook that writes much is no trouble",
           {"createRuntime": [_hook("cat >/dev/null; head -c 300000 /dev/zero | tr '\\0' x")]}, CREATE,
           DELETE),
    _steps("a hook that does not read its input is no trouble", {"createRuntime": [_hook("exec true")]},
           CREATE, DELETE),
    _steps("annotations are in the state that a hook gets", {"createRuntime": [_hook("cat >@BUNDLE@/said")]},
           CREATE,
           DELETE, shell("grep -o '\"com.example\": *\"v\"' said | tr -d ' '", see='"com.example":"v"'),
           annotations={"com.example": "v"}),
]  # fmt: skip
