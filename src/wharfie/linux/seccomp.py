"""libseccomp (2.5 or later) through ctypes: from rules to a classic BPF program.

Only what compiles a profile loads this module; a container's start takes the finished program from a cache.
See seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3).
"""

from __future__ import annotations

import ctypes
import os

from wharfie.linux.seccomp_library import library_path

# seccomp.h: actions; the low 16 bits of some carry an errno or a message
ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
# tokens are the audit architectures (linux/audit.h), x32 apart, which the kernel reports as x86_64
X86_64, X86, X32 = 0xC000003E, 0x40000003, 0x4000003E
ARCHITECTURES = {
    "SCMP_ARCH_X86_64": X86_64,
    "SCMP_ARCH_X86": X86,
    "SCMP_ARCH_X32": X32,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_LOONGARCH64": 0xC0000102,
    "SCMP_ARCH_MIPS": 0x00000008,
    "SCMP_ARCH_MIPS64": 0x80000008,
    "SCMP_ARCH_MIPS64N32": 0xA0000008,
    "SCMP_ARCH_MIPSEL": 0x40000008,
    "SCMP_ARCH_MIPSEL64": 0xC0000008,
    "SCMP_ARCH_MIPSEL64N32": 0xE0000008,
    "SCMP_ARCH_PPC": 0x00000014,
    "SCMP_ARCH_PPC64": 0x80000015,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_S390": 0x00000016,
    "SCMP_ARCH_S390X": 0x80000016,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
}
_ATTRIBUTE_OPTIMIZE = 8
_UNKNOWN = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(library_path())
    pointer, number, word = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
    library.seccomp_init.restype = pointer
    library.seccomp_init.argtypes = (word,)
    library.seccomp_release.restype = None
    library.seccomp_release.argtypes = (pointer,)
    library.seccomp_arch_add.argtypes = (pointer, word)
    library.seccomp_arch_native.restype = word
    library.seccomp_attr_set.argtypes = (pointer, number, word)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_rule_add_array.argtypes = (
        pointer,
        word,
        number,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (pointer, number)
    return library


_loaded: list[ctypes.CDLL] = []


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def version() -> str:
    """Which libseccomp this is (seccomp_version(3)); "" where there is none."""
    try:
        found = ctypes.CDLL(library_path())
    except OSError:
        return ""
    found.seccomp_version.restype = ctypes.POINTER(_Version)
    told = found.seccomp_version().contents
    return f"{told.major}.{told.minor}.{told.micro}"


def _library() -> ctypes.CDLL:
    if not _loaded:
        _loaded.append(_load())
    return _loaded[0]


def _check(result: int, doing: str) -> None:
    if result < 0:
        raise OSError(-result, f"libseccomp: {doing}: {os.strerror(-result)}")


def native() -> int:
    """The token of this machine's architecture."""
    return int(_library().seccomp_arch_native())


def number_of(name: str) -> int | None:
    """The system call's number (negative where only other architectures have it), None if not known."""
    found = int(_library().seccomp_syscall_resolve_name(name.encode()))
    return None if found == _UNKNOWN else found


class Filter:
    """A filter under construction, for a ``with`` statement; OSError also where libseccomp is missing."""

    def __init__(self, default: int) -> None:
        self._library = _library()
        self._context = self._library.seccomp_init(default)
        if not self._context:
            raise OSError(22, f"libseccomp: {default:#x} cannot be a default action")

    def __enter__(self) -> Filter:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._library.seccomp_release(self._context)
        self._context = None

    def add_architecture(self, token: int) -> None:
        """Filter calls of this architecture too; once more is no error."""
        result = self._library.seccomp_arch_add(self._context, token)
        if result != -17:  # EEXIST
            _check(result, f"architecture {token:#x}")

    def add(self, action: int, number: int, comparisons: list[tuple[int, int, int, int]]) -> None:
        """One rule; ``comparisons`` (argument, operator, value, second value) must all hold."""
        array = (_Comparison * len(comparisons))(*(_Comparison(*comparison) for comparison in comparisons))
        result = self._library.seccomp_rule_add_array(self._context, action, number, len(comparisons), array)
        _check(result, f"rule for system call {number}")

    def export(self) -> bytes:
        """The program, as a binary tree over the numbers: it is made short in a sixth of the time."""
        _check(self._library.seccomp_attr_set(self._context, _ATTRIBUTE_OPTIMIZE, 2), "optimising")
        fd = os.memfd_create("seccomp")
        try:
            _check(self._library.seccomp_export_bpf(self._context, fd), "writing the program")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
