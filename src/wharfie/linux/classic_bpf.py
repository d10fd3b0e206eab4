"""Classic BPF as seccomp(2) takes it (linux/filter.h, linux/seccomp.h).

Instructions look at a ``struct seccomp_data``: the number of the system call, the architecture, the
instruction pointer and the six arguments, word by word. The accumulator is their only register that is used
here, jumps lead forward only.
"""

from __future__ import annotations

import struct

INSTRUCTION = "=HBBI"
"""Code, how far to jump where a condition holds and where it does not, constant."""
LOAD, AND, JUMP, RETURN = 0x20, 0x54, 0x05, 0x06
EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x15, 0x25, 0x35, 0x45
NUMBER, ARCHITECTURE = 0, 4
"""What lies where, of what can be loaded."""
X32_BIT = 0x40000000
"""In the number of a system call of x32, whose architecture is x86_64's."""


def instruction(code: int, constant: int, true: int = 0, false: int = 0) -> bytes:
    """One instruction, as a program has it."""
    return struct.pack(INSTRUCTION, code, true, false, constant)
