"""The commands that steer a container by its record: start, kill, delete, pause, resume."""

from __future__ import annotations

import errno
import posix as os
import select

from wharfie.errors import Conflict, InvalidArgument, NotFound, WharfieError
from wharfie.linux.process import pidfd_send_signal
from wharfie.runtime import log
from wharfie.runtime.state import Record, Store
from wharfie.runtime.sync import describe
from wharfie.spec.signals import signal_number
from wharfie.support import paths
from wharfie.support.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KILL = 9


def do_start(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``start``: let the process that waits at the FIFO go on."""
    record = store.take(words[0])
    status = record.status()
    if status in ("running", "paused"):
        raise Conflict("cannot start an already running container")
    if status != "created":
        raise Conflict("cannot start a container that has stopped")
    release(record)
    return 0


def release(record: Record) -> None:
    """Let a created container's process go on; raises Conflict when it has died or was started."""
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
    run_hooks(record, "poststart", "running")


def do_kill(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``kill``: a signal to the first process, or with --all to every process."""
    record = store.load(words[0])
    number = _signal(words[1] if len(words) > 1 else "SIGTERM")
    if options.get("all"):
        record.open_cgroup().kill_all(number)
        return 0
    pidfd = record.pidfd()
    try:
        pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        raise Conflict("container not running") from None
    except OSError as error:
        raise InvalidArgument(f"unable to signal init: {describe(error)}") from None
    finally:
        os.close(pidfd)
    if number != _KILL:
        return 0
    cgroup = record.open_cgroup()
    # a frozen process gets its signal when it thaws; only for SIGKILL does the caller not wait for that
    if cgroup.frozen():
        cgroup.thaw()
    if not _has_own_pids(record.spec):
        # no init's death takes the others down (pid_namespaces(7))
        cgroup.kill_all(_KILL)
    return 0


def _signal(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return signal_number(text)
    except InvalidArgument:
        raise InvalidArgument(f'unknown signal "{text}"') from None


def _has_own_pids(spec: dict[str, Any]) -> bool:
    return any(
        item.get("type") == "pid" and not item.get("path")
        for item in (spec.get("linux") or {}).get("namespaces") or ()
    )


def do_delete(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``delete``: remove a stopped container, with --force a running one, or what a killed command left."""
    name = words[0]
    force = bool(options.get("force"))
    try:
        record = store.take(name)
    except NotFound:
        if not force:
            raise
        if name not in ("", ".", "..") and "/" not in name and paths.lexists(store.directory(name)):
            remove_tree(store.directory(name))
        return 0
    status = record.status()
    if status not in ("stopped", "created") and not force:
        raise Conflict(f"cannot delete container {name} that is not stopped: {status}")
    if status != "stopped":
        _end(record)
        if status == "paused":
            record.open_cgroup().thaw()
        wait_gone(record)
    remove(record)
    return 0


def remove(record: Record) -> None:
    """Remove what is left of a container whose first process is dead; raises WharfieError."""
    cgroup = record.open_cgroup()
    problem: WharfieError | None = None
    try:
        cgroup.destroy()
        unit = record.unit()
        if unit is not None:
            unit.stop()
    except WharfieError as error:
        problem = error
    run_hooks(record, "poststop", "stopped")
    if problem is not None:
        raise problem
    record.forget()


def _end(record: Record) -> None:
    try:
        pidfd = record.pidfd()
    except Conflict:
        return  # it has just ended by itself
    try:
        pidfd_send_signal(pidfd, _KILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def wait_gone(record: Record) -> None:
    """Wait until the first process is dead, whoever its parent is."""
    try:
        pidfd = record.pidfd()
    except Conflict:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    os.close(pidfd)


def do_pause(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``pause``."""
    record = store.take(words[0])
    if record.status() not in ("running", "created"):
        raise Conflict("container not running")
    record.open_cgroup().freeze()
    return 0


def do_resume(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``resume``."""
    record = store.take(words[0])
    if record.status() != "paused":
        raise Conflict("container not paused")
    record.open_cgroup().thaw()
    return 0


def run_hooks(record: Record, stage: str, status: str) -> None:
    """Run the hooks of a stage whose failure is no more than a warning."""
    found = record.spec.get("hooks") or {}
    if found.get(stage):
        from wharfie.runtime import hooks  # rare, and costs a millisecond

        log.warn(hooks.run_gently(found, stage, record.hook_state(status)))
