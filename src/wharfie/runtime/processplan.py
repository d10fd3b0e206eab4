"""A process to run, worked out before the fork: OCI's ``process`` object as the numbers the kernel takes."""

from __future__ import annotations

from wharfie.linux import credentials
from wharfie.runtime.launch import LaunchError
from wharfie.spec import capabilities, rlimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_ID = (1 << 31) - 1

_SECCOMP_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # there is one thread
    "SECCOMP_FILTER_FLAG_LOG": credentials.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": credentials.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
}


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
        "keyring",
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
        "uid",
        "umask",
        "username",
    )

    def __init__(self, process: dict[str, Any], *, own_bounding: int) -> None:
        """Read ``process``; raises LaunchError. ``own_bounding`` is what the engine itself could grant."""
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
        self.rlimits = [_rlimit(item) for item in process.get("rlimits") or ()]
        self.no_new_privs = bool(process.get("noNewPrivileges"))
        self.terminal = bool(process.get("terminal"))
        size = process.get("consoleSize") or {}
        self.size: tuple[int, int] | None = (size["height"], size["width"]) if size else None
        self.oom_score_adj: int | None = process.get("oomScoreAdj")
        self.apparmor: str = process.get("apparmorProfile") or ""
        self.selinux: str = process.get("selinuxLabel") or ""
        self.seccomp: bytes | None = None
        self.seccomp_flags = 0
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

    def _read_capabilities(self, sets: dict[str, Any] | None, own: int) -> None:
        if sets is None:
            sets = {}
        try:
            masks = [
                capabilities.mask(sets.get(name)) & own
                for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
            ]
        except capabilities.UnknownCapability as error:
            raise LaunchError(error.message) from None
        self.bounding, self.effective, self.permitted, self.inheritable, self.ambient = masks
        self.effective &= self.permitted
        # the kernel refuses an ambient capability that is not both of these (capabilities(7))
        self.ambient &= self.permitted & self.inheritable
        self.drop = own & ~self.bounding

    def set_seccomp(self, program: bytes | None, flags: list[str] | None) -> None:
        """Give the process its filter; raises LaunchError for a flag that needs more than loading."""
        self.seccomp = program
        for name in flags or ():
            if name not in _SECCOMP_FLAGS:
                raise LaunchError(f"seccomp flag {name} is not supported")
            self.seccomp_flags |= _SECCOMP_FLAGS[name]


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


def _rlimit(item: dict[str, Any]) -> tuple[str, int, int, int]:
    name = item.get("type", "")
    number = rlimits.NUMBERS.get(name)
    if number is None:
        raise LaunchError(f"invalid rlimit type: {name}")
    soft, hard = (int(item[key]) & credentials.RLIM_INFINITY for key in ("soft", "hard"))
    return name, number, soft, hard
