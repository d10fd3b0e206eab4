"""What a process may do: capabilities, no_new_privs, seccomp, keyrings, resource limits (capabilities(7))."""

from __future__ import annotations

import struct

from wharfie.linux.libc import (
    Int,
    Pointer,
    UInt,
    ULong,
    address,
    buffer,
    content,
    failure,
    function,
    number_of,
    system_call,
)
from wharfie.support import paths

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME = 1, 4, 8, 15
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 23, 24, 36, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 47, 2, 4
PR_SET_SECUREBITS, PR_GET_TID_ADDRESS = 28, 40

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1, 2, 4
SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 8, 32
KEYCTL_JOIN_SESSION_KEYRING = 1

RLIM_INFINITY = 0xFFFFFFFFFFFFFFFF
_CAP_VERSION_3 = 0x20080522

_prctl = function("prctl", Int, ULong, ULong, ULong, ULong)
_capget = function("capget", Pointer, Pointer)
_capset = function("capset", Pointer, Pointer)
_seccomp = system_call(UInt, UInt, Pointer)
_setfsuid = function("setfsuid", UInt)
_setfsgid = function("setfsgid", UInt)
_keyctl = system_call(Int, Pointer)
_prlimit = function("prlimit", Int, Int, Pointer, Pointer)
_SECCOMP, _KEYCTL = number_of("seccomp"), number_of("keyctl")
_CAP_HEADER = struct.Struct("=Ii")
_CAP_DATA = struct.Struct("=6I")
_LIMIT = struct.Struct("=QQ")


def prctl(option: int, second: int = 0, third: int = 0, fourth: int = 0, fifth: int = 0) -> int:
    """prctl(2) for the options that take numbers."""
    done = _prctl(option, second, third, fourth, fifth)
    if done < 0:
        raise failure()
    return done


def die_with_parent(number: int) -> None:
    """Get a signal when the parent ends; one that has ended before gives none."""
    prctl(PR_SET_PDEATHSIG, number)


def thread_id_address() -> int:
    """Where the C library keeps this thread's id (set_tid_address(2)); 0 if the kernel does not say."""
    found = buffer(8)
    if _prctl(PR_GET_TID_ADDRESS, address(found), 0, 0, 0) < 0:
        return 0
    return int.from_bytes(bytes(found), "little")


def set_dumpable(dumpable: bool) -> None:
    """A process that is not dumpable can be neither traced nor looked into through /proc by its equals."""
    prctl(PR_SET_DUMPABLE, 1 if dumpable else 0)


def set_subreaper(on: bool = True) -> None:
    """Orphans below this process become its children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1 if on else 0)


def set_no_new_privs() -> None:
    """No execve grants anything from here on."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def set_keep_capabilities() -> None:
    """Keep the permitted set when the uid leaves 0."""
    prctl(PR_SET_KEEPCAPS, 1)


def set_process_name(name: bytes) -> None:
    """What ps(1) shows as the command's short name; 15 bytes."""
    memory = buffer(16)
    memory[: len(name[:15])] = name[:15]
    prctl(PR_SET_NAME, address(memory))


def set_file_owner(uid: int, gid: int) -> None:
    """setfsuid(2), setfsgid(2): the ids that files are made and judged by; neither reports a failure."""
    _setfsgid(gid)
    _setfsuid(uid)


def capget() -> tuple[int, int, int]:
    """The effective, permitted and inheritable sets of this thread, as bit masks."""
    memory = buffer(_CAP_DATA.size)
    if _capget(_CAP_HEADER.pack(_CAP_VERSION_3, 0), memory) < 0:
        raise failure()
    low = _CAP_DATA.unpack(bytes(memory))
    return low[0] | low[3] << 32, low[1] | low[4] << 32, low[2] | low[5] << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of this thread."""
    mask = 0xFFFFFFFF
    data = _CAP_DATA.pack(
        effective & mask,
        permitted & mask,
        inheritable & mask,
        effective >> 32,
        permitted >> 32,
        inheritable >> 32,
    )
    if _capset(_CAP_HEADER.pack(_CAP_VERSION_3, 0), data) < 0:
        raise failure()


def bounding_set() -> int:
    """The bounding set as a bit mask."""
    found, number = 0, 0
    while True:
        there = _prctl(PR_CAPBSET_READ, number, 0, 0, 0)
        if there < 0:  # EINVAL past the last capability this kernel has
            return found
        found |= there << number
        number += 1


def drop_from_bounding_set(drop: int) -> None:
    """Take capabilities out of the bounding set, for good."""
    number = 0
    while drop >> number:
        if drop >> number & 1:
            prctl(PR_CAPBSET_DROP, number)
        number += 1


def set_ambient(mask: int) -> None:
    """The ambient set becomes ``mask``; each must be permitted and inheritable."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    number = 0
    while mask >> number:
        if mask >> number & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)
        number += 1


def seccomp_load(program: bytes, flags: int = 0) -> int:
    """Filter this process's system calls from now on (seccomp(2)); ``program`` is an array of sock_filter."""
    if not program or len(program) % 8:
        raise ValueError("a seccomp program is a whole number of 8-byte instructions")
    header = struct.pack("=HxxxxxxQ", len(program) // 8, content(program))
    done = _seccomp(_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, header)
    if done < 0:
        raise failure()
    return done


def keyctl_join(name: str) -> int:
    """Start a session keyring of one's own; its serial number."""
    serial = _keyctl(_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, paths.fsencode(name) + b"\0")
    if serial < 0:
        raise failure()
    return serial


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """Set (if given) and return the former (soft, hard) limits of a process; 0 is this one."""
    former = buffer(_LIMIT.size)
    if _prlimit(pid, resource, None if limits is None else _LIMIT.pack(*limits), former) < 0:
        raise failure()
    soft, hard = _LIMIT.unpack(bytes(former))
    return soft, hard
