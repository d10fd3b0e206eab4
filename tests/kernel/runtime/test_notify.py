"""Filters that ask an agent: it gets the container's state and the descriptor, and its answer counts."""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.runtime.conftest import Box, make_spec
from wharfie.linux.fd import recv_fds
from wharfie.linux.process import pidfd_send_signal, wait_pidfd
from wharfie.runtime.join import Target, exec_process
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.seccomp_compile import compile_program

RECV, SEND = 0xC0502100, 0xC0182101
EBADMSG = 74


def profile(path: Path) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "listenerPath": str(path),
        "listenerMetadata": "some words",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }


def listen(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    made.settimeout(60)
    return made


def told(agent: socket.socket) -> tuple[dict[str, Any], int]:
    """The next message that the agent gets, and the descriptor beside it."""
    connection, _ = agent.accept()
    with connection:
        data, fds = recv_fds(connection)
    return json.loads(data), fds[0]


def answer(fd: int) -> None:
    """Refuse the next call in a way that nothing else does."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    assert poller.poll(10000)
    notification = bytearray(80)
    fcntl.ioctl(fd, RECV, notification)
    (number,) = struct.unpack_from("=Q", notification)
    fcntl.ioctl(fd, SEND, bytearray(struct.pack("=QqiI", number, 0, -EBADMSG, 0)))


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_the_agent_answers_for_the_container_and_for_what_joins_it(
    box: Box, tmp_path: Path, no_new_privs: bool
) -> None:
    with listen(tmp_path / "agent") as agent:
        spec = make_spec(
            ["sleep", "100"],
            linux={"seccomp": profile(tmp_path / "agent")},
            process={"noNewPrivileges": no_new_privs},
            annotations={"a": "b"},
        )
        container = box.start(spec)
        message, fd = told(agent)
        os.close(fd)
        assert (message["fds"], message["pid"]) == (["seccompFd"], container.pid)
        assert message["metadata"] == "some words"
        state = message["state"]
        assert (state["id"], state["pid"], state["status"]) == (box.id, container.pid, "creating")
        assert (state["bundle"], state["annotations"]) == (str(box.directory), {"a": "b"})
        target = Target(
            id=box.id,
            pid=container.pid,
            pidfd=container.pidfd,
            cgroup=box.cgroup,
            spec=container.spec,
            bundle=str(box.directory),
        )
        reader, writer = os.pipe()
        process = {**container.spec["process"], "args": ["mkdir", "/new"]}
        program = compile_program(profile(tmp_path / "agent"))
        made = exec_process(target, process, seccomp=program, stdio=(reader, writer, writer))
        os.close(writer)
        message, fd = told(agent)
        assert message["pid"] == made.pid
        assert (message["state"]["pid"], message["state"]["status"]) == (container.pid, "running")
        answer(fd)
        assert wait_pidfd(made.pidfd) == 1
        with os.fdopen(reader) as stream:
            assert "Bad message" in stream.read()
        os.close(fd)
        made.close()
    pidfd_send_signal(container.pidfd, 9)
    wait_pidfd(container.pidfd)
    container.destroy()
    container.close()


def test_an_agent_that_is_not_there_fails_the_start(box: Box, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"linux\.seccomp\.listenerPath: the agent at .* cannot be told"):
        box.start(make_spec(["true"], linux={"seccomp": profile(tmp_path / "none")}))
    without = profile(tmp_path / "none")
    del without["listenerPath"]
    with pytest.raises(LaunchError, match=r"linux\.seccomp\.listenerPath is missing"):
        box.start(make_spec(["true"], linux={"seccomp": without}))
