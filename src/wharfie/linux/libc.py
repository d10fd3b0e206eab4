"""The only door to C: one declaration helper over ``_ctypes``, and errno turned into ``OSError``.

The public ``ctypes`` module costs 4.5 ms of every start, so the few classes that are needed from it are
written out here. Every function is declared once, where its wrapper lives, by :func:`function` (something
libc exports) or :func:`system_call` (something it may not export: libcs differ in which new calls they wrap).
Wrappers pass structures as packed ``bytes``; what the kernel writes goes into a :func:`buffer`.
"""

from __future__ import annotations

import _ctypes
import posix as os
import sys

from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``int``."""

    _type_ = "i"


class UInt(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``unsigned int``."""

    _type_ = "I"


class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``long``, and what the kernel calls ``size_t`` where it may be negative."""

    _type_ = "l"


class ULong(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``unsigned long`` and ``size_t``."""

    _type_ = "L"


class String(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``const char *`` from ``bytes`` (see :func:`cstring`) or None."""

    _type_ = "z"


class Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """C ``void *`` from ``bytes``, a :func:`buffer`, an address or None."""

    _type_ = "P"


class _Char(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "c"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = Long


class _IntFunction(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = Int


class _HoldingFunction(_ctypes.CFuncPtr):
    """A call during which the interpreter lock stays held: what returns twice must not let go of it."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO | _ctypes.FUNCFLAG_PYTHONAPI
    _restype_ = Long


_HANDLE = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_SYSCALL = _ctypes.dlsym(_HANDLE, "syscall")

# system calls that are older than the common numbering (424 and up are the same everywhere)
_MACHINE = os.uname().machine
_OLD_NUMBERS = {
    "x86_64": {
        "pivot_root": 155,
        "set_mempolicy": 238,
        "keyctl": 250,
        "ioprio_set": 251,
        "sched_setattr": 314,
        "seccomp": 317,
        "execveat": 322,
        "statx": 332,
    },
    "generic": {
        "pivot_root": 41,
        "set_mempolicy": 237,
        "keyctl": 219,
        "ioprio_set": 30,
        "sched_setattr": 274,
        "seccomp": 277,
        "execveat": 281,
        "statx": 291,
    },
}
_NUMBERS = _OLD_NUMBERS["x86_64" if _MACHINE == "x86_64" else "generic"]


def function(name: str, *arguments: Any) -> Callable[..., int]:
    """A function of the C library that returns ``int``."""
    made = _IntFunction(_ctypes.dlsym(_HANDLE, name))
    made.argtypes = arguments
    return made


def system_call(*arguments: Any, holding: bool = False) -> Callable[..., int]:
    """``syscall(2)`` with these argument types; the number comes first in each call."""
    made = (_HoldingFunction if holding else _Function)(_SYSCALL)
    made.argtypes = (Long, *arguments)
    return made


def number_of(name: str) -> int:
    """The number of an old system call on this machine."""
    return _NUMBERS[name]


_arrays: dict[int, Any] = {}


def buffer(size: int) -> Any:
    """Memory that the kernel may write to; ``bytes(buffer)`` reads it."""
    kind = _arrays.get(size)
    if kind is None:
        # a type of its own, which takes longer to make than most calls that fill it
        kind = _arrays[size] = _Char * size
    return kind()


def address(memory: Any) -> int:
    """Where a :func:`buffer` lies, for structures that point to it; keep the buffer alive."""
    return _ctypes.addressof(memory)


def content(data: bytes) -> int:
    """Where the bytes of ``data`` lie, for structures that point to them; keep ``data`` alive."""
    return int.from_bytes(bytes(String(data)), sys.byteorder)


def cstring(path: str | bytes) -> bytes:
    """A path as the kernel takes it; raises ValueError for an embedded NUL, which C would cut it at."""
    encoded = path if isinstance(path, bytes) else paths.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"{path!r} has a NUL character in it")
    return encoded


def failure(path: str | bytes | None = None, second: str | bytes | None = None) -> OSError:
    """The ``OSError`` for the errno of the call just made."""
    number = _ctypes.get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    if second is None:
        return OSError(number, os.strerror(number), path)
    return OSError(number, os.strerror(number), path, None, second)


M_MXFAST, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = 1, -1, -3, -8
try:
    _mallopt = function("mallopt", Int, Int)
    _malloc_trim = function("malloc_trim", ULong)
except OSError:  # musl has no such knob

    def _malloc_trim(_pad: int) -> int:
        return 0

    def _mallopt(*_arguments: int) -> int:
        return 0


def mallopt(parameter: int, value: int) -> bool:
    """Tune malloc (mallopt(3)); False where the C library has no such knob."""
    return _mallopt(parameter, value) != 0


def trim_memory() -> None:
    """Give what malloc holds free back to the kernel (malloc_trim(3)), where the C library can."""
    _malloc_trim(0)
