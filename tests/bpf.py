"""A machine for classic BPF, as the kernel would run a seccomp program (linux/filter.h)."""

from __future__ import annotations

import struct
from operator import and_, eq, ge, gt

_LOAD, _MASK, _JUMP, _RETURN = 0x20, 0x54, 0x05, 0x06
_TESTS = {0x15: eq, 0x25: gt, 0x35: ge, 0x45: and_}
ARGUMENTS = 16
"""Where the arguments begin in a ``struct seccomp_data``, after number, architecture, instruction pointer."""


class Simulator:
    """Runs a program on one system call after the other, and remembers whether the last needed arguments."""

    def __init__(self, program: bytes) -> None:
        self.code = list(struct.iter_unpack("=HBBI", program))
        self.looked_further = False

    def __len__(self) -> int:
        return len(self.code)

    @property
    def constants(self) -> set[int]:
        """What the program compares with, and masks by."""
        return {constant for code, _, _, constant in self.code if code in (*_TESTS, _MASK)}

    def verdict(self, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
        padded = [*arguments, *[0] * (6 - len(arguments))]
        data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *padded)
        accumulator, position = 0, 0
        self.looked_further = False
        while True:
            code, true, false, constant = self.code[position]
            position += 1
            if code == _RETURN:
                return constant
            if code == _LOAD:
                (accumulator,) = struct.unpack_from("=I", data, constant)
                self.looked_further |= constant > 4
            elif code == _MASK:
                accumulator &= constant
            elif code == _JUMP:
                position += constant
            else:
                position += true if _TESTS[code](accumulator, constant) else false
