"""Seccomp: from Docker's profile format to OCI ``linux.seccomp``, and on to a program the kernel loads.

::

    default_seccomp.json ─┐
    --security-opt FILE  ─┴─ resolve (capabilities, architecture, kernel) ─> linux.seccomp ─ compile ─> BPF
                                                                                        └─ ProgramCache ─┘

Compiling takes some 20 ms, so it is done once per set of rules; ``ProgramCache`` keeps programs in memory and
on disk, and on a hit libseccomp is not even loaded. See seccomp(2) and runtime-spec's config-linux.md.
"""

from __future__ import annotations

import hashlib
import os

from wharfie.errors import InternalError, InvalidArgument, NotSupported
from wharfie.linux import seccomp as libseccomp
from wharfie.runtime.seccomp_compile import SeccompError, compile_program
from wharfie.support import files, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# part of every key: to be raised when the same rules come to another program
_GENERATION = 1
# BPF_MAXINSNS instructions of 8 bytes
_LONGEST = 4096 * 8

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
        compile_program(resolved)
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


class ProgramCache:
    """Compiled programs, in memory and as ``<key>.bpf`` in a directory of root's alone.

    The key is a digest of the rules, of this machine's architecture and of the libseccomp that is installed.
    A file counts only when it is a regular one of ours that nobody else may touch, and matches its digest.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._programs: dict[str, bytes] = {}

    def program(self, seccomp: dict[str, Any]) -> bytes:
        """The program for OCI ``linux.seccomp``; raises SeccompError."""
        key = self._key(seccomp)
        program = self._programs.get(key) or self._read(key)
        if program is None:
            program = compile_program(seccomp)
            self._write(key, program)
        self._programs[key] = program
        return program

    def path(self, seccomp: dict[str, Any]) -> str:
        """The file that holds the bare program, for a process that has it loaded; raises SeccompError."""
        program = self.program(seccomp)
        key = self._key(seccomp)
        if not os.path.exists(self._file(key)):
            self._write(key, program)
        return self._file(key)

    def _key(self, seccomp: dict[str, Any]) -> str:
        parts = (_GENERATION, os.uname().machine, libseccomp.library_identity(), json.dumps(seccomp))
        return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()

    def _file(self, key: str) -> str:
        return os.path.join(self._directory, f"{key}.bpf")

    def _read(self, key: str) -> bytes | None:
        try:
            program = _read_own(self._file(key))
            digest = _read_own(self._file(key) + ".sha256")
        except (OSError, ValueError):
            return None
        if not program or hashlib.sha256(program).hexdigest().encode() != digest:
            return None
        return program

    def _write(self, key: str, program: bytes) -> None:
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            files.atomic_write(self._file(key), program)
            digest = hashlib.sha256(program).hexdigest().encode()
            files.atomic_write(self._file(key) + ".sha256", digest)
        except OSError as error:
            raise SeccompUnwritable(
                f"Keeping a seccomp program in {self._directory} failed: {error}."
            ) from error


class SeccompUnwritable(SeccompError, InternalError):
    """The cache's directory cannot be written."""


def _read_own(path: str) -> bytes:
    """A small regular file that belongs to us and to nobody else; raises OSError or ValueError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        regular = status.st_mode & 0o170000 == 0o100000
        if (
            not regular
            or status.st_uid != os.geteuid()
            or status.st_mode & 0o077
            or status.st_size > _LONGEST
        ):
            raise ValueError(f"{path} is not a file of ours alone")
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)
