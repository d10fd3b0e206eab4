"""The creator's side: make the cgroup, open what the child needs, clone, help it along, and clean up if it
fails.

The caller must be single-threaded and becomes the container's parent. While the child mounts, the parent
makes the network interfaces; nothing here waits for anything but the child's messages.
"""

from __future__ import annotations

import errno
import posix as os

from wharfie.errors import WharfieError
from wharfie.linux import credentials, mount, process
from wharfie.linux.fd import close_all
from wharfie.runtime import hooks, idmap, init, setup, sync
from wharfie.runtime.birth import give_birth
from wharfie.runtime.cgroups.select import open_cgroup
from wharfie.runtime.launch import Launch, LaunchError
from wharfie.runtime.plan import Plan
from wharfie.runtime.processplan import own_bounding_set
from wharfie.runtime.sources import Sources, open_sources
from wharfie.runtime.sync import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.cgroups.base import Cgroup
    from wharfie.runtime.cgroups.systemd import Unit


class Container:
    """A created container, as its parent holds it. The descriptors are its owner's to close."""

    __slots__ = (
        "_channel",
        "_hooks",
        "_state",
        "cgroup",
        "console",
        "id",
        "mounts",
        "pid",
        "pidfd",
        "process",
        "sibling",
        "spec",
        "start_time",
        "unit",
        "warnings",
    )

    def __init__(self, plan: Plan, spec: dict[str, Any], cgroup: Cgroup) -> None:
        self.id = plan.id
        self.spec = spec
        self.cgroup = cgroup
        self.pid = 0
        self.pidfd = -1
        self.sibling = False
        """Its first process is our parent's child: theirs to reap."""
        self.start_time = 0
        """In clock ticks since boot."""
        self.console: int | None = None
        """The terminal's master."""
        self.mounts = -1
        """The mount namespace of a container with a volatile root.

        Whoever leaves it last takes it down, which waits for the kernel's grace periods (2 to 5 ms); that
        need not be the first process, for whose end somebody waits. (Another root may be mounted again at
        once, and an upper directory is for one mount at a time.)"""
        self.unit: Unit | None = None
        self._channel: sync.Channel | None = None
        self.process = plan.process
        self.warnings = plan.process.warnings
        """What went wrong without stopping anything, one sentence each."""
        self._hooks = plan.hooks
        self._state = plan.state

    def state(self, status: str) -> dict[str, Any]:
        """OCI's state of the container."""
        return {**self._state, "status": status, "pid": self.pid}

    def start(self) -> None:
        """Let a created container run its program; raises LaunchError when it cannot (the container is gone
        then).
        """
        channel, self._channel = self._channel, None
        if channel is None:
            raise LaunchError(f"container {self.id} was started already")
        channel.go(sync.START)
        try:
            _until_exec(channel, self)
        except BaseException as error:
            abandon(self, error)
            raise
        finally:
            channel.close()
        self.started()

    def in_namespaces(self) -> None:
        """Run the hooks of a container whose namespaces are there; raises LaunchError."""
        state = self.state("creating")
        for stage in ("prestart", "createRuntime"):
            hooks.run_stage(self._hooks, stage, state)

    def started(self) -> None:
        """Run the hooks of a container that runs; their failure is a warning (runtime-spec, "Lifecycle")."""
        if self._hooks.get("poststart"):
            self.warnings += hooks.run_gently(self._hooks, "poststart", self.state("running"))

    def destroy(self) -> None:
        """Remove what is left after the first process ended: the cgroup with whatever is still in it."""
        try:
            if self.unit is not None:
                self.unit.settle()
            self.cgroup.destroy()
            if self.unit is not None:
                self.unit.stop()
        finally:
            if self._hooks.get("poststop"):
                self.warnings += hooks.run_gently(
                    self._hooks, "poststop", {**self.state("stopped"), "pid": 0}
                )

    def close(self) -> None:
        """Close all descriptors of this object."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        console = -1 if self.console is None else self.console
        close_all(fd for fd in (self.pidfd, console, self.mounts) if fd >= 0)
        self.pidfd, self.console, self.mounts = -1, None, -1


def create(launch: Launch, *, start: bool, meanwhile: Callable[[Container], None] | None = None) -> Container:
    """Create a container and, with ``start``, run its program.

    ``meanwhile`` is called while the child is at work. Returns after execve (``start``) or when all is ready
    for it. Raises LaunchError with nothing left behind.
    """
    _compile_seccomp(launch)
    plan = Plan(launch, own_bounding_set())
    if not start and plan.gate < 0:
        plan.gate = init.WAIT
    if plan.unprivileged:
        from wharfie.runtime import rootless  # for those who are not root

        rootless.check(plan)
        plan.begin = rootless.begin
    named = (launch.spec.get("linux") or {}).get("cgroupsPath")
    try:
        cgroup = _cgroup_of(launch, named)
    except WharfieError as error:
        raise LaunchError(error.message) from None
    if plan.network is not None:
        plan.network.prepare()
    sources = open_sources(plan)
    try:
        cgroup = create_cgroup(cgroup, launch)
        if plan.unprivileged:
            plan.cgroup_places = rootless.cgroup_places(plan, cgroup)
        container = Container(plan, launch.spec, cgroup)
        container.unit = launch.unit
        container.sibling = launch.sibling
        try:
            _launch(plan, sources, container, start=start, meanwhile=meanwhile)
        except BaseException as error:
            abandon(container, error)
            raise
    finally:
        sources.close()
    if start:
        container.started()
    return container


def _cgroup_of(launch: Launch, named: str | None) -> Cgroup:
    path = launch.cgroup or named or f"/{launch.id}"
    if launch.whatever_cgroup:
        from wharfie.runtime.cgroups.rootless import NoCgroup  # for those who are not root

        return NoCgroup(path, 0)
    return open_cgroup(path)


def _compile_seccomp(launch: Launch) -> None:
    profile = (launch.spec.get("linux") or {}).get("seccomp")
    if launch.seccomp is None and profile:
        # warm: command line and engine bring a program from their cache
        from wharfie.runtime.seccomp_compile import compile_program

        launch.seccomp = compile_program(profile)


def create_cgroup(cgroup: Cgroup, launch: Launch) -> Cgroup:
    """Make the container's control group, by systemd where it is a unit's; raises LaunchError.

    Returns the one that could be made.
    """
    resources = (launch.spec.get("linux") or {}).get("resources") or {}
    try:
        if launch.whatever_cgroup:
            from wharfie.runtime.cgroups import rootless  # for those who are not root

            return rootless.create(cgroup.path, resources)
        if launch.unit is not None:
            launch.unit.start(launch.id, resources)
        cgroup.create(resources, adopt=launch.unit is not None)
    except WharfieError as error:
        if launch.unit is not None:
            launch.unit.settle()
        raise LaunchError(error.message) from None
    return cgroup


def hierarchies(cgroup: Cgroup) -> list[tuple[str, str]]:
    """(name, the container's directory) of each hierarchy of version 1; none on version 2."""
    found = [
        (directory.removesuffix(cgroup.path).rpartition("/")[2], directory)
        for directory in cgroup.directories()
    ]
    return [] if any(name == "cgroup" for name, _ in found) else found


def cgroup_trees(plan: Plan, cgroup: Cgroup, sources: Sources) -> list[tuple[str, int]]:
    """Detached copies of the container's own directories, for a /sys/fs/cgroup of version 1; none on version
    2.
    """
    if not any(step.kind == "cgroup" for step in plan.mounts):
        return []
    found = []
    for name, directory in hierarchies(cgroup):
        tree = sources.keep(mount.open_tree(mount.AT_FDCWD, directory, mount.OPEN_TREE_CLONE))
        flags = mount.ATTR_NOSUID | mount.ATTR_NODEV | mount.ATTR_NOEXEC
        mount.mount_setattr(tree, set_=flags, propagation=mount.MS_PRIVATE)
        found.append((name, tree))
    return found


def _launch(
    plan: Plan,
    sources: Sources,
    container: Container,
    *,
    start: bool,
    meanwhile: Callable[[Container], None] | None,
) -> None:
    """Clone, help, wait. Where the child turns out to be gone, the reason that it left counts."""
    entry = container.cgroup.entry()
    channel, inner = sync.pair()
    try:
        try:
            trees = [] if plan.unprivileged else cgroup_trees(plan, container.cgroup, sources)

            def child() -> None:
                channel.close()
                init.run(plan, sources, entry, trees, inner)

            flags = plan.clone_flags & ~process.CLONE_NEWTIME
            if container.sibling:
                flags |= process.CLONE_PARENT
            container.pid, container.pidfd = give_birth(
                child, flags, sources, entry, unprivileged=plan.unprivileged
            )
        finally:
            inner.close()
            entry.close()
        container.start_time, processor = process.birth(container.pid)
        with process.Elsewhere(processor):
            if plan.rootfs is not None and plan.rootfs.get("volatile"):
                container.mounts = _mounts_of(container.pid)
            _assist(plan, container.pid, channel)
            sources.close()
            if meanwhile is not None:
                meanwhile(container)
        if start:
            _until_exec(channel, container)
        else:
            _hear(channel, container, until="ready")
            container._channel = channel
        if container.unit is not None:
            container.unit.settle()
    except LaunchError:
        raise
    except WharfieError as error:
        raise LaunchError(error.message) from None
    except OSError as error:
        if container.pid and error.errno in (errno.ENOENT, errno.ESRCH):
            _hear(channel, container, until="end")
        if plan.unprivileged and not container.pid:
            from wharfie.runtime import rootless

            raise LaunchError(rootless.without_namespace(error)) from None
        raise LaunchError(f"creating the container's process failed: {describe(error)}") from None
    finally:
        if container._channel is None:
            channel.close()


def _mounts_of(pid: int) -> int:
    """A process's mount namespace; -1 when it has ended already and left it."""
    try:
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _assist(plan: Plan, pid: int, channel: sync.Channel) -> None:
    """Do for the child what only the host can: id maps and network interfaces."""
    if plan.user_namespace and plan.process.oom_score_adj is not None:
        _adjust_oom_score(pid, plan.process.oom_score_adj)
    if plan.clone_flags & process.CLONE_NEWUSER:
        if plan.unprivileged:
            from wharfie.runtime import rootless

            rootless.write_maps(pid, plan.uid_mappings, plan.gid_mappings)
        else:
            idmap.write_maps(pid, plan.uid_mappings, plan.gid_mappings)
        channel.go(sync.MAPPED)
    if plan.network is None:
        return
    plan.network.make(pid)
    channel.go(sync.NETWORK)


def _adjust_oom_score(pid: int, value: int) -> None:
    """From outside: in a user namespace CAP_SYS_RESOURCE counts for nothing (proc(5))."""
    try:
        idmap.write_file(f"/proc/{pid}/oom_score_adj", str(value))
    except PermissionError as error:
        raise LaunchError(
            f"error setting oom_score_adj: {describe(OSError(error.errno, error.strerror))}"
        ) from None


def _hear(channel: sync.Channel, container: Container, until: str) -> bool:
    """Serve the child's messages up to one of the kind ``until``; False if it ended first."""
    while True:
        heard = channel.hear()
        if heard is None:
            if until == "end":
                return True
            raise LaunchError(_why_dead(container))
        message, fds = heard
        if fds:
            container.console = fds[0]
        if "namespaces" in message:
            container.in_namespaces()
            channel.go(sync.HOOKS)
        if "limits" in message:
            setup.set_limits(container.process, container.pid)
            channel.go(sync.LIMITED)
        if "listener" in message and container.process.listener is not None:
            state = container.state("creating")
            container.process.listener.forward(container.pidfd, container.pid, message["listener"], state)
            channel.go(sync.LISTENED)
        if until in message:
            return True


def _why_dead(container: Container) -> str:
    try:
        if container.cgroup.oom_kills():
            return "container init was OOM-killed (memory limit too low?)"
    except (WharfieError, OSError):
        pass  # the group is gone as well
    return "the container's process died before it could run its program"


def _until_exec(channel: sync.Channel, container: Container) -> None:
    _hear(channel, container, until="exec")
    # the socket closes on execve; a failing one still sends its reason
    _hear(channel, container, until="end")


def abandon(container: Container, error: BaseException) -> None:
    """Take back a container that did not come to life; what cannot be removed does not hide why."""
    if container.pidfd >= 0:
        try:
            process.pidfd_send_signal(container.pidfd, 9)
        except OSError:
            pass  # gone already, which is what is wanted
        process.wait_end(container.pidfd, reap=not container.sibling)
    try:
        container.destroy()
    except WharfieError as problem:
        error.add_note(problem.message)
    container.close()


def warm() -> None:
    """Find out what every start would ask again: for a process that forks those that call :func:`create`."""
    from wharfie.runtime import network  # noqa: F401

    own_bounding_set()
    open_cgroup("/warm")
    # their buffers' types are made once in each process
    credentials.capget()
    credentials.prlimit(0, 0)
    mount.filesystem_magic(0)
