"""Checkpoint and restore by a real CRIU: what ran goes on where it was, and failures cost nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ours
from tests.kernel.runtime.conftest import Box, box, leftovers
from tests.kernel.runtime.criu import OURS, Counting

__all__ = ["box"]


@pytest.fixture
def counting(box: Box) -> Iterator[Counting]:
    made = Counting(box)
    made.write()
    yield made
    made("delete", "--force", "c")


def test_a_container_goes_on_counting(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    before = counting.looks()
    counting("checkpoint", "--image-path", "one", "--leave-running", "c")
    counting.tick()
    counting("checkpoint", "--image-path", "two", "c")
    assert counting.status() == ""
    assert leftovers(counting.box.id) == []
    counting("restore", "--detach", "--image-path", "two", "--pid-file", "pid", "c")
    counting.tick()
    assert sorted(set(counting.looks()) ^ set(before)) == []
    state = json.loads(counting.told("state", "c"))
    assert (state["status"], state["pid"]) == ("running", int((counting.box.directory / "pid").read_text()))
    counting("pause", "c")
    counting("resume", "c")
    counting("kill", "c", "KILL")
    counting.reaches(lambda: counting.status() == "stopped")
    counting("delete", "c")
    # the first images, once more: they count from where they were
    counting.count = 1
    counting("restore", "--detach", "--image-path", "one", "c")
    counting.tick()


def test_a_restore_in_the_foreground_gives_the_exit_code_and_leaves_nothing(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    counting("checkpoint", "c")
    # it is read as soon as somebody reads again
    with counting.fifo() as fifo:
        fifo.write(b"end\n")
        counting("restore", "c", code=7)
    assert counting.status() == ""
    assert leftovers(counting.box.id) == []


def test_what_it_writes_goes_into_the_new_streams(counting: Counting) -> None:
    counting.write('while read -r x; do echo "got $x"; done')
    into, out = os.pipe(), os.pipe()
    counting("run", "--detach", "c", stdin=into[0], stdout=out[1])
    os.write(into[1], b"one\n")
    assert os.read(out[0], 100) == b"got one\n"
    counting("checkpoint", "c")
    for fd in (*into, *out):
        os.close(fd)
    into, out = os.pipe(), os.pipe()
    counting("restore", "--detach", "c", stdin=into[0], stdout=out[1])
    os.write(into[1], b"two\n")
    assert os.read(out[0], 100) == b"got two\n"
    # once more: a restored container can be checkpointed, too
    counting("checkpoint", "--image-path", "again", "c")
    counting("restore", "--detach", "--image-path", "again", "c", stdin=into[0], stdout=out[1])
    os.write(into[1], b"three\n")
    assert os.read(out[0], 100) == b"got three\n"
    for fd in (*into, *out):
        os.close(fd)


def _terminal(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        _data, fds, _flags, _address = socket.recv_fds(connection, 100, 1)
    return fds[0]


def test_a_terminal_comes_back_by_the_console_socket(counting: Counting) -> None:
    counting.write('echo ready; while read -r x; do echo "got $x"; done', process={"terminal": True})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(counting.box.directory / "console"))
        listener.listen()
        counting("run", "--detach", "--console-socket", "console", "c")
        master = _terminal(listener)
        seen = b""
        while b"ready" not in seen:
            seen += os.read(master, 100)
        counting("checkpoint", "c")
        os.close(master)
        assert "will detach without setting console socket" in counting("restore", "--detach", "c", code=1)
        counting("restore", "--detach", "--console-socket", "console", "c")
        master = _terminal(listener)
    os.write(master, b"hey\n")
    seen = b""
    while b"got hey" not in seen:
        seen += os.read(master, 100)
    os.close(master)


def test_mounts_from_outside_are_there_again_with_their_options(counting: Counting) -> None:
    place = counting.box.directory
    for name in ("read", "write", "mapped", "new"):
        (place / name).mkdir()
    (place / "file").write_text("a file\n")
    os.chown(place / "mapped", 5, 5)
    (counting.box.root / "link").symlink_to("/root")
    ids = [{"containerID": 0, "hostID": 10, "size": 100}]
    counting.write(
        root={"readonly": True},
        mounts=[
            {"destination": "/read", "type": "bind", "source": "read", "options": ["bind", "ro", "nosuid"]},
            {"destination": "/write", "type": "bind", "source": "write", "options": ["rbind"]},
            {"destination": "/write/deep/file", "type": "bind", "source": "file", "options": ["bind"]},
            {"destination": "/link/inner", "type": "bind", "source": "new", "options": ["bind"]},
            {"destination": "/mapped", "type": "bind", "source": "mapped", "options": ["bind", "idmap"],
             "uidMappings": ids, "gidMappings": ids},
            {"destination": "/tmp", "type": "bind", "source": "root/tmp", "options": ["bind"]},
            {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]},
            {"destination": "/scratch/inner", "type": "bind", "source": "new", "options": ["bind"]},
        ],
    )  # fmt: skip
    counting("run", "--detach", "c")
    counting.tick()
    counting("exec", "c", "sh", "-c", "echo kept >/scratch/kept; echo x >/write/x")
    script = "cat /scratch/kept /write/x /write/deep/file; busybox stat -c %u /mapped; busybox touch /no 2>&1"
    script += "; touch /read/no 2>&1; touch /link/inner/yes /scratch/inner/yes"
    before, seen = counting.looks(), counting.told("exec", "c", "sh", "-c", script)
    counting("checkpoint", "c")
    counting("restore", "--detach", "c")
    counting.tick()
    assert sorted(set(counting.looks()) ^ set(before)) == []
    assert counting.told("exec", "c", "sh", "-c", script) == seen


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "time"])
def test_a_joined_namespace_is_joined_again(counting: Counting, kind: str) -> None:
    holder = subprocess.Popen(
        ["unshare", "--net", "--ipc", "--uts", "--time", "--pid", "--fork", "--kill-child", "cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"x\n")
        holder.stdin.flush()
        holder.stdout.readline()  # it is in its namespaces by now
        child = int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text())
        name = {"network": "net"}.get(kind, kind)
        spaces = [{"type": other} for other in ("pid", "network", "mount", "ipc", "uts") if other != kind]
        path = f"/proc/{child}/ns/{name}"
        hostname = {} if kind != "uts" else {"hostname": ""}
        counting.write(linux={"namespaces": [*spaces, {"type": kind, "path": path}]}, **hostname)
        counting("run", "--detach", "c")
        counting.tick()
        pid = json.loads(counting.told("state", "c"))["pid"]
        counting("checkpoint", "c")
        # whose child it is may take a moment to wait for it, and until then its number is taken
        ours.until(lambda: not Path(f"/proc/{pid}").exists(), "what was dumped is still there")
        counting("restore", "--detach", "c")
        counting.tick()
        pid = json.loads(counting.told("state", "c"))["pid"]
        assert os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(path)
        counting("delete", "--force", "c")
    finally:
        holder.kill()
        holder.wait()


def test_a_user_namespace_comes_back(counting: Counting) -> None:
    for top, names, files in os.walk(counting.box.root):
        for path in (top, *(f"{top}/{name}" for name in (*names, *files))):
            os.chown(path, 100000, 100000, follow_symlinks=False)
    # as the directories of containers are on a host
    for place in (counting.box.directory, counting.box.directory.parent):
        place.chmod(0o711)
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    spaces = [{"type": kind} for kind in ("pid", "network", "mount", "ipc", "uts", "user")]
    counting.write(linux={"namespaces": spaces, "uidMappings": ids, "gidMappings": ids})
    counting("run", "--detach", "c")
    counting.tick()
    before = counting.looks()
    said = counting("checkpoint", "c", code=1)
    assert "must be a directory that others may search (mode 711)" in said
    assert counting.status() == "running"
    images = counting.box.directory / "checkpoint"
    images.mkdir()
    images.chmod(0o711)
    counting("checkpoint", "c")
    counting("restore", "--detach", "c")
    counting.tick()
    assert sorted(set(counting.looks()) ^ set(before)) == []


CONNECTED = """exec 3<>/tmp/go; busybox mkfifo /tmp/idle; exec 4<>/tmp/idle
busybox nc -l -p 77 <&4 >/tmp/n &
until busybox grep -q :004D /proc/net/tcp /proc/net/tcp6; do :; done
busybox nc 127.0.0.1 77 <&3 & wait"""


def test_open_connections_need_an_option_and_go_on_either_way(counting: Counting) -> None:
    counting.write(CONNECTED)
    counting("run", "--detach", "c")
    arrived = counting.box.root / "tmp/n"
    with counting.fifo() as fifo:
        fifo.write(b"one\n")
        counting.reaches(lambda: arrived.read_text() == "one\n")
        assert "tcp-established" in counting("checkpoint", "c", code=1)
        said = counting.says("checkpoint", "--image-path", "with", "--tcp-established", "c")
        if said:
            # up to 4.1 CRIU does not know the socket options of kernels from 6.16 on
            assert "criu failed: type DUMP: CRIU" in said
            assert "sockets.c" in said
        else:
            counting("restore", "--detach", "--image-path", "with", "--tcp-established", "c")
        fifo.write(b"two\n")
        counting.reaches(lambda: arrived.read_text() == "one\ntwo\n")


def test_a_failed_checkpoint_leaves_the_container_as_it_was(counting: Counting, tmp_path: Path) -> None:
    with (tmp_path / "outside").open("w") as outside:
        # a file of the host's that the container has open cannot be found inside
        counting("run", "--detach", "c", stdout=outside)
    counting.tick()
    for option in ((), ("--leave-running",), ("--work-path", "work")):
        said = counting("checkpoint", *option, "c", code=1)
        assert re.fullmatch(r"criu failed: type DUMP: CRIU [0-9.]+ says: .*\(log file: .*/dump\.log\)", said)
        assert "Can't lookup mount" in said
        assert counting.status() == "running"
        counting.tick()
    assert (tmp_path / "work/dump.log").exists()


def test_a_criu_that_dies_leaves_the_container_running(counting: Counting, tmp_path: Path) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    freezer = json.loads((counting.state / "c/state.json").read_text())["cgroup_paths"]["freezer"]
    real = shutil.which("criu", path=counting.environment["PATH"])
    # it answers for its version, and then dies with everything frozen
    fake = tmp_path / "criu"
    fake.write_text(
        f'#!/bin/sh\nif mkdir {tmp_path}/once; then exec {real} "$@"; fi\n'
        f"echo FROZEN >{freezer}/freezer.state\nexit 3\n"
    )
    fake.chmod(0o755)
    counting.environment["PATH"] = f"{tmp_path}:{counting.environment['PATH']}"
    assert "says: it ended without an answer" in counting("checkpoint", "c", code=1)
    assert counting.status() == "running"
    counting.tick()
    fake.write_text("#!/bin/sh\nexit 3\n")
    assert counting("checkpoint", "c", code=1).startswith("CRIU version check failed: criu: ")
    counting.tick()


def test_memory_is_dumped_ahead_or_it_is_said_why_not(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    said = counting.says("checkpoint", "--pre-dump", "--image-path", "first", "c")
    assert counting.status() == "running"
    counting.tick()
    if said:
        assert said == (
            "CRIU is missing features: --pre-dump needs the kernel's tracking of changed memory, "
            "which is not there"
        )
        return
    counting("checkpoint", "--parent-path", "../first", "--image-path", "second", "c")
    counting("restore", "--detach", "--image-path", "second", "c")
    counting.tick()


def test_a_paused_container_is_checkpointed_as_well(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    counting("pause", "c")
    counting("checkpoint", "--leave-running", "c")
    assert counting.status() == "paused"
    counting("resume", "c")
    counting.tick()


def test_a_failed_restore_leaves_nothing(counting: Counting) -> None:
    (counting.box.directory / "shared").mkdir()
    bind = {"destination": "/shared", "type": "bind", "source": "shared", "options": ["bind"]}
    counting.write(mounts=[bind])
    counting("run", "--detach", "c")
    counting.tick()
    counting("checkpoint", "--leave-running", "c")
    assert "already exists" in counting("restore", "c", code=1)
    counting("delete", "--force", "c")
    images = counting.box.directory / "checkpoint"

    def refused(message: str, *options: str) -> None:
        said = counting("restore", *options, "c", code=1)
        assert re.search(message, said), said
        assert counting.status() == ""
        assert not (counting.state / "c").exists()
        assert leftovers(counting.box.id) == []

    refused("open /.*/nothing/descriptors.json: no such file or directory", "--image-path", "nothing")
    assert not (counting.box.directory / "nothing").exists()
    core = next(images.glob("core-*.img"))
    whole = core.read_bytes()
    core.write_bytes(whole[:100])
    refused(r"criu failed: type RESTORE: CRIU [0-9.]+ says: .*restore\.log\)", "--work-path", "work")
    core.write_bytes(whole)
    counting.write(mounts=[bind], hooks={"createRuntime": [{"path": "/bin/false"}]})
    refused("error running createRuntime hook #0")
    (counting.box.directory / "shared").rmdir()
    counting.write(mounts=[bind])
    refused("shared.*no such file or directory")
    (images / "descriptors.json").write_text('{"a": 1}')
    refused("is not a list of names")


def test_hooks_run_when_the_namespaces_are_there(counting: Counting) -> None:
    counting("run", "--detach", "c")
    counting.tick()
    counting("checkpoint", "c")
    told = counting.box.directory / "told"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >{told}"]}
    counting.write(hooks={"prestart": [hook]})
    counting("restore", "--detach", "c")
    state = json.loads(told.read_text())
    assert (state["id"], state["pid"]) == ("c", json.loads(counting.told("state", "c"))["pid"])
    counting.tick()


SAME = [
    # (words, what both say, the exit code): in the order in which they are tried
    (("checkpoint", "nobody"), "container does not exist"),
    (("checkpoint", "--parent-path", "/abs", "c"), "--parent-path must be relative"),
    (
        ("checkpoint", "--parent-path", "nope", "c"),
        "invalid --parent-path: stat .*/nope: no such file or directory",
    ),
    (("checkpoint", "--page-server", "x", "c"), "Use --page-server ADDRESS:PORT to specify page server"),
    (("checkpoint", "--page-server", "x:y", "c"), "Invalid port number"),
    (("checkpoint", "--empty-ns", "pid", "c"), 'namespace "pid" is not supported'),
    (("checkpoint", "--manage-cgroups-mode", "odd", "c"), "(?i)invalid manage.cgroups.mode"),
    (("restore", "c"), "container with given ID already exists"),
    (("restore", "--image-path", "nope", "d"), "open .*nope/descriptors.json: no such file or directory"),
    (("checkpoint", "--image-path", "one", "--leave-running", "c"), ""),
    (("checkpoint", "--image-path", "two", "c"), ""),
    (("checkpoint", "--image-path", "two", "c"), "container does not exist"),
    (("restore", "--detach", "--image-path", "two", "c"), ""),
    (("kill", "c", "KILL"), ""),
    (("(stopped)",), ""),
    (("checkpoint", "c"), "Container cannot be checkpointed in stopped state"),
    (("delete", "c"), ""),
]


@pytest.mark.parametrize("argv", [OURS, ["runc"]], ids=["ours", "runc"])
def test_the_same_commands_end_the_same_way_with_runc(box: Box, argv: list[str]) -> None:
    counting = Counting(box, *argv)
    counting.write()
    counting("create", "c")
    assert counting("checkpoint", "c", code=1) == "Container cannot be checkpointed in created state"
    counting("start", "c")
    counting.tick()
    try:
        for words, pattern in SAME:
            if words == ("(stopped)",):
                counting.reaches(lambda: counting.status() == "stopped")
                continue
            said = counting(*words, code=1 if pattern else 0)
            assert re.search(pattern, said), (words, said)
        counting.environment["PATH"] = str(box.directory)
        counting.argv = (shutil.which(argv[0]) or argv[0], *argv[1:])
        (box.directory / "one/again").mkdir()
        said = counting("restore", "--image-path", "one", "e", code=1)
        assert 'exec: "criu": executable file not found in $PATH' in said
        assert counting.status() == ""
    finally:
        counting("delete", "--force", "c")
