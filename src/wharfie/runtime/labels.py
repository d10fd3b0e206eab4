"""Security labels of a process: AppArmor profile and SELinux context, where this kernel has them."""

from __future__ import annotations

from wharfie.runtime.launch import LaunchError
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"


def check(process: dict[str, Any], linux: dict[str, Any]) -> None:
    """Refuse labels that would have no effect here; raises LaunchError."""
    profile = process.get("apparmorProfile") or ""
    if profile not in ("", "unconfined") and not _has_apparmor():
        raise LaunchError(
            f"process.apparmorProfile: {profile!r} cannot be applied, AppArmor is not enabled here"
        )
    for field, label in (
        ("process.selinuxLabel", process.get("selinuxLabel")),
        ("linux.mountLabel", linux.get("mountLabel")),
    ):
        if label and not paths.exists(_SELINUX):
            raise LaunchError(f"{field}: {label!r} cannot be applied, SELinux is not enabled here")


def _has_apparmor() -> bool:
    try:
        with open(_APPARMOR, "rb", buffering=0) as file:
            return file.read(1) == b"Y"
    except OSError:
        return False


def for_exec(apparmor: str, selinux: str) -> tuple[str, str] | None:
    """(file below /proc/PID/attr, what to write) for the next execve to take the label on; None for none."""
    if apparmor not in ("", "unconfined"):
        return "apparmor/exec", f"exec {apparmor}"
    return ("exec", selinux) if selinux else None
