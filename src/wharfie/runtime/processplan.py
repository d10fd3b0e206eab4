"""A process to run, worked out before the fork: OCI's ``process`` object as the numbers the kernel takes."""

from __future__ import annotations

from wharfie.linux import credentials
from wharfie.runtime.launch import LaunchError
from wharfie.spec import capabilities, rlimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wharfie.runtime.notify import Listener
    from wharfie.runtime.traits import Trait

MAX_ID = (1 << 31) - 1

SECCOMP_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # there is one thread
    "SECCOMP_FILTER_FLAG_LOG": credentials.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": credentials.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": credentials.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}


_own_bounding = -1


def own_bounding_set() -> int:
    """The capabilities that this process could give away; asked once, for it takes 41 calls."""
    global _own_bounding
    if _own_bounding < 0:
        _own_bounding = credentials.bounding_set() & credentials.capget()[1]
    return _own_bounding


class ProcessPlan:
    """Everything about one process but where it runs."""

    __slots__ = (
        "additional_names",
        "ambient",
        "apparmor",
        "args",
        "bounding",
        "cwd",
        "drop",
        "effective",
        "env",
        "gid",
        "groups",
        "inheritable",
        "initial_affinity",
        "keyring",
        "label",
        "listener",
        "no_new_privs",
        "oom_score_adj",
        "permitted",
        "preserve_fds",
        "rlimits",
        "seccomp",
        "seccomp_flags",
        "selinux",
        "size",
        "stdio",
        "terminal",
        "traits",
        "uid",
        "umask",
        "username",
        "warnings",
    )

    def __init__(
        self, process: dict[str, Any], *, own_bounding: int, linux: dict[str, Any] | None = None
    ) -> None:
        """Read ``process``; raises LaunchError. ``own_bounding`` is what the engine itself could grant."""
        self.warnings: list[str] = []
        """What is left out, one sentence each, for whoever asked to read."""
        args = process.get("args") or []
        if not args:
            raise LaunchError("no command specified")
        self.args: list[str] = list(args)
        self.env = _environment(process.get("env") or ())
        self.cwd = cwd = process.get("cwd") or "/"
        if not cwd.startswith("/"):
            raise LaunchError(f"the working directory '{cwd}' is invalid, it needs to be an absolute path")
        self._read_user(process.get("user") or {})
        self._read_capabilities(process.get("capabilities"), own_bounding)
        self.rlimits = _rlimits(process.get("rlimits") or ())
        self.no_new_privs = bool(process.get("noNewPrivileges"))
        self.terminal = bool(process.get("terminal"))
        size = process.get("consoleSize") or {}
        self.size: tuple[int, int] | None = (size["height"], size["width"]) if size else None
        self.oom_score_adj: int | None = process.get("oomScoreAdj")
        self.label: tuple[str, str] | None = None
        """For the next execve: the file below /proc/PID/attr, and what to write."""
        self.apparmor: str = process.get("apparmorProfile") or ""
        self.selinux: str = process.get("selinuxLabel") or ""
        self.seccomp: bytes | None = None
        self.seccomp_flags = 0
        self.listener: Listener | None = None
        """Where the filter's notifications go."""
        self.traits: list[Trait] = []
        """Rare steps, done by the child while it is still privileged."""
        self.initial_affinity: Trait | None = None
        self._read_rare(process, linux or {})
        self.keyring = ""
        self.stdio: tuple[int, int, int] | None = None
        self.preserve_fds = 0

    def _read_user(self, user: dict[str, Any]) -> None:
        self.username: str = user.get("username") or ""
        self.additional_names: list[str] = [str(name) for name in user.get("additionalNames") or ()]
        self.uid = _identity(user.get("uid", 0))
        self.gid = _identity(user.get("gid", 0))
        self.groups = [_identity(number) for number in user.get("additionalGids") or ()]
        self.umask: int = user["umask"] if user.get("umask") is not None else 0o22

    def _read_rare(self, process: dict[str, Any], linux: dict[str, Any]) -> None:
        asked = process.get("scheduler") or process.get("ioPriority")
        if asked or linux.get("personality") or linux.get("memoryPolicy"):
            from wharfie.runtime.traits import read_traits  # rare

            self.traits = read_traits(process, linux)
        if self.apparmor or self.selinux or linux.get("mountLabel"):
            from wharfie.runtime import labels  # rare

            labels.check(process, linux)
            self.label = labels.for_exec(self.apparmor, self.selinux)

    def set_affinity(self, affinity: dict[str, Any] | None) -> None:
        """Take over ``execCPUAffinity``, which holds for what joins a container; raises LaunchError."""
        if affinity:
            from wharfie.runtime.traits import read_affinity  # rare

            self.initial_affinity, final = read_affinity(affinity)
            self.traits += [] if final is None else [final]

    def _read_capabilities(self, sets: dict[str, Any] | None, own: int) -> None:
        if sets is None:
            sets = {}
        masks = [
            self._mask(name, sets.get(name)) & own
            for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        ]
        self.bounding, self.effective, self.permitted, self.inheritable, self.ambient = masks
        self.effective &= self.permitted
        # the kernel refuses an ambient capability that is not both of these (capabilities(7))
        self.ambient &= self.permitted & self.inheritable
        self.drop = own & ~self.bounding

    def _mask(self, field: str, names: list[str] | None) -> int:
        """The bits of a set; an unknown name is left out with a warning, as runc does."""
        try:
            return capabilities.mask(names)
        except capabilities.UnknownCapability:
            known = [name for name in names or () if name.upper() in capabilities.NUMBERS]
            unknown = ", ".join(
                repr(name) for name in names or () if name.upper() not in capabilities.NUMBERS
            )
            self.warnings.append(
                f"process.capabilities.{field}: ignoring unknown or unavailable capabilities {unknown}"
            )
            return capabilities.mask(known)

    def set_seccomp(self, program: bytes | None, profile: dict[str, Any] | None) -> None:
        """Give the process its filter, made from ``linux.seccomp``; raises LaunchError for what cannot be."""
        self.seccomp = program
        if program is None or not profile:
            return
        if any(rule.get("action") == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls") or ()):
            from wharfie.runtime.notify import read_listener  # rare

            self.listener = read_listener(profile)
        for name in profile.get("flags") or ():
            if name not in SECCOMP_FLAGS:
                raise LaunchError(f"linux.seccomp.flags: {name!r} is not a flag that seccomp filters know")
            self.seccomp_flags |= SECCOMP_FLAGS[name]
        if self.listener is None:
            # the kernel takes it for filters that notify only (seccomp(2))
            self.seccomp_flags &= ~credentials.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV


def _environment(entries: list[str] | tuple[str, ...]) -> dict[str, str]:
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name or "\0" in entry:
            raise LaunchError(f"invalid environment variable: {entry!r}")
        if equals:
            found[name] = value
    return found


def _identity(number: int) -> int:
    # beyond, setuid(2) would take another value, in the worst case 0 (CVE-2024-40635)
    if not isinstance(number, int) or not 0 <= number <= MAX_ID:
        raise LaunchError(f"uids and gids must be in range 0-{MAX_ID}")
    return number


def _rlimits(items: list[dict[str, Any]] | tuple[()]) -> list[tuple[str, int, int, int]]:
    found = [_rlimit(item) for item in items]
    names = [name for name, *_ in found]
    for name in names:
        if names.count(name) > 1:
            raise LaunchError(f"process.rlimits has {name} more than once")
    return found


def _rlimit(item: dict[str, Any]) -> tuple[str, int, int, int]:
    name = item.get("type", "")
    number = rlimits.NUMBERS.get(name)
    if number is None:
        raise LaunchError(f"invalid rlimit type: {name}")
    soft, hard = (int(item[key]) & credentials.RLIM_INFINITY for key in ("soft", "hard"))
    return name, number, soft, hard
