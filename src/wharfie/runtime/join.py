"""A further process in a running container.

A stand-in joins the container's namespaces in one call (setns(2) with a pidfd), lets go of everything of the
host, and only then forks the process into the pid namespace as its own sibling (CLONE_PARENT): what the
container's processes can see from the first moment on has the container's root and no descriptor of ours. One
of them with CAP_SYS_PTRACE would find the host's root behind /proc/PID/root otherwise::

    caller ── fork ── stand-in: cgroup ─> setns ─> close ── clone3(CLONE_PARENT) ── {"born"} + pidfd, ends
    caller ── "j" ──> process:  terminal ─> user, capabilities, filter ─> execve

Until execve the process is not dumpable: the container's ordinary processes cannot look into it.
"""

from __future__ import annotations

import posix as os

from wharfie.errors import WharfieError
from wharfie.linux import credentials, process
from wharfie.linux.fd import close_all
from wharfie.runtime import setup, sync
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.console import Console
from wharfie.runtime.idmap import write_file
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.processplan import ProcessPlan, own_bounding_set
from wharfie.runtime.sync import describe
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
    from wharfie.runtime.cgroups.entry import Entry


class Target:
    """The container to join: its first process, its cgroup's path, and the spec it was created with."""

    __slots__ = ("below", "bundle", "cgroup", "group", "id", "pid", "pidfd", "spec")

    def __init__(
        self,
        *,
        id: str,
        pid: int,
        pidfd: int,
        cgroup: str,
        spec: dict[str, Any],
        bundle: str = "",
        below: dict[str, str] | None = None,
        group: Cgroup | None = None,
    ) -> None:
        self.id = id
        self.group = group
        """Its control group, where that is not simply the one at the path."""
        self.below = below or {}
        """Paths below the cgroup to be in instead, by controller, "" for all."""
        self.bundle = bundle
        self.pid = pid
        self.pidfd = pidfd
        """Stays the caller's to close."""
        self.cgroup = cgroup
        self.spec = spec

    def state(self) -> dict[str, Any]:
        """OCI's state of the container."""
        return {
            "ociVersion": self.spec.get("ociVersion") or "1.2.0",
            "id": self.id,
            "status": "running",
            "pid": self.pid,
            "bundle": self.bundle,
            "annotations": self.spec.get("annotations") or {},
        }


class Process:
    """A process that runs its program; the descriptors are its owner's to close."""

    __slots__ = ("console", "pid", "pidfd", "start_time", "warnings")

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = -1
        self.start_time = 0
        self.console: int | None = None
        self.warnings: list[str] = []
        """What went wrong without stopping anything, one sentence each."""

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
    plan = ProcessPlan(process, own_bounding=own, linux=target.spec.get("linux") or {})
    plan.set_affinity(process.get("execCPUAffinity"))
    plan.set_seccomp(seccomp, (target.spec.get("linux") or {}).get("seccomp"))
    plan.stdio = stdio
    plan.preserve_fds = preserve_fds
    plan.keyring = f"_ses.{target.id}"
    if console_size is not None:
        plan.size = console_size
    try:
        entry = (target.group or open_cgroup(target.cgroup)).entry(target.pid, target.below)
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
            if not paths.exists(f"/proc/{target.pid}/ns"):
                raise LaunchError(f"Container {target.id} is not running") from None
            continue  # a kernel without this kind
        except OSError as error:
            raise LaunchError(f"Container {target.id} cannot be joined: {describe(error)}") from None
        if there != os.stat(f"/proc/self/ns/{name}").st_ino:
            flags |= flag
    return flags


def _fork(target: Target, plan: ProcessPlan, flags: int, entry: Entry) -> Process:
    made = Process()
    made.warnings = plan.warnings
    channel, inner = sync.pair()
    stand_in = -1
    try:
        try:

            def join() -> None:
                channel.close()
                _guard(inner, lambda: _stand_in(target, plan, flags, entry, inner))

            credentials.set_dumpable(False)
            _, stand_in = process.fork_into(join, cgroup=entry.clone_fd)
        finally:
            inner.close()
            entry.close()
        _until_exec(channel, made, target, plan)
    except BaseException as error:
        if made.pidfd >= 0:
            process.wait_pidfd(made.pidfd)
        made.close()
        if isinstance(error, OSError):
            raise LaunchError(f"joining container {target.id} failed: {describe(error)}") from None
        raise
    finally:
        channel.close()
        if stand_in >= 0:
            process.wait_pidfd(stand_in)
            os.close(stand_in)
    return made


