"""The container's first process, from the clone to execve.

::

    cgroup ─> namespaces ─> root attached ─> id maps ─> mounts, /dev, masks ─> network ─> hooks ─> pivot_root
        ─> host name, kernel parameters ─> terminal ─> user, capabilities, filter ─> (start) ─> execve

It runs in a copy of a single-threaded parent and prepared memory: nothing is imported here, and after
pivot_root nothing of the host can be opened any more. Until execve it is not dumpable, so that no process of
a joined pid namespace can look into it.
"""

from __future__ import annotations

import posix as os

from wharfie.linux import credentials, mount, process
from wharfie.linux.loopback import raise_loopback
from wharfie.runtime import devices, hooks, rootfs, setup
from wharfie.runtime.console import Console
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import HOOKS, LIMITED, MAPPED, NETWORK, START, describe
from wharfie.runtime.sysctls import write_proc, write_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.cgroups.entry import Entry
    from wharfie.runtime.plan import Plan
    from wharfie.runtime.rootfs import Tree
    from wharfie.runtime.sources import Sources
    from wharfie.runtime.sync import Channel


def run(plan: Plan, sources: Sources, entry: Entry, cgroups: list[tuple[str, int]], channel: Channel) -> None:
    """Become the container; returns never. ``cgroups`` are for /sys/fs/cgroup, none on version 2."""
    try:
        _run(plan, sources, entry, cgroups, channel)
    except LaunchError as error:
        channel.tell({"error": error.message, "code": error.exit_code})
    except OSError as error:
        channel.tell({"error": f"error {channel.doing}: {describe(error)}", "code": 125})
    except BaseException as error:
        channel.tell({"error": f"error {channel.doing}: {error!r}", "code": 125})
    finally:
        os._exit(255)


def _run(
    plan: Plan, sources: Sources, entry: Entry, cgroups: list[tuple[str, int]], channel: Channel
) -> None:
    if not plan.unprivileged:
        credentials.set_dumpable(False)
    channel.doing = "entering the container's cgroup"
    entry.enter()
    if plan.begin is not None:
        cgroups = plan.begin(plan, sources, channel)
    _join_namespaces(plan, sources, channel)
    if plan.process.oom_score_adj is not None and not plan.user_namespace:
        channel.doing = "setting oom_score_adj"
        _write("/proc/self/oom_score_adj", str(plan.process.oom_score_adj))
    channel.doing = "attaching the container's root"
    tree = rootfs.attach_root(plan, sources.rootfs)
    if plan.user_namespace:
        if plan.clone_flags & process.CLONE_NEWUSER and not plan.unprivileged:
            channel.wait(MAPPED)
        setup.drop_groups(may_fail=plan.unprivileged)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        credentials.set_dumpable(False)
    _build(plan, tree, cgroups, channel, bind_devices=plan.user_namespace or plan.unprivileged)
    if plan.new_network or plan.network is not None:
        channel.doing = "configuring the container's network"
        _configure_network(plan, channel)
    if plan.hooks.get("prestart") or plan.hooks.get("createRuntime"):
        channel.tell({"namespaces": True})
        channel.wait(HOOKS)
    hooks.run_stage(plan.hooks, "createContainer", {**plan.state, "status": "creating", "pid": os.getpid()})
    console = _enter(plan, tree, channel)
    _become(plan, console, channel)


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, value.encode())
    os.close(fd)


def _join_namespaces(plan: Plan, sources: Sources, channel: Channel) -> None:
    channel.doing = "joining namespaces"
    if sources.user_namespace < 0:  # else the stand-in has done it (birth)
        for fd, kind in sources.spaces:
            process.setns(fd, kind)
    if plan.cgroup_namespace:
        process.unshare(process.CLONE_NEWCGROUP)
    if plan.clone_flags & process.CLONE_NEWTIME:
        channel.doing = "setting time offsets"
        process.unshare(process.CLONE_NEWTIME)
        for clock, offset in plan.time_offsets.items():
            _write(
                "/proc/self/timens_offsets", f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}"
            )
        # only children are in the new one yet (time_namespaces(7))
        fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
        process.setns(fd, process.CLONE_NEWTIME)
        os.close(fd)


