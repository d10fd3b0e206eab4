"""Seccomp programs that were compiled before.

Compiling takes some 30 ms, so it is done once per set of rules; on a hit neither libseccomp nor the compiler
is loaded.
"""

from __future__ import annotations

import posix as os
from _blake2 import blake2b

from wharfie.errors import InternalError, WharfieError
from wharfie.linux import seccomp_library
from wharfie.support import files, json, paths
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# part of every key: to be raised when the same rules come to another program
_GENERATION = 2
# BPF_MAXINSNS instructions of 8 bytes
_LONGEST = 4096 * 8
_MANY = 1024


class SeccompError(WharfieError):
    """Base of what compiling a profile raises."""


class SeccompUnwritable(SeccompError, InternalError):
    """The cache's directory cannot be written."""


def program_of(profile: dict[str, Any]) -> bytes:
    """The program of an OCI profile, for the command line; raises SeccompError."""
    own = variable("XDG_RUNTIME_DIR") if os.geteuid() else "/run"
    return ProgramCache(f"{own or '/nonexistent'}/wharfie-seccomp", required=False).program(profile)


def _compile(profile: dict[str, Any]) -> bytes:
    from wharfie.runtime.seccomp_compile import compile_program

    return compile_program(profile)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


class ProgramCache:
    """Compiled programs, in memory and as ``<key>.bpf`` in a directory of root's alone.

    The key is a digest of the rules, of this machine's architecture and of the libseccomp that is installed.
    A file counts only when it is a regular one of ours that nobody else may touch, and matches its digest.
    """

    def __init__(self, directory: str, *, required: bool = True) -> None:
        """Without ``required`` a program that cannot be kept is no error, and the oldest make room."""
        self._directory = directory
        self._required = required
        self._programs: dict[str, bytes] = {}

    def program(self, seccomp: dict[str, Any]) -> bytes:
        """The program for OCI ``linux.seccomp``; raises SeccompError."""
        key = self._key(seccomp)
        program = self._programs.get(key) or self._read(key)
        if program is None:
            program = _compile(seccomp)
            self._write(key, program)
        self._programs[key] = program
        return program

    def path(self, seccomp: dict[str, Any]) -> str:
        """The file that holds the bare program, for a process that has it loaded; raises SeccompError."""
        program = self.program(seccomp)
        key = self._key(seccomp)
        if not paths.exists(self._file(key)):
            self._write(key, program)
        return self._file(key)

    def _key(self, seccomp: dict[str, Any]) -> str:
        parts = (_GENERATION, os.uname().machine, seccomp_library.library_identity(), json.dumps(seccomp))
        return _digest("\n".join(map(str, parts)).encode())

    def _file(self, key: str) -> str:
        return paths.join(self._directory, f"{key}.bpf")

    def _read(self, key: str) -> bytes | None:
        try:
            program = _read_own(self._file(key))
            digest = _read_own(self._file(key) + ".digest")
        except (OSError, ValueError):
            return None
        if not program or _digest(program).encode() != digest:
            return None
        return program

    def _write(self, key: str, program: bytes) -> None:
        try:
            paths.makedirs(self._directory, 0o700, exist_ok=True)
            if not self._required:
                self._make_room()
            files.atomic_write(self._file(key), program)
            digest = _digest(program).encode()
            files.atomic_write(self._file(key) + ".digest", digest)
        except OSError as error:
            if self._required:
                raise SeccompUnwritable(
                    f"Keeping a seccomp program in {self._directory} failed: {error}."
                ) from error

    def _make_room(self) -> None:
        names = os.listdir(self._directory)
        if len(names) < _MANY:
            return
        for name in names:
            try:
                os.unlink(f"{self._directory}/{name}")
            except FileNotFoundError:
                continue


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
