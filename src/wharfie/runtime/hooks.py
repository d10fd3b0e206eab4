"""Hooks: programs that are told the container's state on their standard input (runtime-spec, "POSIX-platform
Hooks").
"""

from __future__ import annotations

import os
import select

from wharfie.linux.process import fork_into, pidfd_send_signal, reset_signals, wait_pidfd
from wharfie.runtime.launch import LaunchError
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OUTPUT = 4096


def run_all(hooks: list[dict[str, Any]] | None, state: dict[str, Any]) -> None:
    """Run hooks one after the other; raises LaunchError at the first that fails."""
    for hook in hooks or ():
        run_hook(hook, state)


def run_hook(hook: dict[str, Any], state: dict[str, Any]) -> None:
    """Run one and wait for it, no longer than its timeout; raises LaunchError."""
    content = json.dumps(state).encode()
    stdin = os.memfd_create("state")
    os.write(stdin, content)
    os.lseek(stdin, 0, os.SEEK_SET)
    reader, writer = os.pipe()
    path = hook["path"]
    arguments = hook.get("args") or [path]
    environment = dict(entry.partition("=")[::2] for entry in hook.get("env") or ())

    def child() -> None:
        os.dup2(stdin, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        reset_signals()
        try:
            os.execve(path, arguments, environment)
        except OSError as error:
            os.write(2, (error.strerror or "").lower().encode())

    _pid, pidfd = fork_into(child)
    os.close(stdin)
    os.close(writer)
    try:
        code = _wait(pidfd, hook.get("timeout"))
        if code:
            said = _read(reader)
            raise LaunchError(f"error running hook {path}: exit status {code}{': ' + said if said else ''}")
    finally:
        os.close(reader)
        os.close(pidfd)


def _wait(pidfd: int, timeout: int | None) -> int:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if not poller.poll(timeout * 1000 if timeout else None):
        pidfd_send_signal(pidfd, 9)
    return wait_pidfd(pidfd) or 0


def _read(fd: int) -> str:
    os.set_blocking(fd, False)
    try:
        return os.read(fd, _OUTPUT).decode("utf-8", "replace").strip()
    except BlockingIOError:
        return ""
