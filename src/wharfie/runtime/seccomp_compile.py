"""OCI ``linux.seccomp`` to a BPF program.

libseccomp knows the system calls of its own release only. Newer ones get a prologue before its program::

    an architecture of the filter? ── no ──> libseccomp's program
    number >= the first one it may not know? ── no ──> libseccomp's program
    number is in the profile ──> the profile's action
    number above all in the profile ──> ENOSYS, unless the default action permits

The last is what runc does too: programs take ENOSYS as "older kernel" and fall back, but EPERM as a refusal.
Both together are made short by ``seccomp_shrink.py``.
"""

from __future__ import annotations

from wharfie.errors import InvalidArgument, NotSupported
from wharfie.linux import classic_bpf as bpf
from wharfie.linux import seccomp as libseccomp
from wharfie.linux.classic_bpf import instruction
from wharfie.runtime.seccomp_cache import SeccompError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EPERM, _ENOSYS = 1, 38
# from here on a system call has one number on all architectures (but MIPS, which adds an offset)
_COMMON = 424
_NEWER = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_CARRIES_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_MIPS = 0x8


class BadRule(SeccompError, InvalidArgument):
    """A rule that makes no sense."""


class SeccompUnsupported(SeccompError, NotSupported):
    """Something libseccomp here, or wharfie, cannot do."""


def compile_program(seccomp: dict[str, Any]) -> bytes:
    """The program as an array of ``struct sock_filter``; raises SeccompError."""
    # the daemon has this module to check profiles, and compiles once in a while
    from wharfie.runtime.seccomp_shrink import shrink

    return shrink(long_program(seccomp))


def long_program(seccomp: dict[str, Any]) -> bytes:
    """The program as it is drawn above, which is long; raises SeccompError."""
    if seccomp["defaultAction"] == "SCMP_ACT_NOTIFY":
        raise BadRule("SCMP_ACT_NOTIFY cannot be the defaultAction of a seccomp profile.")
    default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    newer: dict[int, int] = {}
    highest = _COMMON
    try:
        with libseccomp.Filter(default) as rules:
            tokens = _architectures(seccomp)
            for token in tokens:
                rules.add_architecture(token)
            for rule in seccomp.get("syscalls") or []:
                highest = max(highest, _add(rules, rule, default, newer))
            program = rules.export()
    except OSError as error:
        raise SeccompUnsupported(
            f"The seccomp profile cannot be compiled ({error}); without libseccomp 2.5 or later, "
            "--security-opt seccomp=unconfined runs a container unfiltered."
        ) from error
    beyond = None if seccomp["defaultAction"] in _PERMISSIVE else _action("SCMP_ACT_ERRNO", _ENOSYS)
    return _prologue(tokens or [libseccomp.native()], newer, highest, beyond) + program


def _architectures(seccomp: dict[str, Any]) -> list[int]:
    tokens = []
    for name in seccomp.get("architectures") or []:
        if name not in libseccomp.ARCHITECTURES:
            raise BadRule(f'"{name}" is not an architecture that seccomp profiles know.')
        tokens.append(libseccomp.ARCHITECTURES[name])
    # the native architecture is in every filter
    return tokens + [token for token in [libseccomp.native()] if tokens and token not in tokens]


def _action(name: str, number: int | None) -> int:
    if name not in libseccomp.ACTIONS:
        raise BadRule(f'"{name}" is not an action that seccomp profiles know.')
    action = libseccomp.ACTIONS[name]
    if name in _CARRIES_NUMBER:
        action |= (_EPERM if number is None else number) & 0xFFFF
    elif number:
        raise BadRule(f"errnoRet cannot be given for {name} in a seccomp profile.")
    return action


def _add(rules: libseccomp.Filter, rule: dict[str, Any], default: int, newer: dict[int, int]) -> int:
    """Add one rule for all its names; returns the highest common number among them."""
    action = _action(rule["action"], rule.get("errnoRet"))
    if rule["action"] == "SCMP_ACT_NOTIFY" and "write" in rule["names"]:
        # the runtime itself still needs it, after the filter holds and before the agent listens
        raise BadRule("SCMP_ACT_NOTIFY cannot be used for the write system call in a seccomp profile.")
    comparisons = [_comparison(argument) for argument in rule.get("args") or []]
    highest = 0
    for name in rule["names"]:
        number = libseccomp.number_of(name)
        if number is None:
            highest = max(highest, _add_newer(name, action, bool(comparisons), default, newer))
            continue
        highest = max(highest, number)
        if action == default:
            continue  # libseccomp refuses what changes nothing
        for alternative in _alternatives(comparisons):
            rules.add(action, number, alternative)
    return highest


def _add_newer(name: str, action: int, conditional: bool, default: int, newer: dict[int, int]) -> int:
    """What libseccomp does not know: by our own table, else left to the default as runc does."""
    number = _NEWER.get(name)
    if number is None:
        return 0
    if not conditional:
        newer[number] = action
    elif default in (libseccomp.ACTIONS["SCMP_ACT_ALLOW"], libseccomp.ACTIONS["SCMP_ACT_LOG"]):
        raise SeccompUnsupported(f"libseccomp here is too old for conditions on {name} in a seccomp profile.")
    return number


def _comparison(argument: dict[str, Any]) -> tuple[int, int, int, int]:
    operator = libseccomp.COMPARISONS.get(argument["op"])
    if operator is None:
        raise BadRule(f'"{argument["op"]}" is not an operator that seccomp profiles know.')
    index = argument["index"]
    if not 0 <= index <= 5:
        raise BadRule(f"{index} is not the index of an argument: a system call has arguments 0 to 5.")
    return index, operator, argument["value"], argument.get("valueTwo") or 0


def _alternatives(comparisons: list[tuple[int, int, int, int]]) -> list[list[tuple[int, int, int, int]]]:
    """All must hold; but several on one argument are alternatives: libseccomp takes one per argument."""
    indexes = [index for index, *_ in comparisons]
    if len(set(indexes)) == len(indexes):
        return [comparisons]
    return [[comparison] for comparison in comparisons]


def _prologue(tokens: list[int], newer: dict[int, int], highest: int, beyond: int | None) -> bytes:
    """The instructions drawn above; each jumps forward to the end, where libseccomp's program begins."""
    x32 = libseccomp.X32 in tokens
    audit = [token for token in tokens if token != libseccomp.X32 and token & 0xFFFF != _MIPS]
    known = sorted(newer)
    if not audit or (beyond is None and not known):
        return b""
    body = [instruction(bpf.LOAD, bpf.NUMBER)]
    if x32:
        # such calls say so by a bit in the number; where x32 is not filtered, libseccomp's program refuses
        body.append(instruction(bpf.AND, ~bpf.X32_BIT & 0xFFFFFFFF))
    first = min([*known[:1], highest + 1])
    answers: list[bytes] = []
    for number in known:
        answers += [instruction(bpf.EQUAL, number, 0, 1), instruction(bpf.RETURN, newer[number])]
    if beyond is not None:
        limit = [] if x32 else [instruction(bpf.AT_LEAST, bpf.X32_BIT, 2, 0)]
        answers += [*limit, instruction(bpf.GREATER, highest, 0, 1), instruction(bpf.RETURN, beyond)]
    body.append(instruction(bpf.AT_LEAST, first, 0, len(answers)))
    body += answers
    head = [instruction(bpf.LOAD, bpf.ARCHITECTURE)]
    for position, token in enumerate(audit):
        head.append(instruction(bpf.EQUAL, token, len(audit) - position, 0))
    head.append(instruction(bpf.JUMP, len(body)))
    return b"".join(head + body)
