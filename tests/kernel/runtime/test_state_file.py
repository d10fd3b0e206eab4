"""state.json beside real runc's, of the same bundle: what others read there is what they know."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, box
from tests.kernel.runtime.criu import OURS, Counting

__all__ = ["box"]

SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "syscalls": [
        {
            "names": ["getcwd", "mount"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 5,
            "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        {"names": ["kexec_load"], "action": "SCMP_ACT_KILL_PROCESS"},
        {
            "names": ["reboot"],
            "action": "SCMP_ACT_LOG",
            "args": [{"index": 1, "value": 7, "op": "SCMP_CMP_GE"}],
        },
    ],
}
LIMITS = {
    "memory": {"limit": 64 << 20, "swap": 128 << 20, "reservation": 32 << 20, "disableOOMKiller": False},
    "cpu": {"shares": 100, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 100},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ],
}


def rich(counting: Counting) -> None:
    """A configuration with a bit of everything."""
    (counting.box.directory / "shared").mkdir()
    options = ["rbind", "ro", "nosuid", "rslave"]
    counting.write(
        process={"oomScoreAdj": 100, "noNewPrivileges": True},
        annotations={"a": "b"},
        hooks={
            "poststart": [{"path": "/bin/true", "args": ["true", "x"], "env": ["A=B"], "timeout": 5}],
            "prestart": [{"path": "/bin/true"}],
        },
        mounts=[
            {"destination": "/shared", "type": "bind", "source": "shared", "options": options},
            {
                "destination": "/t",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["size=1m", "tmpcopyup", "noatime"],
            },
        ],
        linux={
            "resources": LIMITS,
            "devices": [
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "gid": 3}
            ],
            "sysctl": {"net.ipv4.ip_forward": "1"},
            "rootfsPropagation": "rslave",
            "seccomp": SECCOMP,
        },
    )


def plain(counting: Counting) -> None:
    """A configuration with hardly anything."""
    counting.write()
    path = counting.box.directory / "config.json"
    spec = json.loads(path.read_text())
    kept = {name: spec[name] for name in ("ociVersion", "process", "root")}
    kept["process"].pop("capabilities")
    names = {"cgroupsPath": counting.box.cgroup, "namespaces": [{"type": "mount"}, {"type": "pid"}]}
    path.write_text(json.dumps({**kept, "linux": names, "mounts": spec["mounts"][:1]}))


def _state(counting: Counting) -> dict[str, Any]:
    """What a runtime writes, without what is another each time."""
    counting("create", "c")
    state: dict[str, Any] = json.loads((counting.state / "c/state.json").read_text())
    counting("delete", "--force", "c")
    pid = state["init_process_pid"]
    for name in ("created", "init_process_pid", "init_process_start"):
        assert state.pop(name)
    spaces = state["namespace_paths"]
    state["namespace_paths"] = {name: path.replace(f"/{pid}/", "/PID/") for name, path in spaces.items()}
    for place in (state["config"]["devices"], state["config"]["cgroups"]["devices"]):
        place.sort(key=json.dumps)  # the basic ones come in no order that means something
    return state


@pytest.mark.parametrize("configure", [rich, plain])
def test_the_state_file_has_what_runc_s_has(box: Box, configure: Any) -> None:
    configure(runc := Counting(box, "runc"))
    theirs = _state(runc)
    runc.argv = tuple(OURS)
    ours = _state(runc)
    # ours beside it
    for name in ("bundle", "spec", "unit"):
        ours.pop(name)
    # the specification that runc was built for, and the one that the configuration names
    assert (theirs["config"].pop("version")[:3], ours["config"].pop("version")) == ("1.0", "1.2.0")
    # the time namespace is in later releases of runc; an unused hierarchy of version 2 is no part of ours
    ours["namespace_paths"].pop("NEWTIME")
    theirs["cgroup_paths"].pop("", None)
    assert _differences(theirs, ours) == []


def _differences(theirs: Any, ours: Any, place: str = "") -> list[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = [*theirs, *(key for key in ours if key not in theirs)]
        return [
            line
            for key in keys
            for line in _differences(theirs.get(key, "-"), ours.get(key, "-"), f"{place}.{key}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True))
        return [line for number, pair in pairs for line in _differences(*pair, f"{place}[{number}]")]
    return [] if theirs == ours else [f"{place}: {ours!r} instead of {theirs!r}"]


def test_what_an_earlier_release_wrote_is_read_still(box: Box) -> None:
    counting = Counting(box)
    counting.write()
    counting("create", "c")
    path = Path(counting.state, "c/state.json")
    state = json.loads(path.read_text())
    state.pop("unit")
    state["config"] = {"cgroups": {"path": box.cgroup, "systemd": False, "unit": ""}}
    path.write_text(json.dumps(state))
    assert counting.status() == "created"
    counting("delete", "--force", "c")
    assert not os.path.exists(path.parent)
