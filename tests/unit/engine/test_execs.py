"""Docker's exec: what is refused and how, what a process is made of, what is remembered."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from wharfie.engine import execs as module
from wharfie.engine.container import State, Status
from wharfie.engine.execs import Execs, process_of
from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.monitor.client import LaunchError
from wharfie.support import json
from wharfie.wire.execs import ExecCreate, ExecStart
from wharfie.wire.stdcopy import frame

BASE = {
    "args": ["sleep"], "cwd": "/srv", "user": {"uid": 7, "gid": 7}, "env": ["PATH=/bin", "A=1"],
    "capabilities": {"bounding": ["CAP_KILL"]}, "terminal": False,
}  # fmt: skip


class Link:
    """A monitor that starts whatever it is told to."""

    process = json.dumps(BASE)
    seccomp_path = "/seccomp"

    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.exits: dict[str, asyncio.Future[int]] = {}
        self.error: Exception | None = None
        self.sizes: list[tuple[int, int, str]] = []
        self.pings = 0

    async def exec(self, exec_id: str, process: dict[str, Any], **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.started.append((exec_id, process, options))
        self.exits[exec_id] = asyncio.get_running_loop().create_future()
        return SimpleNamespace(pid=4242, exited=self.exits[exec_id])

    async def ping(self) -> None:
        self.pings += 1

    async def resize(self, height: int, width: int, exec_id: str) -> None:
        self.sizes.append((height, width, exec_id))


class Containers:
    def __init__(self, state: State = State.RUNNING) -> None:
        self.events: list[tuple[str, dict[str, str]]] = []
        self.link = Link()
        self.container: Any = SimpleNamespace(
            id="c" * 64, short_id="c" * 12, link=self.link, exec_ids=set(), status=Status(state=state)
        )

    def get(self, ref: str) -> Any:
        return self.container

    def emit(self, container: Any, action: str, **attributes: str) -> None:
        self.events.append((action, attributes))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.EXITED, f"container {'c' * 64} is not running"),
        (State.PAUSED, "Container box is paused, unpause the container before exec"),
        (State.RESTARTING, "is restarting, wait until the container is running"),
    ],
)
async def test_the_container_must_run(state: State, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        await Execs(Containers(state)).create("box", ExecCreate(cmd=["true"]))


async def test_there_must_be_a_command() -> None:
    with pytest.raises(InvalidArgument, match="No exec command specified"):
        await Execs(Containers()).create("box", ExecCreate())


async def test_an_unknown_id_is_named() -> None:
    with pytest.raises(NotFound, match="No such exec instance: nope"):
        await Execs(Containers()).inspect("nope")


async def test_from_creation_to_exit() -> None:
    containers = Containers()
    execs = Execs(containers)
    exec_id = await execs.create("box", ExecCreate(cmd=["echo", "a", "b"], attach_stdout=True))
    before = await execs.inspect(exec_id)
    assert (before.running, before.exit_code, before.pid) == (False, None, 0)
    assert containers.container.exec_ids == {exec_id}
    await execs.start_detached(exec_id, ExecStart(detach=True))
    during = await execs.inspect(exec_id)
    assert (during.running, during.exit_code, during.pid) == (True, None, 4242)
    with pytest.raises(Conflict, match="is already running"):
        execs.check_start(exec_id, ExecStart())
    containers.link.exits[exec_id].set_result(3)
    for _ in range(3):
        # the watching task's turns
        await asyncio.sleep(0)
    after = await execs.inspect(exec_id)
    assert (after.running, after.exit_code, after.can_remove) == (False, 3, True)
    assert after.process_config.entrypoint == "echo"
    assert after.process_config.arguments == ["a", "b"]
    assert containers.container.exec_ids == set()
    with pytest.raises(Conflict, match="has already run"):
        execs.check_start(exec_id, ExecStart())
    assert containers.events == [
        ("exec_create: echo a b", {"execID": exec_id}),
        ("exec_start: echo a b", {"execID": exec_id}),
        ("exec_die", {"execID": exec_id, "exitCode": "3"}),
    ]


async def test_an_attached_one_gets_its_stream() -> None:
    containers = Containers()
    execs = Execs(containers)
    exec_id = await execs.create(
        "box", ExecCreate(cmd=["cat"], attach_stdin=True, attach_stdout=True, tty=True)
    )
    assert execs.check_start(exec_id, ExecStart())
    ours, theirs = socket.socketpair()
    await execs.start_attached(exec_id, ExecStart(console_size=(10, 20)), theirs.detach(), b"pre")
    _, _, options = containers.link.started[0]
    [attachment] = options["attachments"]
    assert (attachment.stdin, attachment.stdout, attachment.stderr) == (True, True, False)
    assert (attachment.multiplex, attachment.prefix, attachment.detach_keys) == (False, b"pre", b"\x10\x11")
    assert options["console_size"] == (10, 20)
    assert options["open_stdin"]
    await execs.resize(exec_id, 1, 2)
    assert containers.link.sizes == [(1, 2, exec_id)]
    containers.link.exits[exec_id].set_result(0)
    ours.close()


@pytest.mark.parametrize("tty", [False, True])
async def test_what_cannot_start_says_so_in_the_stream(tty: bool) -> None:
    containers = Containers()
    containers.link.error = LaunchError('exec: "foo": executable file not found in $PATH', 127)
    execs = Execs(containers)
    exec_id = await execs.create("box", ExecCreate(cmd=["foo"], attach_stdout=True, tty=tty))
    ours, theirs = socket.socketpair()
    await execs.start_attached(exec_id, ExecStart(), theirs.detach(), b"")
    text = (
        b"OCI runtime exec failed: exec failed: unable to start container process: "
        b'exec: "foo": executable file not found in $PATH: unknown\r\n'
    )
    assert ours.recv(1000) == (text if tty else frame(1, text))
    assert ours.recv(10) == b""
    assert (await execs.inspect(exec_id)).exit_code == 127
    assert containers.events[-1] == ("exec_die", {"execID": exec_id, "exitCode": "127"})


async def test_finished_ones_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    containers = Containers()
    execs = Execs(containers)
    ids = [await execs.create("box", ExecCreate(cmd=["true"])) for _ in range(3)]
    with pytest.raises(NotFound):
        await execs.inspect(ids[0])
    assert containers.container.exec_ids == set(ids[1:])


def test_a_process_begins_as_the_containers() -> None:
    link: Any = Link()
    plain = process_of(link, ExecCreate(cmd=["x"]))
    assert plain == {**BASE, "args": ["x"]}
    changed = process_of(
        link, ExecCreate(cmd=["x"], tty=True, user="bob:adm", working_dir="/tmp", env=["A=2", "B=3", "PATH"])
    )
    assert changed["env"] == ["A=2", "TERM=xterm", "B=3"]
    assert changed["cwd"] == "/tmp"
    assert changed["user"]["username"] == "bob:adm"
    assert changed["terminal"]


def test_privileged_gets_what_the_engine_has() -> None:
    link: Any = Link()
    names = process_of(link, ExecCreate(cmd=["x"], privileged=True))["capabilities"]["bounding"]
    assert "CAP_KILL" in names
    assert len(names) > 5