def _until_exec(channel: sync.Channel, made: Process, target: Target, plan: ProcessPlan) -> None:
    executed = False
    while True:
        heard = channel.hear()
        if heard is None:
            if not executed:
                raise LaunchError("the process died before it could run its program")
            return
        message, fds = heard
        if "born" in message:
            made.pid, made.pidfd = message["born"], fds[0]
            made.start_time = process.start_time(made.pid)
            channel.go(sync.JOINED)
        elif "listener" in message and plan.listener is not None:
            plan.listener.forward(made.pidfd, made.pid, message["listener"], target.state())
            channel.go(sync.LISTENED)
        elif fds:
            made.console = fds[0]
        executed = "exec" in message


def _guard(channel: sync.Channel, work: Callable[[], None]) -> None:
    """Do the work of a child and tell what goes wrong; returns never."""
    try:
        work()
    except LaunchError as error:
        channel.tell({"error": error.message, "code": error.exit_code})
    except OSError as error:
        channel.tell({"error": f"error {channel.doing}: {describe(error)}", "code": 125})
    except BaseException as error:
        channel.tell({"error": f"error {channel.doing}: {error!r}", "code": 125})
    finally:
        os._exit(255)


def _stand_in(target: Target, plan: ProcessPlan, flags: int, entry: Entry, channel: sync.Channel) -> None:
    if plan.initial_affinity is not None:
        plan.initial_affinity.apply()
    channel.doing = "entering the container's cgroup"
    entry.enter()
    if plan.oom_score_adj is not None:
        channel.doing = "setting oom_score_adj"
        _adjust_oom_score(str(plan.oom_score_adj))
    if plan.label is not None:
        # while this is the host's /proc: what a fork hands on, the next execve takes
        channel.doing = f"setting the security label {plan.label[1]!r}"
        fd = os.open(f"/proc/self/attr/{plan.label[0]}", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, plan.label[1].encode())
        os.close(fd)
    channel.doing = "joining the container's namespaces"
    if plan.terminal:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        plan.stdio = null, null, null
    if flags & process.CLONE_NEWUSER:
        # a limit above ours can only be set from outside: in there CAP_SYS_RESOURCE counts for nothing
        setup.set_limits(plan)
    if flags:
        process.setns(target.pidfd, flags)
    if flags & process.CLONE_NEWUSER:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        credentials.set_dumpable(False)
    if plan.stdio is not None:
        setup.connect(plan.stdio)
        plan.stdio = None
    _close_but(plan, channel)
    born = process.fork_into(lambda: _guard(channel, lambda: _become(plan, channel)), process.CLONE_PARENT)
    channel.tell({"born": born[0]}, born[1:])
    os._exit(0)


def _adjust_oom_score(value: str) -> None:
    try:
        write_file("/proc/self/oom_score_adj", value)
    except PermissionError:
        # the files of a process that is not dumpable are root's (proc(5)); no container sees this one yet
        credentials.set_dumpable(True)
        try:
            write_file("/proc/self/oom_score_adj", value)
        finally:
            credentials.set_dumpable(False)


def _close_but(plan: ProcessPlan, channel: sync.Channel) -> None:
    """Close every descriptor that the new process does not need."""
    process.close_all_but(channel.sock.fileno(), 3 + plan.preserve_fds)


def _become(plan: ProcessPlan, channel: sync.Channel) -> None:
    channel.wait(sync.JOINED)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    console = None
    if plan.terminal:
        channel.doing = "opening the terminal"
        console = Console(root, plan.size)
        channel.tell({"console": True}, (console.master,))
        os.close(console.master)
    channel.doing = "starting the process"
    setup.join_keyring(plan.keyring)
    setup.resolve_user(plan, root)
    setup.connect_streams(plan, console)
    setup.become(plan, channel)
    setup.enter_directory(plan, root)
    program = setup.find_program(plan)
    if plan.listener is not None and plan.seccomp:
        plan.listener.load(plan, channel)
    setup.execute(plan, program, channel)
