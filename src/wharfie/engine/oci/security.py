"""``--security-opt``: what it may say, and the seccomp filter that follows."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wharfie.engine.oci.host import Host
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.runtime.seccomp import custom_profile, docker_profile

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
UNCONFINED = "unconfined"


@dataclass(frozen=True, slots=True)
class Security:
    """The options, read."""

    no_new_privileges: bool | None = None
    seccomp: str = ""
    """Empty: the default profile; ``unconfined``; or a profile as JSON text."""
    apparmor: str = ""


def parse_security(options: Sequence[str], host: Host) -> Security:
    """Raises InvalidArgument in Docker's words, NotSupported for what this engine cannot do."""
    no_new_privileges: bool | None = None
    seccomp = apparmor = ""
    for option in options:
        if option == "no-new-privileges":
            no_new_privileges = True
            continue
        if option == "disable":
            continue
        key, separator, value = option.partition("=")
        if not separator:
            key, separator, value = option.partition(":")
        if not separator:
            raise InvalidArgument(f'invalid --security-opt 1: "{option}"')
        if key == "no-new-privileges":
            if value not in _TRUE | _FALSE:
                raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
            no_new_privileges = value in _TRUE
        elif key == "seccomp":
            seccomp = _seccomp(value)
        elif key == "apparmor":
            apparmor = value
        elif key != "label":
            # SELinux labels mean nothing without SELinux, for Docker as well
            raise InvalidArgument(f'invalid --security-opt 2: "{option}"')
    if apparmor not in ("", UNCONFINED) and host.apparmor:
        raise NotSupported("AppArmor profiles are not supported yet: use apparmor=unconfined")
    return Security(no_new_privileges, seccomp, apparmor)


def _seccomp(value: str) -> str:
    if value == "builtin":
        return ""
    if value != UNCONFINED and not value.lstrip().startswith("{"):
        raise InvalidArgument(f"Decoding seccomp profile failed: it is not JSON: {value[:40]}")
    return value


def seccomp(
    security: Security, *, privileged: bool, capabilities: list[str], default_profile: str
) -> dict[str, Any] | None:
    """``linux.seccomp``, or None for no filter. Raises InvalidArgument for a profile that cannot be used."""
    if security.seccomp == UNCONFINED or (privileged and not security.seccomp):
        return None
    text = security.seccomp.encode()
    if not text and default_profile:
        if default_profile == UNCONFINED:
            return None
        try:
            with open(default_profile, "rb") as file:
                text = file.read()
        except OSError as error:
            raise InvalidArgument(
                f"opening seccomp profile ({default_profile}) failed: {error.strerror}"
            ) from error
    arch = platform.machine()
    kernel = kernel_version()
    if text:
        return custom_profile(text, capabilities, arch, kernel)
    return docker_profile(capabilities, arch, kernel)


def kernel_version() -> tuple[int, int]:
    """Major and minor version of the running kernel."""
    major, minor = os.uname().release.split(".")[:2]
    digits = "".join(digit for digit in minor.partition("-")[0] if digit.isdigit())
    return int(major), int(digits or 0)
