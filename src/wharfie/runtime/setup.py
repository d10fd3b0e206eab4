"""The last steps before execve, the same for a container's first process and for one that joins it.

Order matters: limits while CAP_SYS_RESOURCE may still be there; without no_new_privs the filter is loaded
while CAP_SYS_ADMIN is (seccomp(2)), with it as late as possible; the user changes with its capabilities kept;
the working directory and the program are looked up as that user.
"""

from __future__ import annotations

import errno
import fcntl
import posix as os

from wharfie.linux import credentials, path
from wharfie.linux.process import CLOSE_RANGE_CLOEXEC, close_range, reset_signals
from wharfie.runtime import users
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.sync import describe
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wharfie.runtime.console import Console
    from wharfie.runtime.processplan import ProcessPlan
    from wharfie.runtime.sync import Channel

_NULL = os.makedev(1, 3)
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def resolve_user(plan: ProcessPlan, root: int) -> None:
    """Turn names into numbers by the container's databases, and see to HOME."""
    if plan.username or plan.additional_names:
        spoken = plan.username or f"{plan.uid}:{plan.gid}"
        found = users.resolve(root, spoken, plan.additional_names)
        plan.uid, plan.gid = found.uid, found.gid
        plan.groups = [*found.groups, *(number for number in plan.groups if number not in found.groups)]
        plan.env.setdefault("HOME", found.home)
    elif "HOME" not in plan.env:
        plan.env["HOME"] = users.home_of(root, plan.uid)


def become(plan: ProcessPlan, channel: Channel) -> None:
    """Limits, filter, user and capabilities; from here on the process has what the container has."""
    for trait in plan.traits:
        trait.apply()
    channel.doing = "setting the container's limits"
    set_limits(plan)
    if plan.no_new_privs:
        credentials.set_no_new_privs()
    elif plan.seccomp:
        channel.doing = "loading the seccomp filter"
        if plan.listener is not None:
            plan.listener.load(plan, channel)
        else:
            credentials.seccomp_load(plan.seccomp, plan.seccomp_flags)
    channel.doing = "setting the container's user and capabilities"
    os.umask(plan.umask)
    credentials.drop_from_bounding_set(plan.drop)
    _give_streams(plan.uid)
    _change_user(plan)
    # a privilege that this process does not have itself it cannot hand on
    has = credentials.capget()[1]
    credentials.capset(plan.effective & has, plan.permitted & has, plan.inheritable)
    credentials.set_ambient(plan.ambient & has)


def join_keyring(name: str) -> None:
    """Give the process a session keyring of its own, where the kernel has keys."""
    try:
        credentials.keyctl_join(name)
    except OSError as error:
        # ENOSYS: a kernel without keys; EDQUOT: the user's quota of keys is used up, as runc goes on then
        if error.errno not in (38, 122):
            raise


def set_limits(plan: ProcessPlan, pid: int = 0) -> None:
    """Set the resource limits of a process, by default this one; raises LaunchError in Docker's words."""
    for _name, number, soft, hard in plan.rlimits:
        try:
            credentials.prlimit(pid, number, (soft, hard))
        except OSError as error:
            raise LaunchError(
                "error setting rlimits for ready process: "
                f"error setting rlimit type {number}: {describe(error)}"
            ) from None


def _give_streams(uid: int) -> None:
    """The user may open its own standard streams again, by /proc/self/fd or /dev/stdout.

    Not the null device, which is everybody's; where a user namespace or a read-only file system forbids it,
    the streams still are what they are.
    """
    for fd in range(3):
        try:
            found = os.fstat(fd)
            if found.st_uid != uid and found.st_rdev != _NULL:
                os.fchown(fd, uid, -1)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EROFS, errno.EINVAL, errno.EBADF):
                raise


def drop_groups(*, may_fail: bool) -> None:
    """Leave all supplementary groups; raises PermissionError unless it ``may_fail``."""
    try:
        os.setgroups([])
    except PermissionError:
        # denied in a user namespace that an unprivileged user made (user_namespaces(7))
        if not may_fail:
            raise


