"""A further process in a running container.

The caller forks straight into the container's pid namespace (where its children are born is set and put back
The caller forks straight into the container's pid namespace (where its children are born is set and put back
the other namespaces in one call (setns(2) with a pidfd)::

    parent: setns(pidfd, pid) ─ clone3 ─ setns(own pid)
    child:  cgroup ─> setns(pidfd, the rest) ─> user ids ─> terminal ─> user, capabilities, filter ─> execve

Until execve the child is not dumpable: the container's own processes see it, but not what it has open.
"""

from __future__ import annotations

import os

from wharfie.errors import WharfieError
from wharfie.linux import credentials, process
from wharfie.linux.fd import close_all
from wharfie.runtime import setup, sync
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.console import Console
from wharfie.runtime.init import join_keyring
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.parent import fork_in, own_bounding_set
from wharfie.runtime.processplan import ProcessPlan
from wharfie.runtime.sync import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.cgroups.entry import Entry


class Target:
    """The container to join: its first process, its cgroup's path, and the spec it was created with."""

    __slots__ = ("cgroup", "id", "pid", "pidfd", "spec")

    def __init__(self, *, id: str, pid: int, pidfd: int, cgroup: str, spec: dict[str, Any]) -> None:
        self.id = id
        self.pid = pid
        self.pidfd = pidfd
        """Stays the caller's to close."""
        self.cgroup = cgroup
        self.spec = spec


class Process:
    """A process that runs its program; the descriptors are its owner's to close."""

    __slots__ = ("console", "pid", "pidfd", "start_time")

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = -1
        self.start_time = 0
        self.console: int | None = None

    def close(self) -> None:
        """Close the descriptors."""
        close_all(fd for fd in (self.pidfd, -1 if self.console is None else self.console) if fd >= 0)
        self.pidfd, self.console = -1, None


def exec_process(
    target: Target,
    process: dict[str, Any],
    *,
    stdio: tuple[int, int, int] | None = None,
    seccomp: bytes | None = None,
    console_size: tuple[int, int] | None = None,
    preserve_fds: int = 0,
) -> Process:
    """Run an OCI process in a container; returns after its execve. Raises LaunchError, with nothing left."""
    flags = _namespaces(target)
    own = (1 << 41) - 1 if flags & USER else own_bounding_set()
    plan = ProcessPlan(process, own_bounding=own)
    plan.set_seccomp(seccomp, ((target.spec.get("linux") or {}).get("seccomp") or {}).get("flags"))
    plan.stdio = stdio
    plan.preserve_fds = preserve_fds
    plan.keyring = f"_ses.{target.id}"
    if console_size is not None:
        plan.size = console_size
    try:
        entry = open_cgroup(target.cgroup).entry(target.pid)
    except WharfieError as error:
        raise LaunchError(error.message) from None
    return _fork(target, plan, flags, entry)


USER = process.CLONE_NEWUSER


def _namespaces(target: Target) -> int:
    """The kinds of namespace in which the container differs from the caller."""
    flags = 0
    for kind, flag in process.NAMESPACES.items():
        name = process.NAMESPACE_FILES.get(kind, kind)
        try:
            there = os.stat(f"/proc/{target.pid}/ns/{name}").st_ino
        except FileNotFoundError:
            if not os.path.exists(f"/proc/{target.pid}/ns"):
                raise LaunchError(f"Container {target.id} is not running") from None
            continue  # a kernel without this kind
        except OSError as error:
            raise LaunchError(f"Container {target.id} cannot be joined: {describe(error)}") from None
        if there != os.stat(f"/proc/self/ns/{name}").st_ino:
            flags |= flag
    return flags


def _fork(target: Target, plan: ProcessPlan, flags: int, entry: Entry) -> Process:
    made = Process()
    channel, inner = sync.pair()
    pid_namespace = target.pidfd if flags & process.CLONE_NEWPID else -1
    try:
        try:

            def child() -> None:
                channel.close()
                _run(target, plan, flags & ~process.CLONE_NEWPID, entry, inner)

            made.pid, made.pidfd = fork_in(child, 0, pid_namespace, entry.clone_fd)
        finally:
            inner.close()
            entry.close()
        made.start_time = process.start_time(made.pid)
        _until_exec(channel, made)
    except BaseException as error:
        if made.pidfd >= 0:
            process.wait_pidfd(made.pidfd)
        made.close()
        if isinstance(error, OSError):
            raise LaunchError(f"joining container {target.id} failed: {describe(error)}") from None
        raise
    finally:
        channel.close()
    return made


def _until_exec(channel: sync.Channel, made: Process) -> None:
    executed = False
    while True:
        heard = channel.hear()
        if heard is None:
            if not executed:
                raise LaunchError("the process died before it could run its program")
            return
        message, fds = heard
        if fds:
            made.console = fds[0]
        executed = "exec" in message


def _run(target: Target, plan: ProcessPlan, flags: int, entry: Entry, channel: sync.Channel) -> None:
    """The child; returns never."""
    try:
        _join(target, plan, flags, entry, channel)
    except LaunchError as error:
        channel.tell({"error": error.message, "code": error.exit_code})
    except OSError as error:
        channel.tell({"error": f"error {channel.doing}: {describe(error)}", "code": 125})
    except BaseException as error:
        channel.tell({"error": f"error {channel.doing}: {error!r}", "code": 125})
    finally:
        os._exit(255)


def _join(target: Target, plan: ProcessPlan, flags: int, entry: Entry, channel: sync.Channel) -> None:
    channel.doing = "entering the container's cgroup"
    entry.enter()
    if plan.oom_score_adj is not None:
        channel.doing = "setting oom_score_adj"
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, str(plan.oom_score_adj).encode())
        os.close(fd)
    channel.doing = "joining the container's namespaces"
    if flags:
        process.setns(target.pidfd, flags)
    if flags & process.CLONE_NEWUSER:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        credentials.set_dumpable(False)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    console = None
    if plan.terminal:
        channel.doing = "opening the terminal"
        console = Console(root, plan.size)
        channel.tell({"console": True}, (console.master,))
        os.close(console.master)
    channel.doing = "starting the process"
    join_keyring(plan.keyring)
    setup.resolve_user(plan, root)
    setup.connect_streams(plan, console)
    setup.become(plan, channel)
    setup.enter_directory(plan, root)
    program = setup.find_program(plan)
    setup.execute(plan, program, channel)
