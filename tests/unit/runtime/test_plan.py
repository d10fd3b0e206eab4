"""What a plan accepts and refuses, without touching the kernel."""

from __future__ import annotations

from typing import Any

import pytest

from wharfie.runtime.launch import Launch, LaunchError
from wharfie.runtime.options import COMMANDS, parse
from wharfie.runtime.plan import Plan
from wharfie.runtime.processplan import ProcessPlan
from wharfie.spec.mounts import parse_options
from wharfie.spec.signals import signal_number


def spec(**changes: Any) -> dict[str, Any]:
    linux = {"namespaces": [{"type": "mount"}, {"type": "pid"}], **changes.pop("linux", {})}
    return {"process": {"args": ["x"], "cwd": "/"}, "root": {"path": "r"}, "linux": linux, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"process": {"args": []}}, "no command specified"),
        ({"process": {"args": ["x"], "cwd": "relative"}}, "absolute path"),
        ({"process": {"args": ["x"], "env": ["=x"]}}, "invalid environment"),
        ({"process": {"args": ["x"], "rlimits": [{"type": "NOPE", "soft": 1, "hard": 1}]}}, "rlimit type"),
        ({"root": {}}, "no root directory"),
        ({"linux": {"namespaces": [{"type": "pid"}]}}, "mount namespace"),
        ({"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}, "twice"),
        ({"linux": {"namespaces": [{"type": "mount"}, {"type": "nope"}]}}, "no namespace of type"),
        ({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}, "mappings"),
        ({"linux": {"sysctl": {"net.x": "1"}}}, "hosts kernel namespace"),
        ({"linux": {"sysctl": {"net../../kernel.panic": "1"}}}, "not in a separate kernel namespace"),
        ({"linux": {"rootfsPropagation": "nope"}}, "rootfsPropagation"),
        ({"linux": {"devices": [{"path": "/dev/x", "type": "z"}]}}, "known kind"),
        ({"mounts": [{"destination": ""}]}, "mount destination"),
        ({"process": {"args": ["x"], "scheduler": {"policy": "SCHED_NOPE"}}}, r"process\.scheduler\.policy"),
        (
            {"process": {"args": ["x"], "scheduler": {"policy": "SCHED_FIFO", "flags": ["NOPE"]}}},
            r"process\.scheduler\.flags",
        ),
        (
            {"process": {"args": ["x"], "scheduler": {"policy": "SCHED_OTHER", "nice": 20}}},
            r"process\.scheduler\.nice",
        ),
        (
            {"process": {"args": ["x"], "scheduler": {"policy": "SCHED_OTHER", "priority": 1}}},
            r"process\.scheduler\.priority",
        ),
        (
            {"process": {"args": ["x"], "scheduler": {"policy": "SCHED_RR", "runtime": 1}}},
            r"process\.scheduler\.runtime",
        ),
        ({"process": {"args": ["x"], "ioPriority": {"class": "NOPE"}}}, r"process\.ioPriority\.class"),
        (
            {"process": {"args": ["x"], "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}},
            r"process\.ioPriority\.priority",
        ),
        ({"linux": {"personality": {"domain": "BSD"}}}, r"linux\.personality\.domain"),
        ({"linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}}, r"linux\.personality\.flags"),
        ({"linux": {"memoryPolicy": {"mode": "NOPE"}}}, r"linux\.memoryPolicy\.mode"),
        (
            {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "3-1"}}},
            r"linux\.memoryPolicy\.nodes",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LaunchError, match=message):
        Plan(Launch("id", spec(**changes)), 0)


def test_an_unknown_capability_is_left_out_with_a_warning() -> None:
    sets = {"bounding": ["CAP_NOPE", "CAP_CHOWN"]}
    plan = ProcessPlan({"args": ["x"], "capabilities": sets}, own_bounding=0b11)
    assert plan.bounding == 1
    assert plan.warnings == [
        "process.capabilities.bounding: ignoring unknown or unavailable capabilities 'CAP_NOPE'"
    ]


def test_capabilities_are_those_that_the_engine_has() -> None:
    sets = {name: ["CAP_CHOWN", "CAP_SYS_RESOURCE"] for name in ("bounding", "permitted", "ambient")}
    plan = ProcessPlan({"args": ["x"], "capabilities": sets}, own_bounding=0b11)
    assert (plan.bounding, plan.permitted, plan.effective, plan.ambient) == (1, 1, 0, 0)
    assert plan.drop == 0b10


def test_mount_options_become_attributes() -> None:
    found = parse_options(["rbind", "ro", "nosuid", "rslave", "rro", "size=1", "relatime", "rw"])
    assert (found.bind, found.set, found.clear & 1, found.recursive_set) == (2, 2, 1, 1)
    assert (found.propagation, found.recursive_propagation) == (1 << 19, True)
    assert found.data == [("size", "1")]


def test_the_reaper_is_bound_and_put_before_the_command() -> None:
    plan = Plan(Launch("id", spec(), init_path="/usr/bin/tini"), 0)
    assert plan.process.args == ["/sbin/docker-init", "--", "x"]
    assert plan.mounts[-1].target == "/sbin/docker-init"


def test_signals_by_every_spelling() -> None:
    assert [signal_number(text) for text in ("9", "KILL", "sigterm", "RTMIN+3", "SIGRTMAX-1")] == [
        9,
        9,
        15,
        37,
        63,
    ]


def test_options_as_go_reads_them() -> None:
    words = ["-b", "/x", "-pid-file=/p", "--no-pivot", "name", "--bundle"]
    found, rest = parse(words, COMMANDS["create"], "create")
    assert found == {"bundle": "/x", "pid-file": "/p", "no-pivot": True}
    assert rest == ["name", "--bundle"]