def _change_user(plan: ProcessPlan) -> None:
    doing = "additional group"
    try:
        try:
            os.setgroups(plan.groups)
        except PermissionError:
            # as in drop_groups
            if plan.groups:
                raise LaunchError(
                    "unable to setup user: cannot set any additional groups in a rootless container"
                ) from None
        doing = "gid"
        os.setresgid(plan.gid, plan.gid, plan.gid)
        credentials.set_keep_capabilities()
        doing = "uid"
        os.setresuid(plan.uid, plan.uid, plan.uid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise LaunchError(
            f"unable to setup user: cannot set {doing} to unmapped user in user namespace"
        ) from None


def enter_directory(plan: ProcessPlan, root: int) -> None:
    """Make the working directory of the plan ours, resolved inside the root and proven to be there."""
    try:
        # resolved in the kernel, without magic links: "/proc/self/fd/7" leads nowhere (CVE-2024-21626)
        fd = path.open_in_root(root, plan.cwd, os.O_PATH | os.O_DIRECTORY)
        os.fchdir(fd)
        os.close(fd)
        # getcwd(3) fails where the directory is not below this process's root
        os.getcwd()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise LaunchError(
            f'chdir to cwd ("{plan.cwd}") set in config.json failed: {reason}',
            126 if error.errno == 13 else 127,
        ) from None


def find_program(plan: ProcessPlan) -> str:
    """The path of what to execute; raises LaunchError with Docker's words and exit codes."""
    name = plan.args[0]
    if "/" in name:
        _check_program(name, name)
        return name
    for directory in plan.env.get("PATH", _SEARCH).split(":"):
        candidate = f"{directory or '.'}/{name}"
        if name and paths.isfile(candidate) and os.access(candidate, os.X_OK, effective_ids=True):
            return candidate
    raise LaunchError(f'exec: "{name}": executable file not found in $PATH', 127)


def _check_program(name: str, file: str) -> None:
    try:
        found = os.stat(file)
    except OSError as error:
        reason = (error.strerror or "").lower()
        code = 126 if isinstance(error, PermissionError) else 127
        raise LaunchError(f'exec: "{name}": stat {file}: {reason}', code) from None
    if found.st_mode & 0o170000 == 0o040000:
        raise LaunchError(f'exec: "{name}": is a directory', 126)
    if not os.access(file, os.X_OK, effective_ids=True):
        raise LaunchError(f'exec: "{name}": permission denied', 126)


def connect_streams(plan: ProcessPlan, console: Console | None) -> None:
    """Put the three standard streams in place, and a session of its own around the process."""
    if console is not None:
        console.adopt(plan.uid)
        return
    os.setsid()
    if plan.stdio is not None:
        connect(plan.stdio)
    for number in range(3):
        _take_own_null(number)


def _take_own_null(number: int) -> None:
    """Make a stream that is the host's null device the container's: what a mount of the host's holds cannot
    be checkpointed.
    """
    try:
        if os.fstat(number).st_rdev != _NULL:
            return
        mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
        # without waiting, should the container's be something else
        fd = path.openat2(path.AT_FDCWD, "/dev/null", mode | os.O_NONBLOCK, path.RESOLVE_NO_SYMLINKS)
    except OSError:
        return  # the stream is closed, or there is no such device: it stays what it is
    if path.is_device(fd, 1, 3):
        fcntl.fcntl(fd, fcntl.F_SETFL, mode)
        os.dup2(fd, number)
    os.close(fd)


def connect(stdio: tuple[int, int, int]) -> None:
    """Make three descriptors the standard streams."""
    # first out of each other's way: what becomes 1 may be 0 now
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in stdio]
    for number, fd in enumerate(copies):
        os.dup2(fd, number)


def execute(plan: ProcessPlan, program: str, channel: Channel) -> None:
    """Everything of ours closes, then execve; raises LaunchError if that fails."""
    if plan.no_new_privs and plan.seccomp:
        channel.doing = "loading the seccomp filter"
        credentials.seccomp_load(plan.seccomp, plan.seccomp_flags)
    close_range(3 + plan.preserve_fds, flags=CLOSE_RANGE_CLOEXEC)
    for fd in range(3, 3 + plan.preserve_fds):
        os.set_inheritable(fd, True)
    reset_signals()
    channel.tell_exec()
    try:
        os.execve(program, plan.args, plan.env)
    except OSError as error:
        reason = (error.strerror or "").lower()
        code = 127 if isinstance(error, FileNotFoundError) else 126
        raise LaunchError(f"exec {program}: {reason}", code) from None
