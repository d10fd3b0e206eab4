"""Malicious bundles and containers against ``wharfie-runtime``'s command line (SECURITY 1, 2, 6 and 10).

Each attack is a case of the conformance suite's kind; what it must not reach lies beside the root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.runtime import runtimes
from tests.conformance.runtime.base import DEV, PROC, mount
from tests.conformance.runtime.case import CREATE, END, START, Case, Step, does, shell
from tests.conformance.runtime.harness import Bundle, parent_group, play

INTERPRETER = Path(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]
_OUT = "../../../../../../.."


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="attack-"))
    made.chmod(0o755)
    with parent_group():
        yield made
    shutil.rmtree(made)


def attack(name: str, change: dict[str, Any], probe: str = "true", **wanted: Any) -> Case:
    return Case(name, "SECURITY", change, probe, **wanted)


def _mounts(*mounts: dict[str, Any]) -> dict[str, Any]:
    return {"+mounts": list(mounts)}


_HOST = f"{_OUT}@BUNDLE@/host"
_SECRET = "mkdir host; echo secret >host/file; "

DESCRIPTORS = [
    *(attack(f"descriptor {number} as cwd", {"process": {"cwd": f"/proc/self/fd/{number}"}}, "ls",
             refused="cwd|fd|no such|not a dir|loop|symbolic") for number in (3, 5, 7, 9, 11)),
    attack("a link to a descriptor as cwd", {"process": {"cwd": "/link"}}, "ls",
           before="ln -s /proc/self/fd/7 rootfs/link", refused="cwd|no such|not a dir|loop|symbolic|exists"),
    attack("a startContainer hook sees no descriptor of the host",
           {"hooks": {"startContainer": [{"path": "/bin/sh", "env": ["PATH=/bin"], "args": [
               "sh", "-c", "for fd in /proc/self/fd/*; do readlink $fd; done >/seen; true"]}]}},
           "grep -v -E '^(/dev/null|/memfd:.*|/seen|/proc/.*|pipe:.*|socket:.*)$' /seen || echo none",
           see="none"),
    attack("a hook of the container runs no program of the host",
           {"hooks": {"startContainer": [{"path": "@BUNDLE@/host/program"}]}}, "true", code=255,
           before="mkdir host; printf '#!/bin/sh\\ntouch @BUNDLE@/host/ran\\n' >host/program;"
                  " chmod 755 host/program",
           after="ls host", see="program"),
]  # fmt: skip

MOUNTS = [
    attack("a masked path that is a link leads to nothing of the host",
           {"linux": {"maskedPaths": ["/etc/link"]}},
           "cat /etc/link 2>/dev/null; echo end", before=f"{_SECRET} ln -s {_HOST}/file rootfs/etc/link",
           after="cat host/file", see="end\nsecret"),
    attack("a read-only path that is a link leads to nothing of the host",
           {"linux": {"readonlyPaths": ["/etc/link"]}},
           "echo end", before=f"{_SECRET} ln -s {_HOST} rootfs/etc/link", after="touch host/x && ls host",
           see="end\nfile\nx"),
    attack("a device below a link is not made outside", {"linux": {"devices": [
        {"path": "/link/mine", "type": "c", "major": 1, "minor": 5}]}}, "ls /link/mine",
        before=f"{_SECRET} mkdir -p rootfs@BUNDLE@/host; ln -s {_HOST} rootfs/link", after="ls host",
        see="/link/mine\nfile"),
    attack("a device that is a link already is refused", {"linux": {"devices": [
        {"path": "/etc/mine", "type": "c", "major": 1, "minor": 5}]}}, "true",
        before=f"{_SECRET} ln -s {_HOST}/file rootfs/etc/mine", refused="mine"),
    attack("/dev as a link out of the root", {"mounts": [PROC]}, "ls /dev/null",
           before=f"{_SECRET} rm -r rootfs/dev; mkdir -p rootfs@BUNDLE@/host; ln -s {_HOST} rootfs/dev",
           after="ls host", see="/dev/null\nfile"),
    attack("/dev/null as a link to a kernel parameter masks nothing",
           {"mounts": [PROC], "linux": {"maskedPaths": ["/proc/keys"]}}, "true",
           before="ln -s /proc/sys/kernel/core_pattern rootfs/dev/null", refused="/dev/null"),
    attack("tmpcopyup of a link copies nothing of the host",
           _mounts(mount("/data", "tmpfs", "tmpfs", "tmpcopyup")),
           "ls /data", before=f"{_SECRET} mkdir -p rootfs@BUNDLE@/host; ln -s {_HOST} rootfs/data", see=""),
    attack("tmpcopyup copies links as links", _mounts(mount("/data", "tmpfs", "tmpfs", "tmpcopyup")),
           "readlink /data/link | wc -l; cat /data/link 2>/dev/null || echo none",
           before=f"{_SECRET} mkdir rootfs/data; ln -s {_HOST}/file rootfs/data/link", see="1\nnone"),
    attack("/proc as a link is refused", {}, "true",
           before=f"{_SECRET} rmdir rootfs/proc; ln -s {_HOST} rootfs/proc",
           refused="proc"),
    attack("/sys as a link is refused", {}, "true",
           before=f"{_SECRET} rmdir rootfs/sys; ln -s {_HOST} rootfs/sys",
           refused="sys"),
    attack("a tmpfs in place of /proc is refused", {"mounts": [mount("/proc", "tmpfs", "tmpfs"), DEV]},
           "true",
           refused="/proc"),
    attack("a directory in place of /proc is refused",
           {"mounts": [mount("/proc", "bind", "@BUNDLE@/host", "rbind"), DEV]}, "true", before="mkdir host",
           refused="/proc"),
    *(attack(f"a bind at {target} is refused", _mounts(mount(target, "bind", "@BUNDLE@/host", "rbind")),
             "true",
             before="mkdir host", refused="proc")
      for target in ("/proc/sys", "/proc/self", "/proc/1", "/proc/../proc/sys",
                     "/proc/sys/kernel/core_pattern")),
    attack("a link into /proc as a mount's place is refused",
           _mounts(mount("/link", "bind", "@BUNDLE@/host", "rbind")), "true",
           before="mkdir host; ln -s /proc/sys rootfs/link", refused="proc|link"),
    attack("a parameter is written to a real procfs, not to what the image has",
           {"mounts": [DEV], "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}, "true",
           before=f"{_SECRET} mkdir -p rootfs/proc/sys/net/ipv4;"
                  f" ln -s {_HOST}/file rootfs/proc/sys/net/ipv4/ip_forward",
           after="cat host/file", see="secret"),
    attack("cwd is not made outside", {"process": {"cwd": "/link/made"}}, "pwd",
           before=f"{_SECRET} mkdir -p rootfs@BUNDLE@/host; ln -s {_HOST} rootfs/link", after="ls host",
           like="host/made\nfile$"),
]  # fmt: skip

IDENTITIES = [
    attack("a FIFO as passwd is refused and nobody waits", {"process": {"user": {"uid": 1000, "gid": 1000}}},
           "true",
           before="mkfifo rootfs/etc/passwd", refused="passwd"),
    attack("a link as passwd is the container's", {"process": {"user": {"uid": 1000, "gid": 1000}}},
           "echo $HOME",
           before="mkdir host; echo 'x:x:1000:1000::/stolen:/bin/sh' >host/passwd;"
                  f" ln -s {_HOST}/passwd rootfs/etc/passwd", see="/"),
    attack("nothing is inheritable unless asked", {},
           "grep -E 'Cap(Inh|Amb)' /proc/self/status | cut -f2 | sort -u",
           see="0000000000000000"),
    *(attack(f"uid {number}", {"process": {"user": {"uid": number, "gid": 0}}}, "id -u", refused="uid|range")
      for number in (-1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 64)),
    attack("a uid that is text", {"process": {"user": {"uid": "0", "gid": 0}}}, "id -u", refused="uid"),
]  # fmt: skip

FILES = [
    attack("config.json that is a FIFO is refused and nobody waits", {},
           before="rm config.json; mkfifo config.json",
           refused="config.json"),
    attack("config.json that has no end is refused", {}, before="ln -sf /dev/zero config.json",
           refused="config.json"),
    attack("config.json that is a directory is refused", {}, before="rm config.json; mkdir config.json",
           refused="config.json"),
    attack("a group outside of the hierarchy is refused", {"linux": {"cgroupsPath": "/../../../tmp/x"}},
           refused="cgroup|control group"),
]  # fmt: skip


@pytest.mark.parametrize("case", [*DESCRIPTORS, *MOUNTS, *IDENTITIES, *FILES], ids=lambda case: case.name)
def test_a_malicious_bundle_reaches_nothing(directory: Path, case: Case) -> None:
    play(runtimes.ours(), case, directory)


def _exec(*words: str, **wanted: Any) -> tuple[Step, ...]:
    return (CREATE, START, does("exec", *words, **wanted), *END)


@pytest.mark.parametrize(
    "user",
    [
        "0:0:0",
        "-1",
        "+0",
        " 0",
        "0 ",
        "0x0",
        "1e3",
        "٣",
        "4294967296",
        "2147483648",
        "0:4294967296",
        "1000:-1",
        "a b",
    ],
)
def test_a_user_that_is_no_number_is_refused(directory: Path, user: str) -> None:
    steps = _exec("--user", user, "@ID@", "id", "-u", fails="user|uid|gid|range|number|parsing")
    play(runtimes.ours(), Case("user", "SECURITY", {}, "exec sleep 100", steps=steps), directory)


@pytest.mark.parametrize("number", [3, 5, 7, 9, 12])
def test_a_descriptor_is_no_directory_for_exec(directory: Path, number: int) -> None:
    steps = _exec(
        "--cwd", f"/proc/self/fd/{number}", "@ID@", "ls", fails="cwd|no such|not a dir|loop|symbolic"
    )
    play(runtimes.ours(), Case("cwd", "SECURITY", {}, "exec sleep 100", steps=steps), directory)


def test_a_further_process_inherits_no_capability(directory: Path) -> None:
    steps = _exec(
        "--cap", "CAP_NET_ADMIN", "@ID@", "grep", "CapInh", "/proc/self/status", see="CapInh:\t" + "0" * 16
    )
    play(runtimes.ours(), Case("caps", "SECURITY", {}, "exec sleep 100", steps=steps), directory)


def test_descriptors_that_are_handed_on_lead_to_no_directory(directory: Path) -> None:
    bundle = Bundle(directory, Case("fds", "", {"process": {"cwd": "/proc/self/fd/3"}}, "ls"))
    words = [*runtimes.ours().argv, "--root", str(directory / "state"), "run", "--preserve-fds", "1"]
    done = subprocess.run(
        ["sh", "-c", 'exec 3</; exec "$@"', "sh", *words, "-b", str(directory), bundle.id],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode != 0
    assert "cwd" in done.stderr or "/proc/self/fd/3" in done.stderr
    assert bundle.leftovers() == []


# tries to write whatever program turns up beside it, until it has seen the runtime's pass by a few times
_OVERWRITE = (
    "while [ ! -e /stop ]; do for p in /proc/[0-9]*; do"
    " case $p in /proc/1|/proc/$$) continue;; esac;"
    " (: >>$p/exe) 2>/dev/null && readlink $p/exe >>/opened; done; done"
)


def test_the_runtimes_program_is_not_overwritten_by_the_container_that_it_enters(directory: Path) -> None:
    before = hashlib.sha256(INTERPRETER.read_bytes()).hexdigest()
    evil = shell("printf '#!/proc/self/exe\\n' >rootfs/evil; chmod 755 rootfs/evil")
    tries = tuple(does("exec", "@ID@", "/evil", fails="") for _ in range(4))
    links = tuple(does("exec", "@ID@", "/proc/self/exe", "-c", "open('/proc/self/exe','r+b')", fails="")
                  for _ in range(2))  # fmt: skip
    seen = shell("grep -v busybox rootfs/opened 2>/dev/null || echo none", see="none")
    steps = (evil, CREATE, START, *tries, *links, shell("touch rootfs/stop"), seen, *END[1:])
    play(runtimes.ours(), Case("overwrite", "SECURITY", {}, _OVERWRITE, steps=steps), directory)
    assert hashlib.sha256(INTERPRETER.read_bytes()).hexdigest() == before


def test_a_new_configuration_has_dockers_guards(directory: Path) -> None:
    runtimes.ours()(["spec", "--bundle", str(directory)], directory)
    spec = json.loads((directory / "config.json").read_text())
    assert spec["process"]["noNewPrivileges"] is True
    assert {
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    } <= set(spec["linux"]["maskedPaths"])
    assert {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"} <= set(
        spec["linux"]["readonlyPaths"]
    )
    assert {"type": "cgroup"} in spec["linux"]["namespaces"]
    assert spec["linux"]["resources"]["devices"] == [{"allow": False, "access": "rwm"}]
