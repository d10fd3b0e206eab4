"""Hooks: programs that are told the container's state on their standard input (runtime-spec, "POSIX-platform
Hooks").

A hook without ``env`` gets an empty environment. What it writes goes to a file in memory, so that one that
writes much never waits for a reader.
"""

from __future__ import annotations

import posix as os
import select

from wharfie.linux.process import close_range, fork_into, pidfd_send_signal, reset_signals, wait_pidfd
from wharfie.runtime.launch import LaunchError
from wharfie.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Hooks = dict[str, list[dict[str, Any]]]

_OUTPUT = 4096
_LONGEST = (1 << 31) - 1  # milliseconds, of poll(2)


def run_stage(hooks: Hooks, stage: str, state: dict[str, Any]) -> None:
    """Run the hooks of a stage one after the other; raises LaunchError at the first that fails."""
    for number, hook in enumerate(hooks.get(stage) or ()):
        reason = run_hook(hook, state)
        if reason:
            raise LaunchError(f"error running {stage} hook #{number} ({hook['path']}): {reason}")


def run_gently(hooks: Hooks, stage: str, state: dict[str, Any]) -> list[str]:
    """Run the hooks of a stage whose failure changes nothing (poststart, poststop); a warning for each."""
    warnings = []
    for number, hook in enumerate(hooks.get(stage) or ()):
        try:
            reason = run_hook(hook, state)
        except OSError as error:
            reason = str(error)
        if reason:
            warnings.append(f"error running {stage} hook #{number} ({hook['path']}): {reason}")
    return warnings


def run_hook(hook: dict[str, Any], state: dict[str, Any]) -> str:
    """Run one and wait for it, no longer than its timeout in seconds; why it failed, "" if it did not."""
    path = hook["path"]
    arguments = hook.get("args") or [path]
    environment = dict(entry.partition("=")[::2] for entry in hook.get("env") or ())
    stdin = os.memfd_create("state")
    output = os.memfd_create("output")
    pidfd = -1
    try:
        os.write(stdin, json.dumps(state).encode())
        os.lseek(stdin, 0, 0)

        def child() -> None:
            os.dup2(stdin, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            reset_signals()
            close_range(3)
            try:
                os.execve(path, arguments, environment)
            except OSError as error:
                os.write(2, f"{path}: {(error.strerror or '').lower()}".encode())

        _pid, pidfd = fork_into(child)
        timeout = hook.get("timeout")
        code = _wait(pidfd, timeout)
        if code is None:
            return f"hook ran past specified timeout of {timeout}s"
        said = os.pread(output, _OUTPUT, 0).decode("utf-8", "replace").strip() if code else ""
        return f"exit status {code}{': ' + said if said else ''}" if code else ""
    finally:
        for fd in (stdin, output, pidfd):
            if fd >= 0:
                os.close(fd)


def _wait(pidfd: int, timeout: int | None) -> int | None:
    """The exit code of a hook, None if it ran too long and was killed."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    if poller.poll(min(timeout * 1000, _LONGEST) if timeout else None):
        return wait_pidfd(pidfd)
    pidfd_send_signal(pidfd, 9)
    wait_pidfd(pidfd)
    return None
