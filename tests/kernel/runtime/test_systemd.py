"""The systemd driver against a D-Bus server of ours that does what systemd does with a scope."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, box
from tests.kernel.runtime.test_cli import Runtime
from wharfie.linux.dbus import CALL, ERROR, RETURN, SIGNAL, encode, read_message
from wharfie.runtime.cgroups.layout import layout

__all__ = ["box"]
JOB = "/org/freedesktop/systemd1/job/7"
MANAGER = "org.freedesktop.systemd1.Manager"


def managed() -> list[str]:
    """The hierarchies that systemd makes groups in; on version 1 it leaves two alone."""
    return [mount for mount in layout().mounts if not mount.endswith(("/cpuset", "/freezer"))]


class FakeSystemd:
    """A bus with one service on it; what it was asked is in ``calls``."""

    def __init__(self, path: Path, group: str) -> None:
        self.calls: list[tuple[str, list[Any]]] = []
        self.refuse = ""
        self.result = "done"
        self._group = group
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as stream:
                assert stream.readline() == f"\0AUTH EXTERNAL {str(os.geteuid()).encode().hex()}\r\n".encode()
                client.sendall(b"OK 1234deadbeef\r\n")
                assert stream.readline() == b"BEGIN\r\n"
                self._talk(client, stream.read)

    def _talk(self, client: socket.socket, read: Any) -> None:
        def whole(size: int) -> bytes:
            data: bytes = read(size)
            if len(data) < size:
                raise EOFError
            return data

        while True:
            try:
                message = read_message(whole)
            except EOFError:
                return
            assert message.kind == CALL
            if message.member == self.refuse:
                fields = {4: ("s", "org.freedesktop.systemd1.Refused"), 5: ("u", message.serial)}
                client.sendall(encode(ERROR, 1, fields, ("s", "it is forbidden")))
                continue
            answer = self._answer(message.member, message.body)
            client.sendall(encode(RETURN, 1, {5: ("u", message.serial)}, *answer))
            if message.member in ("StartTransientUnit", "StopUnit"):
                fields = {1: ("o", "/org/freedesktop/systemd1"), 2: ("s", MANAGER), 3: ("s", "JobRemoved")}
                for job in ("/another", JOB):
                    unit = ("s", message.body[0])
                    client.sendall(encode(SIGNAL, 2, fields, ("u", 7), ("o", job), unit, ("s", self.result)))

    def _answer(self, member: str, body: list[Any]) -> list[tuple[str, Any]]:
        if member == "Hello":
            return [("s", ":1.1")]
        if member == "AddMatch":
            return []
        self.calls.append((member, body))
        if member == "StartTransientUnit":
            (pid,) = dict(body[2])["PIDs"]
            for mount in managed():
                Path(mount + self._group).mkdir(parents=True, exist_ok=True)
                Path(mount + self._group, "cgroup.procs").write_text(str(pid))
        return [] if member == "SetUnitProperties" else [("o", JOB)]


@pytest.fixture
def systemd(box: Box, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystemd]:
    path = box.directory / "bus"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path}")
    made = FakeSystemd(path, f"/wharfietest.slice/wharfietest-{box.id}.slice/x-{box.id}.scope")
    yield made
    made.close()
    for mount in layout().mounts:
        for name in (f"wharfietest.slice/wharfietest-{box.id}.slice", "wharfietest.slice"):
            if os.path.isdir(f"{mount}/{name}") and not [
                e for e in os.scandir(f"{mount}/{name}") if e.is_dir()
            ]:
                os.rmdir(f"{mount}/{name}")


@pytest.fixture
def runtime(box: Box) -> Runtime:
    made = Runtime(box)
    box.cgroup = f"wharfietest-{box.id}.slice:x:{box.id}"
    return made


def test_a_life_in_a_scope(runtime: Runtime, systemd: FakeSystemd) -> None:
    runtime.write(["sleep", "1000"])
    runtime("--systemd-cgroup", "run", "--detach", "one")
    method, (unit, mode, properties, further) = systemd.calls[0]
    asked = dict(properties)
    assert (method, unit, mode, further) == ("StartTransientUnit", f"x-{runtime.box.id}.scope", "replace", [])
    assert (asked["Slice"], asked["Delegate"]) == (f"wharfietest-{runtime.box.id}.slice", True)
    group = f"/wharfietest.slice/wharfietest-{runtime.box.id}.slice/{unit}"
    assert runtime("exec", "one", "cat", "/proc/self/cgroup").count(":/\n") >= len(layout().mounts)
    first = Path(managed()[0] + group, "cgroup.procs").read_text().split()
    assert len(first) == 1, "the placeholder has gone"
    runtime("update", "--memory", "64M", "--pids-limit", "30", "one")
    assert systemd.calls[1][0] == "SetUnitProperties"
    assert dict(systemd.calls[1][1][2])["TasksMax"] == 30
    runtime("delete", "--force", "one")
    assert [name for name, _ in systemd.calls[2:]] == ["StopUnit"]
    assert not Path(managed()[0] + group).exists()


@pytest.mark.parametrize("refusal", ["error", "job", "absent"])
def test_systemd_says_no(
    runtime: Runtime, systemd: FakeSystemd, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    runtime.write(["sleep", "1000"])
    expected = "it is forbidden"
    if refusal == "error":
        systemd.refuse = "StartTransientUnit"
    elif refusal == "job":
        systemd.refuse, expected = "Nothing", "ended as 'failed'"
        systemd.result = "failed"
    else:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
        expected = "cannot be asked over D-Bus at /nowhere"
    assert expected in runtime("--systemd-cgroup", "run", "two", fails=True)
    assert runtime("list", "--quiet") == ""
    for mount in layout().mounts:
        group = f"{mount}/wharfietest.slice/wharfietest-{runtime.box.id}.slice/x-{runtime.box.id}.scope"
        if os.path.isdir(group):
            os.rmdir(group)
