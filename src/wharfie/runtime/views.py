"""The commands that look and steer: state, list, ps, pause, resume, update, events, spec, features."""

from __future__ import annotations

import os
import sys

from wharfie.errors import Conflict, InvalidArgument
from wharfie.linux.process import NAMESPACES
from wharfie.runtime.state import Store
from wharfie.spec import capabilities, mounts
from wharfie.support import json
from wharfie.support.files import atomic_write, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MEMORY = {"memory": "limit", "memory-reservation": "reservation", "memory-swap": "swap"}
_CPU = {
    "cpu-period": "period",
    "cpu-quota": "quota",
    "cpu-share": "shares",
    "cpu-rt-period": "realtimePeriod",
    "cpu-rt-runtime": "realtimeRuntime",
    "cpuset-cpus": "cpus",
    "cpuset-mems": "mems",
}


def say(text: str) -> None:
    """Write a line to standard output."""
    os.write(1, f"{text}\n".encode())


def do_state(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``state``."""
    say(json.dumps(_load(store, words).state()))
    return 0


def _load(store: Store, words: list[str]) -> Any:
    if len(words) != 1:
        raise InvalidArgument("requires exactly 1 argument: the container's id")
    return store.load(words[0])


def do_list(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``list``."""
    states = [record.state() for record in store.all()]
    if options.get("quiet"):
        for state in states:
            say(state["id"])
    elif options.get("format", "table") == "json":
        say(json.dumps(states))
    elif options.get("format", "table") == "table":
        columns = ("id", "pid", "status", "bundle", "created", "owner")
        rows = [[name.upper() for name in columns]]
        rows += [[str(state[name]) for name in columns] for state in states]
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            say("   ".join(cells).rstrip())
    else:
        raise InvalidArgument("invalid format option")
    return 0


def do_ps(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``ps``: the container's processes, as ids or as the host's ps(1) shows them."""
    if not words:
        raise InvalidArgument("requires at least 1 argument: the container's id")
    pids = store.load(words[0]).open_cgroup().procs()
    if options.get("format") == "json":
        say(json.dumps(pids))
        return 0
    reader, writer = os.pipe()
    command = words[1:] or ["-ef"]
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        try:
            os.execvp("ps", ["ps", *command])
        finally:
            os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "r") as output:
        lines = output.read().splitlines()
    os.waitpid(child, 0)
    if not lines or "PID" not in lines[0].split():
        raise Conflict("couldn't find PID field in ps output")
    column = lines[0].split().index("PID")
    say(lines[0])
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            say(line)
    return 0


def do_pause(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``pause``."""
    record = _load(store, words)
    if record.status() not in ("running", "created"):
        raise Conflict("container not running")
    record.open_cgroup().freeze()
    return 0


def do_resume(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``resume``."""
    record = _load(store, words)
    if record.status() != "paused":
        raise Conflict("container not paused")
    record.open_cgroup().thaw()
    return 0


def do_update(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``update``: change limits, from a file ("-": standard input) or from flags."""
    record = _load(store, words)
    if record.status() == "stopped":
        raise Conflict("container not running")
    if options.get("resources"):
        name = options["resources"]
        content = sys.stdin.buffer.read(1 << 24) if name == "-" else read_file(name, 1 << 24)
        resources = json.loads(content)
    else:
        resources = _resources(options)
    record.open_cgroup().set(resources)
    linux = record.spec.setdefault("linux", {})
    known = linux.setdefault("resources", {})
    for part, value in resources.items():
        known[part] = {**(known.get(part) or {}), **value} if isinstance(value, dict) else value
    record.write()
    return 0


def _resources(options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for names, part in ((_MEMORY, "memory"), (_CPU, "cpu")):
        values = {key: options[name] for name, key in names.items() if name in options}
        if values:
            found[part] = values
    if "blkio-weight" in options:
        found["blockIO"] = {"weight": options["blkio-weight"]}
    if "pids-limit" in options:
        found["pids"] = {"limit": options["pids-limit"]}
    return found


def do_events(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``events --stats``: one report of what the container uses."""
    record = _load(store, words)
    if not options.get("stats"):
        raise InvalidArgument("only events --stats is supported")
    if record.status() == "stopped":
        raise Conflict(f"container with id {record.id} is not running")
    say(json.dumps({"type": "stats", "id": record.id, "data": record.open_cgroup().stats()}))
    return 0


def default_spec() -> dict[str, Any]:
    """A configuration to begin with."""
    sets = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    return {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), sets),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "wharfie",
        "mounts": mounts.default_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": mounts.masked_paths(range(os.cpu_count() or 1)),
            "readonlyPaths": list(mounts.READONLY_PATHS),
        },
    }


def do_spec(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``spec``: write a config.json."""
    if options.get("rootless"):
        raise InvalidArgument("spec --rootless is not supported")
    path = os.path.join(options.get("bundle") or ".", "config.json")
    if os.path.exists(path):
        raise Conflict("File config.json exists. Remove it first")
    atomic_write(path, json.dumps(default_spec()).encode(), mode=0o666 & ~0o022)
    return 0


def do_features(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``features`` (runtime-spec, "Features")."""
    options_known = [*mounts.ATTRIBUTES, *mounts.PROPAGATION, "bind", "rbind", "tmpcopyup"]
    options_known += [f"r{name}" for name in mounts.ATTRIBUTES]
    say(
        json.dumps(
            {
                "ociVersionMin": "1.0.0",
                "ociVersionMax": "1.2.0",
                "hooks": [
                    "prestart",
                    "createRuntime",
                    "createContainer",
                    "startContainer",
                    "poststart",
                    "poststop",
                ],
                "mountOptions": sorted(options_known),
                "linux": {
                    "namespaces": sorted(NAMESPACES),
                    "capabilities": list(capabilities.NAMES),
                    "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
                    "seccomp": {"enabled": True},
                    "apparmor": {"enabled": True},
                    "selinux": {"enabled": True},
                },
            }
        )
    )
    return 0
