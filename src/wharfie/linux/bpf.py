"""bpf(2), for one purpose: a program at a control group that decides who may open or make which device.

Control groups version 2 have no files for devices; the kernel asks a BPF_PROG_TYPE_CGROUP_DEVICE program,
with the device and the kind of access in its context (linux/bpf.h, ``struct bpf_cgroup_dev_ctx``)::

    u32 access_type      wanted access (1 mknod, 2 read, 4 write) << 16 | kind (1 block, 2 character)
    u32 major, u32 minor

An instruction is 8 bytes: opcode, source << 4 | destination register, 16-bit jump, 32-bit constant
(Documentation/bpf/standardization/instruction-set.rst).
"""

from __future__ import annotations

import posix as os
import struct

from wharfie.linux import libc

_NUMBER = 321 if os.uname().machine == "x86_64" else 280
_BPF = libc.system_call(libc.Int, libc.Pointer, libc.UInt)

# linux/bpf.h: commands, program type, attach type, flags
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_LICENSE = b"GPL\0"
_ALLOW_MULTI, _REPLACE = 2, 4

# opcodes: load a 32-bit word; 64-bit arithmetic with a constant; jumps on a constant; leave
_LOAD_WORD, _MOVE, _AND, _SHIFT_RIGHT = 0x61, 0xB7, 0x57, 0x77
_COPY, _JUMP_NOT_EQUAL, _JUMP_ANY_BIT, _EXIT = 0xBF, 0x55, 0x45, 0x95

_ACCESS = {"m": 1, "r": 2, "w": 4}
_KIND = {"b": 1, "c": 2}
_ANY = -1

TYPE_CHECKING = False
if TYPE_CHECKING:
    # allow, kind (b, c), major, minor (-1: any), access (of r, w, m)
    DeviceRule = tuple[bool, str, int, int, str]


def _instruction(opcode: int, target: int = 0, source: int = 0, jump: int = 0, constant: int = 0) -> bytes:
    return struct.pack("<BBhi", opcode, source << 4 | target, jump, constant)


def _signed(number: int) -> int:
    # constants are signed 32 bit; device numbers do not reach that far, masks do
    return number - (1 << 32) if number >= 1 << 31 else number


def device_program(allow_all: bool, rules: list[DeviceRule]) -> bytes:
    """The instructions for rules of which a later one wins.

    Looks at the last rule first: one that allows strikes its ways of access from those wanted, and nothing
    left to want is a yes; one that forbids any that is still wanted is a no. So opening for reading and
    writing is allowed by two rules too.
    """
    code = [
        _instruction(_LOAD_WORD, 2, 1, 0),
        _instruction(_COPY, 3, 2),
        _instruction(_SHIFT_RIGHT, 3, constant=16),
        _instruction(_AND, 2, constant=0xFFFF),
        _instruction(_LOAD_WORD, 4, 1, 4),
        _instruction(_LOAD_WORD, 5, 1, 8),
    ]
    for rule in reversed(rules):
        code += _rule(rule)
    code += [_instruction(_MOVE, 0, constant=int(allow_all)), _instruction(_EXIT)]
    return b"".join(code)


def _rule(rule: DeviceRule) -> list[bytes]:
    allow, kind, major, minor, access = rule
    mask = sum(_ACCESS[way] for way in access)
    if allow:
        action = [
            _instruction(_AND, 3, constant=_signed(0xFFFFFFFF & ~mask)),
            _instruction(_JUMP_NOT_EQUAL, 3, jump=2, constant=0),
            _instruction(_MOVE, 0, constant=1),
            _instruction(_EXIT),
        ]
    else:
        action = [
            _instruction(_JUMP_ANY_BIT, 3, jump=1, constant=mask),
            _instruction(0x05, jump=2),
            _instruction(_MOVE, 0, constant=0),
            _instruction(_EXIT),
        ]
    tests = [(2, _KIND[kind])]
    tests += [(register, number) for register, number in ((4, major), (5, minor)) if number != _ANY]
    length = len(tests) + len(action)
    conditions = [
        _instruction(_JUMP_NOT_EQUAL, register, jump=length - position - 1, constant=_signed(number))
        for position, (register, number) in enumerate(tests)
    ]
    return conditions + action


def _bpf(command: int, attributes: bytes) -> int:
    result = _BPF(_NUMBER, command, attributes, len(attributes))
    if result < 0:
        raise libc.failure()
    return result


def _load(program: bytes) -> int:
    """A descriptor of the program, verified by the kernel; raises OSError."""
    attributes = struct.pack(
        "=IIQQIIQI",
        _TYPE_CGROUP_DEVICE,
        len(program) // 8,
        libc.content(program),
        libc.content(_LICENSE),
        0,
        0,
        0,
        0,
    ) + bytes(4 + 16)
    return _bpf(_PROG_LOAD, attributes)


def _attached(cgroup: int) -> list[int]:
    """Ids of the device programs right at this control group."""
    ids = libc.buffer(4 * 64)
    attributes = struct.pack("=IIIIQI", cgroup, _ATTACH_CGROUP_DEVICE, 0, 0, libc.address(ids), 64) + bytes(4)
    memory = libc.buffer(len(attributes))
    memory[:] = [attributes[i : i + 1] for i in range(len(attributes))]
    if _BPF(_NUMBER, _PROG_QUERY, memory, len(attributes)) < 0:
        raise libc.failure()
    (count,) = struct.unpack_from("=I", bytes(memory), 24)
    return list(struct.unpack_from(f"={count}I", bytes(ids)))


def _by_id(number: int) -> int:
    return _bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))


def attach_devices(cgroup: int, program: bytes) -> None:
    """Put ``program`` at the control group in place of those there, without a moment in between; OSError."""
    fds = [_load(program)]
    try:
        for number in _attached(cgroup):
            fds.append(_by_id(number))
        if len(fds) > 1:
            attributes = (cgroup, fds[0], _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI | _REPLACE, fds[1])
        else:
            attributes = (cgroup, fds[0], _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI, 0)
        _bpf(_PROG_ATTACH, struct.pack("=IIIII", *attributes))
        for stale in fds[2:]:
            _bpf(_PROG_DETACH, struct.pack("=III", cgroup, stale, _ATTACH_CGROUP_DEVICE))
    finally:
        for fd in fds:
            os.close(fd)


def detach_devices(cgroup: int) -> None:
    """Take all device programs from the control group, which allows every device; raises OSError."""
    for number in _attached(cgroup):
        fd = _by_id(number)
        try:
            _bpf(_PROG_DETACH, struct.pack("=III", cgroup, fd, _ATTACH_CGROUP_DEVICE))
        finally:
            os.close(fd)
