"""Seccomp: from Docker's profile format to OCI ``linux.seccomp``, and on to a program the kernel loads.

::

    default_seccomp.json ─┐
    --security-opt FILE  ─┴─ resolve (capabilities, architecture, kernel) ─> linux.seccomp ─ compile ─> BPF
                                                                                        └─ ProgramCache ─┘

See seccomp(2), runtime-spec's config-linux.md, and ``seccomp_cache.py`` for the last step.
"""

from __future__ import annotations

import os

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.runtime.seccomp_cache import SeccompError
from wharfie.runtime.seccomp_compile import long_program
from wharfie.support import files, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Go's names for architectures, by which profiles speak, from uname's; and libseccomp's
_GO_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "i686": "x86",
}
_TOKENS = {
    "amd64": "SCMP_ARCH_X86_64",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "s390x": "SCMP_ARCH_S390X",
    "riscv64": "SCMP_ARCH_RISCV64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
    "x86": "SCMP_ARCH_X86",
}


class NotifyUnsupported(SeccompError, NotSupported):
    """A profile of Docker's format that asks an agent: the daemon has none to offer."""


class BadProfile(SeccompError, InvalidArgument):
    """A profile that cannot be understood."""


def docker_profile(capabilities: list[str], arch: str, kernel: tuple[int, int]) -> dict[str, Any]:
    """The default profile for a container with these capabilities (``CAP_…``), as OCI ``linux.seccomp``.

    ``arch`` is uname's machine or Go's name, ``kernel`` the version's first two numbers.
    """
    if not _default:
        path = os.path.join(os.path.dirname(__file__), "default_seccomp.json")
        _default.append(json.loads(files.read_file(path)))
    return resolve(_default[0], capabilities, arch, kernel)


_default: list[dict[str, Any]] = []


def custom_profile(
    text: bytes, capabilities: list[str], arch: str, kernel: tuple[int, int]
) -> dict[str, Any]:
    """A profile in Docker's format, as --security-opt seccomp=FILE brings it; raises BadProfile."""
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise BadProfile(f"Decoding seccomp profile failed: {error}") from error
    if not isinstance(profile, dict) or not isinstance(profile.get("defaultAction"), str):
        raise BadProfile("Decoding seccomp profile failed: it has no defaultAction.")
    if profile.get("archMap") and profile.get("architectures"):
        raise BadProfile(
            "'architectures' and 'archMap' were specified in the seccomp profile, use either one."
        )
    try:
        resolved = resolve(profile, capabilities, arch, kernel)
        if any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in resolved["syscalls"]):
            raise NotifyUnsupported("SCMP_ACT_NOTIFY in seccomp profiles is not supported.")
        long_program(resolved)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise BadProfile(f"Decoding seccomp profile failed: {error!r} is not as it should be.") from error
    return resolved


def resolve(
    profile: dict[str, Any], capabilities: list[str], arch: str, kernel: tuple[int, int]
) -> dict[str, Any]:
    """The rules whose ``includes`` hold and whose ``excludes`` do not."""
    go_arch = _GO_NAMES.get(arch, arch)
    token = _TOKENS.get(go_arch, "")
    result: dict[str, Any] = {"defaultAction": profile["defaultAction"]}
    for key in ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"):
        if profile.get(key) is not None:
            result[key] = profile[key]
    architectures = list(profile.get("architectures") or [])
    for entry in profile.get("archMap") or []:
        if entry["architecture"] == token:
            architectures = [token, *(entry.get("subArchitectures") or [])]
    if architectures:
        result["architectures"] = architectures
    result["syscalls"] = [
        _rule(rule) for rule in profile.get("syscalls") or [] if _applies(rule, capabilities, go_arch, kernel)
    ]
    return result


def _applies(rule: dict[str, Any], capabilities: list[str], arch: str, kernel: tuple[int, int]) -> bool:
    excludes, includes = rule.get("excludes") or {}, rule.get("includes") or {}
    if arch in (excludes.get("arches") or []) or set(excludes.get("caps") or []) & set(capabilities):
        return False
    if excludes.get("minKernel") and kernel >= _version(excludes["minKernel"]):
        return False
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if not set(includes.get("caps") or []) <= set(capabilities):
        return False
    return not includes.get("minKernel") or kernel >= _version(includes["minKernel"])


def _version(text: str) -> tuple[int, int]:
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit()):
        raise BadProfile(f'"{text}" is not a kernel version: expected major.minor.')
    return int(major), int(minor)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    names = list(rule.get("names") or [])
    if rule.get("name"):
        if names:
            raise BadProfile("'name' and 'names' were specified in the seccomp profile, use either one.")
        names = [rule["name"]]
    result: dict[str, Any] = {"names": names, "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        result["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        result["args"] = rule["args"]
    return result