def _build(
    plan: Plan, tree: Tree, cgroups: list[tuple[str, int]], channel: Channel, *, bind_devices: bool
) -> None:
    os.umask(0)
    channel.doing = "mounting"
    if _writes_proc(plan):
        # before anything is masked: later a user namespace may not mount a full procfs (mount_namespaces(7))
        tree.proc = mount.new_filesystem("proc")
    rootfs.mount_all(tree, plan, cgroups)
    if tree.dev >= 0:
        channel.doing = "creating device nodes"
        devices.make_devices(tree.root, tree.dev, plan.devices, bind=bind_devices)
    channel.doing = "masking paths"
    rootfs.mask_paths(tree, plan.masked, plan.readonly)


def _configure_network(plan: Plan, channel: Channel) -> None:
    if plan.new_network:
        raise_loopback()
    if plan.network is not None:
        channel.wait(NETWORK)
        plan.network.configure()


def _enter(plan: Plan, tree: Tree, channel: Channel) -> Console | None:
    console = None
    if plan.process.terminal:
        channel.doing = "opening the terminal"
        console = Console(tree.root, plan.process.size)
        if tree.dev >= 0:
            console.bind(tree.dev)
    rootfs.finish_readonly(tree, plan)
    channel.doing = "entering the container's root"
    rootfs.enter_root(tree, plan)
    if plan.hostname:
        channel.doing = "setting the host name"
        process.sethostname(plan.hostname)
    if plan.domainname:
        process.setdomainname(plan.domainname)
    if _writes_proc(plan):
        channel.doing = "setting kernel parameters"
        write_sysctls(tree.proc, plan.sysctls)
        _set_label(plan, tree.proc)
    if console is not None:
        channel.tell({"console": True}, (console.master,))
        os.close(console.master)
    return console


def _writes_proc(plan: Plan) -> bool:
    return bool(plan.sysctls or plan.process.label)


def _set_label(plan: Plan, proc: int) -> None:
    """The security label that the next execve takes on."""
    label = plan.process.label
    if label is None:
        return
    try:
        write_proc(proc, f"{os.getpid()}/attr/{label[0]}", label[1])
    except OSError as error:
        field = "apparmorProfile" if plan.process.apparmor else "selinuxLabel"
        raise LaunchError(f"process.{field} {label[1]!r} cannot be set: {describe(error)}") from None


def _become(plan: Plan, console: Console | None, channel: Channel) -> None:
    channel.doing = "starting the process"
    if plan.process.keyring:
        setup.join_keyring(plan.process.keyring)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    setup.resolve_user(plan.process, root)
    setup.connect_streams(plan.process, console)
    if plan.user_namespace and plan.process.rlimits:
        channel.tell({"limits": True})
        channel.wait(LIMITED)
        plan.process.rlimits = []
    setup.become(plan.process, channel)
    setup.enter_directory(plan.process, root)
    program = setup.find_program(plan.process)
    if plan.process.listener is not None and plan.process.seccomp:
        # while the creator is still there to take its descriptor
        plan.process.listener.load(plan.process, channel)
    if plan.gate >= 0:
        if plan.unprivileged:
            # its user's exec must be able to join it; it has no more than its program will have by now
            credentials.set_dumpable(True)
        channel.tell({"ready": True})
        channel.alone = True
        if os.read(plan.gate, 1) != b"s":
            os._exit(0)
    elif plan.gate == WAIT:
        channel.tell({"ready": True})
        channel.wait(START)
    hooks.run_stage(plan.hooks, "startContainer", {**plan.state, "status": "created", "pid": os.getpid()})
    setup.execute(plan.process, program, channel)


WAIT = -2
"""A gate that is the channel itself."""
