"""The commands that steer a container by its record: start, kill, delete; what makes one is not loaded."""

from __future__ import annotations

import errno
import os
import select

from wharfie.errors import Conflict, InvalidArgument, NotFound
from wharfie.linux.process import pidfd_send_signal
from wharfie.runtime.state import Record, Store
from wharfie.spec.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def one(words: list[str], command: str) -> str:
    """The only word there may be, the container's id; raises InvalidArgument."""
    if len(words) != 1:
        raise InvalidArgument(f'"{command}" requires exactly 1 argument: the container\'s id')
    return words[0]


def do_start(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``start``: let the process that waits at the FIFO go on."""
    record = store.load(one(words, "start"))
    status = record.status()
    if status == "running":
        raise Conflict("cannot start an already running container")
    if status != "created":
        raise Conflict(f"cannot start a container that has {status}")
    release(record)
    return 0


def release(record: Record) -> None:
    """Let a created container's process go on; raises Conflict when it has died."""
    try:
        # without a reader the container's process has died meanwhile
        fd = os.open(record.fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            raise Conflict("cannot start a container that has stopped") from None
        raise
    os.unlink(record.fifo)
    os.write(fd, b"s")
    os.close(fd)
    if (record.spec.get("hooks") or {}).get("poststart"):
        run_hooks(record, "poststart", {**record.state(), "status": "running"})


def do_kill(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``kill``: a signal to the first process, or with --all to every process."""
    if not 1 <= len(words) <= 2:
        raise InvalidArgument('"kill" requires a container\'s id and perhaps a signal')
    record = store.load(words[0])
    number = signal_number(words[1] if len(words) > 1 else "SIGTERM")
    if options.get("all"):
        record.open_cgroup().kill_all(number)
        return 0
    pidfd = record.pidfd()
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise Conflict("container not running") from None
    finally:
        os.close(pidfd)
    # a frozen process gets its signal when it thaws; only for SIGKILL does the caller not wait for that
    if number == 9 and record.open_cgroup().frozen():
        record.open_cgroup().thaw()
    return 0


def do_delete(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``delete``: remove a stopped container, with --force a running one."""
    name = one(words, "delete")
    force = bool(options.get("force"))
    try:
        record = store.load(name)
    except NotFound:
        if force:
            return 0
        raise
    status = record.status()
    if status not in ("stopped", "created") and not force:
        raise Conflict(f"cannot delete container {name} that is not stopped: {status}")
    cgroup = record.open_cgroup()
    if status != "stopped":
        pidfd = record.pidfd()
        pidfd_send_signal(pidfd, 9)
        if status == "paused":
            cgroup.thaw()
        wait_gone(pidfd)
        os.close(pidfd)
    cgroup.destroy()
    record.forget()
    run_hooks(record, "poststop", {**record.state(), "status": "stopped"})
    return 0


def wait_gone(pidfd: int) -> None:
    """Wait until a process is dead, whoever its parent is."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()


def run_hooks(record: Record, stage: str, state: dict[str, Any]) -> None:
    """Run the hooks of a stage whose failure is no more than a warning."""
    found = record.spec.get("hooks") or {}
    if found.get(stage):
        from wharfie.runtime import hooks  # rare, and costs a millisecond

        warn(hooks.run_gently(found, stage, state))


def warn(warnings: list[str]) -> None:
    """Write warnings to standard error, a line each."""
    for warning in warnings:
        os.write(2, f"level=warning msg={warning}\n".encode())
