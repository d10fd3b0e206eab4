"""How a process is scheduled: sched_setattr(2), ioprio_set(2), set_mempolicy(2), personality(2).

Loaded only for a process that asks for one of them.
"""

from __future__ import annotations

import struct

from wharfie.linux.libc import Int, Pointer, UInt, ULong, failure, function, number_of, system_call

_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
_WHO_PROCESS = 1
_CLASS_SHIFT = 13
_WORD = 64

_sched_setattr = system_call(Int, Pointer, UInt)
_ioprio_set = system_call(Int, Int, Int)
_set_mempolicy = system_call(Int, Pointer, ULong)
_personality = function("personality", ULong)


def sched_setattr(
    policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int
) -> None:
    """Set this thread's policy; the last three are nanoseconds (sched(7)). Raises OSError."""
    size = _SCHED_ATTR.size
    packed = _SCHED_ATTR.pack(size, policy, flags, nice, priority, runtime, deadline, period)
    if _sched_setattr(number_of("sched_setattr"), 0, packed, 0) < 0:
        raise failure()


def ioprio_set(kind: int, level: int) -> None:
    """Set this process's class (1 real time, 2 best effort, 3 idle) and level (0 to 7) for disks."""
    if _ioprio_set(number_of("ioprio_set"), _WHO_PROCESS, 0, kind << _CLASS_SHIFT | level) < 0:
        raise failure()


def set_mempolicy(mode: int, nodes: int) -> None:
    """Set where this thread's memory comes from; ``nodes`` is a bit mask. Raises OSError."""
    words = nodes.bit_length() // _WORD + 1
    packed = struct.pack(f"={words}Q", *(nodes >> _WORD * word & (1 << _WORD) - 1 for word in range(words)))
    # the kernel reads one bit less than it is told (set_mempolicy(2), "BUGS")
    done = _set_mempolicy(number_of("set_mempolicy"), mode, packed if nodes else None, words * _WORD + 1)
    if done < 0:
        raise failure()


def personality(domain: int) -> None:
    """Set the execution domain, which execve(2) keeps; raises OSError."""
    if _personality(domain) < 0:
        raise failure()
