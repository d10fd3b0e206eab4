"""Seccomp programs made short: every verdict stays what it was."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.bpf import ARGUMENTS, Simulator
from wharfie.errors import InvalidArgument, NotSupported
from wharfie.linux import seccomp as libseccomp
from wharfie.runtime import seccomp_shrink
from wharfie.runtime.seccomp import docker_profile
from wharfie.runtime.seccomp_compile import compile_program, long_program
from wharfie.runtime.seccomp_shrink import shrink
from wharfie.spec import capabilities

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
X32_BIT, SIGN_BIT, ALL = 0x40000000, 0x80000000, 0xFFFFFFFF
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0
NUMBER, ARCHITECTURE, POINTER = 0, 4, 8
LOAD, MASK, JUMP, RETURN, EQUAL, GREATER, AT_LEAST, ANY_BIT = 0x20, 0x54, 5, 6, 0x15, 0x25, 0x35, 0x45

USUAL = list(capabilities.DEFAULT)
MORE = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_BPF", "CAP_PERFMON", "CAP_SYSLOG"]


def program(*instructions: tuple[int, ...]) -> bytes:
    """Of (code, constant[, jump where it holds, jump where it does not])."""
    padded = [(*each, 0, 0)[:4] for each in instructions]
    return b"".join(struct.pack("=HBBI", code, true, false, k) for code, k, true, false in padded)


def around(constants: Iterable[int]) -> set[int]:
    """The constants, their neighbours, and each of them as a number of x32 and as a negative one."""
    near = {constant + step for constant in constants for step in (-1, 0, 1)} | {0, 1, SIGN_BIT - 1, ALL - 1}
    return {number ^ flip & ALL for number in near if 0 <= number <= ALL for flip in (0, X32_BIT, SIGN_BIT)}


def differences(
    old: bytes, new: bytes, numbers: Iterable[int], architectures: Iterable[int], values: Iterable[int]
) -> list[tuple[int, ...]]:
    """(architecture, number, arguments) of which two programs disagree."""
    before, after = Simulator(old), Simulator(new)
    calls = [(value,) * 6 for value in values]
    # each argument apart, too, for conditions on several
    chance = random.Random(1)
    calls += [tuple(chance.choice(calls)[0] for _ in range(6)) for _ in calls]
    found = []
    for architecture in architectures:
        for number in numbers:
            for arguments in calls:
                if before.verdict(number, architecture, arguments) != after.verdict(
                    number, architecture, arguments
                ):
                    found.append((architecture, number, *arguments))
                if not (before.looked_further or after.looked_further):
                    break
    return found


def words(constants: Iterable[int]) -> set[int]:
    """Arguments around these 32-bit constants, in either half."""
    near = {number for constant in constants for number in (constant - 1, constant, constant + 1)}
    near = {number for number in near if 0 <= number <= ALL}
    return near | {number << 32 for number in near} | {number | 1 << 32 for number in near}


def conditions_on_arguments(old: bytes) -> set[int]:
    """The constants that a program compares arguments with: those after a load of one."""
    found: set[int] = set()
    looking = False
    for code, _, _, constant in struct.iter_unpack("=HBBI", old):
        looking = constant >= ARGUMENTS if code == LOAD else looking
        if looking and code in (EQUAL, GREATER, AT_LEAST, ANY_BIT, MASK):
            found.add(constant)
        looking = looking and code != RETURN
    return found


@pytest.mark.parametrize("held", [[], USUAL, [*USUAL, *MORE]], ids=["no", "the usual", "many"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_dockers_profile_says_the_same_in_a_quarter_of_the_instructions(
    machine: str, held: list[str]
) -> None:
    profile = docker_profile(held, machine, (6, 1))
    old, new = long_program(profile), compile_program(profile)
    assert len(new) < len(old) / 4
    chance = random.Random(2)
    numbers = around({*range(1200), *Simulator(old).constants, *(chance.getrandbits(32) for _ in range(300))})
    architectures = {libseccomp.ARCHITECTURES[name] for name in profile["architectures"]}
    architectures |= {X86_64, I386, AARCH64, 0, ALL, X86_64 - 1, X86_64 + 1}
    values = words({0, 1, 38, 39, 40, 41, 0x20008, 0x7E020000, 0x10000000, ALL})
    assert differences(old, new, sorted(numbers), sorted(architectures), sorted(values)) == []


# neighbours and far ones, some of few architectures only, one that libseccomp may not know
NAMES = ["read", "write", "open", "close", "stat", "fstat", "mmap", "ioctl", "socket", "clone", "kill",
         "personality", "setns", "mount", "keyctl", "getpriority", "openat", "fchmodat2", "cachestat",
         "socketcall", "ipc", "statx"]  # fmt: skip
DEFAULTS = ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "TRAP", "LOG", "TRACE"]
OPERATORS = sorted(libseccomp.COMPARISONS)
VALUES = st.one_of(
    st.integers(0, 50),
    st.sampled_from([ALL, 1 << 32, (1 << 32) + 5, (1 << 64) - 1, SIGN_BIT]),
    st.integers(0, 1 << 64),
).map(lambda value: value & (1 << 64) - 1)

CONDITION = st.fixed_dictionaries(
    {"index": st.integers(0, 5), "op": st.sampled_from(OPERATORS), "value": VALUES, "valueTwo": VALUES}
)
ACTION = st.sampled_from([*DEFAULTS, "NOTIFY"]).map("SCMP_ACT_{}".format)
# what one call meets: an action, always or where all of several conditions hold, or all of others
FATE = st.tuples(ACTION, st.lists(st.lists(CONDITION, min_size=1, max_size=3), max_size=2))
RULES = st.dictionaries(st.sampled_from(NAMES), FATE, max_size=len(NAMES)).map(
    lambda fates: [
        {"names": [name], "action": action, "args": conditions}
        for name, (action, alternatives) in fates.items()
        for conditions in alternatives or [[]]
    ]
)
OTHERS = sorted(
    {name for rule in docker_profile(MORE, "x86_64", (6, 1))["syscalls"] for name in rule["names"]} - {*NAMES}
)
# one answer for many calls here and there
MANY = st.builds(
    lambda action, count, seed: [{"names": random.Random(seed).sample(OTHERS, count), "action": action}],
    st.sampled_from(DEFAULTS).map("SCMP_ACT_{}".format),
    st.integers(0, 60),
    st.integers(0, 1000),
)
PROFILE = st.fixed_dictionaries(
    {
        "defaultAction": st.sampled_from(DEFAULTS).map("SCMP_ACT_{}".format),
        "architectures": st.lists(
            st.sampled_from(["X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64", "MIPSEL64"]),
            unique=True,
            max_size=4,
        ).map(lambda names: [f"SCMP_ARCH_{name}" for name in names]),
        "syscalls": st.builds(lambda rules, many: [*rules, *many], RULES, MANY),
    }
)


@settings(max_examples=100)
@given(PROFILE)
def test_any_profile_says_the_same_in_no_more_instructions(profile: dict[str, Any]) -> None:
    try:
        old = long_program(profile)
    except (InvalidArgument, NotSupported):
        assume(False)  # rules that exclude each other, or notify of write
    new = compile_program(profile)
    assert len(new) <= len(old)
    numbers = around(Simulator(old).constants - conditions_on_arguments(old))
    architectures = {libseccomp.ARCHITECTURES[name] for name in profile["architectures"]}
    values = words(conditions_on_arguments(old) | {0, 7})
    assert differences(old, new, numbers, architectures | {X86_64, AARCH64, 0}, sorted(values)) == []


def test_a_call_of_an_argument_keeps_its_conditions() -> None:
    rules = [
        {
            "names": ["kill"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "op": "SCMP_CMP_EQ", "value": 9}],
        }
    ]
    short = Simulator(compile_program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    native, kill = libseccomp.native(), libseccomp.number_of("kill") or 0
    assert short.verdict(kill, native, (1, 9)) == REFUSE
    assert short.verdict(kill, native, (1, 9 + (1 << 32))) == ALLOW
    assert short.verdict(kill, native, (9, 1)) == ALLOW


HEAD = ((LOAD, ARCHITECTURE), (EQUAL, X86_64, 1, 0), (RETURN, KILL), (LOAD, NUMBER))
TWICE = ((EQUAL, 7, 2, 0), (EQUAL, 8, 1, 0), (EQUAL, 7, 0, 1), (RETURN, ALLOW), (RETURN, REFUSE))


def test_what_is_understood_is_made_short() -> None:
    old = program(*HEAD, *TWICE)
    new = shrink(old)
    assert len(new) < len(old)
    assert differences(old, new, around({7, 8}), [X86_64, I386, 0], [0]) == []


def test_nothing_is_asked_in_vain() -> None:
    in_vain = program(
        *HEAD[:2], (RETURN, KILL), (LOAD, NUMBER), (AT_LEAST, 7, 1, 0), (RETURN, KILL), (RETURN, KILL)
    )
    assert shrink(in_vain) == program((RETURN, KILL))


@pytest.mark.parametrize(
    "instructions",
    {
        "another load, of half a word": [*HEAD, (0x28, NUMBER), *TWICE],
        "arithmetic": [*HEAD, (0x04, 1), *TWICE],
        "a return of the accumulator": [*HEAD, *TWICE[:3], (0x16, 0), (RETURN, REFUSE)],
        "the other register": [*HEAD, (0x07, 0), *TWICE],
        "a comparison with the other register": [*HEAD, (0x1D, 0, 0, 1), (RETURN, ALLOW), *TWICE],
        "memory": [*HEAD, (0x02, 0), (0x60, 0), *TWICE],
        "another mask": [*HEAD, (MASK, 0xFF), *TWICE],
        "a masked architecture": [(LOAD, ARCHITECTURE), (MASK, ALL ^ X32_BIT), *HEAD[1:], *TWICE],
        "bits of the number": [*HEAD, (ANY_BIT, 1, 0, 1), (RETURN, KILL), *TWICE],
        "bits of the architecture": [HEAD[0], (ANY_BIT, X86_64, 1, 0), *HEAD[2:], *TWICE],
        "an order of architectures": [HEAD[0], (AT_LEAST, X86_64, 1, 0), *HEAD[2:], *TWICE],
        "nothing loaded yet": [(EQUAL, 0, 0, 1), (RETURN, KILL), *HEAD, *TWICE],
        "a mask of nothing": [(MASK, ALL ^ X32_BIT), *HEAD, *TWICE],
        "a jump that leads out": [*HEAD, (EQUAL, 1, 9, 0), *TWICE],
        "no end": [*HEAD, *TWICE, (JUMP, 0)],
        "a jump back": [*HEAD, (JUMP, ALL), *TWICE],
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_not_understood_is_left_alone(instructions: tuple[str, list[tuple[int, ...]]]) -> None:
    old = program(*instructions[1])
    assert shrink(old) == old


@pytest.mark.parametrize("old", [b"", b"\0" * 7, program(*HEAD, *TWICE)[:-1], program((RETURN, ALLOW))])
def test_what_cannot_be_shorter_is_left_alone(old: bytes) -> None:
    assert shrink(old) == old


def chance_program(chance: random.Random) -> bytes:
    """Well-formed, of what the kernel takes, with loads here and there and few constants."""
    length = chance.randint(4, 40)
    instructions: list[tuple[int, ...]] = [(LOAD, chance.choice((NUMBER, ARCHITECTURE)))]
    for position in range(1, length):
        left = length - position - 1
        code = chance.choice((LOAD, EQUAL, EQUAL, EQUAL, AT_LEAST, GREATER, MASK, JUMP, RETURN))
        if code == LOAD:
            offset = chance.choice((NUMBER, NUMBER, ARCHITECTURE, POINTER, ARGUMENTS, ARGUMENTS + 4))
            instructions.append((code, offset))
        elif code == MASK:
            instructions.append((code, ALL ^ X32_BIT))
        elif code == RETURN or not left:
            instructions.append((RETURN, chance.choice((ALLOW, REFUSE, KILL))))
        elif code == JUMP:
            instructions.append((code, chance.randrange(min(left, 4))))
        else:
            constant = chance.choice((0, 1, 2, 3, 5, X32_BIT, X32_BIT | 3, SIGN_BIT, ALL, X86_64, I386))
            instructions.append(
                (code, constant, chance.randrange(min(left, 6)), chance.randrange(min(left, 6)))
            )
    return program(*instructions, (RETURN, ALLOW))


def test_programs_of_chance_say_the_same() -> None:
    chance = random.Random(3)
    numbers = sorted(around({2, 4, X86_64, I386}))
    shorter = 0
    for _ in range(1500):
        old = chance_program(chance)
        new = shrink(old)
        shorter += len(new) < len(old)
        assert len(new) <= len(old)
        assert differences(old, new, numbers, [X86_64, I386, 0, 3], [0, 3, ALL << 32]) == []
    assert shorter > 500


def test_distances_beyond_the_reach_of_a_condition_are_bridged() -> None:
    """Every second number of very many has the same condition on its argument, the others one answer."""
    condition = ((LOAD, ARGUMENTS), (EQUAL, 5, 0, 1), (RETURN, ALLOW), (RETURN, KILL))
    parts = [part for number in range(0, 1200, 2) for part in ((EQUAL, number, 0, 4), *condition)]
    old = program(*HEAD, *parts, (RETURN, REFUSE))
    new = shrink(old)
    assert len(new) < len(old) / 3
    assert JUMP in {code for code, *_ in Simulator(new).code}
    assert differences(old, new, around(range(1200)), [X86_64, 0], [0, 5, 5 << 32]) == []


def test_a_result_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(*HEAD, *TWICE)
    for wrong in (program((RETURN, ALLOW)), program(*HEAD, (EQUAL, 7, 0, 1), *TWICE[3:])):
        monkeypatch.setattr(seccomp_shrink, "write", lambda _graph, _entry, wrong=wrong: wrong)
        assert shrink(old) == old
