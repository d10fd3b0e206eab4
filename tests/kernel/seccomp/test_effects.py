"""The default profile in a process: what it refuses is refused, and every verdict is the profile's."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

import pytest

from tests.bpf import Simulator
from wharfie.linux import credentials
from wharfie.linux import seccomp as libseccomp
from wharfie.runtime.seccomp import docker_profile
from wharfie.runtime.seccomp_compile import compile_program

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers here are x86_64's")

DOCKERS = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]
SOCKET, MOUNT, KEYCTL, UNSHARE, CLONE3, SETNS, BPF, PTRACE = 41, 165, 250, 272, 435, 308, 321, 101
AF_INET, AF_ALG, AF_VSOCK, NEWUSER = 2, 38, 40, 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int) -> str:
    """The name of the errno, ``ok`` for none."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(argument) for argument in padded])
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def under(program: bytes, work: Callable[[], str]) -> str:
    """What ``work`` says in a process that has loaded the program."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            credentials.seccomp_load(program)
            os.write(writer, work().encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    text = b""
    while part := os.read(reader, 4096):
        text += part
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return text.decode() or f"signal {os.WTERMSIG(status)}"


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_program(docker_profile(DOCKERS, "x86_64", (6, 1)))


@pytest.mark.parametrize(
    ("number", "arguments", "verdict"),
    [
        (SOCKET, (AF_INET, 1, 0), "ok"),
        (SOCKET, (AF_ALG, 5, 0), "EPERM"),
        (SOCKET, (AF_VSOCK, 1, 0), "EPERM"),
        # the kernel looks at the lower half only, so a filter that compares 64 bits must not be fooled
        (SOCKET, (AF_ALG + (1 << 32), 5, 0), "EPERM"),
        (SOCKET, (AF_VSOCK + (1 << 40), 1, 0), "EPERM"),
        (SOCKET, (45, 1, 0), "EAFNOSUPPORT"),
        (MOUNT, (), "EPERM"),
        (KEYCTL, (0, 0), "EPERM"),
        (UNSHARE, (NEWUSER,), "EPERM"),
        (CLONE3, (), "ENOSYS"),
        (SETNS, (-1, 0), "EPERM"),
        (BPF, (), "EPERM"),
        (PTRACE, (-1,), "ESRCH"),
        # system calls newer than the profile: "older kernel", so that programs fall back
        (5000, (), "ENOSYS"),
    ],
)
def test_the_default_profile_acts(
    default: bytes, number: int, arguments: tuple[int, ...], verdict: str
) -> None:
    assert under(default, lambda: call(number, *arguments)) == verdict


@pytest.mark.parametrize(
    ("number", "arguments"), [(MOUNT, ()), (UNSHARE, (0,)), (CLONE3, ()), (SETNS, (-1, 0)), (BPF, (99,))]
)
def test_sys_admin_may_more(number: int, arguments: tuple[int, ...]) -> None:
    program = compile_program(docker_profile([*DOCKERS, "CAP_SYS_ADMIN"], "x86_64", (6, 1)))
    assert under(program, lambda: call(number, *arguments)) == call(number, *arguments)


def expected_verdicts(profile: dict[str, object]) -> dict[str, int]:
    """Per name: the action where no rule of it has conditions."""
    rules: dict[str, list[dict[str, object]]] = {}
    for rule in profile["syscalls"]:  # type: ignore[attr-defined]
        for name in rule["names"]:
            rules.setdefault(name, []).append(rule)
    return {
        name: libseccomp.ACTIONS[str(mine[0]["action"])] | int(mine[0].get("errnoRet") or 0)  # type: ignore[call-overload]
        for name, mine in rules.items()
        if len(mine) == 1 and not mine[0].get("args")
    }


@pytest.mark.parametrize("capabilities", [[], DOCKERS, [*DOCKERS, "CAP_SYS_ADMIN", "CAP_SYS_MODULE"]])
def test_every_verdict_is_the_profiles(capabilities: list[str]) -> None:
    profile = docker_profile(capabilities, "x86_64", (6, 1))
    simulator = Simulator(compile_program(profile))
    expected = expected_verdicts(profile)
    named = {name for rule in profile["syscalls"] for name in rule["names"]}
    refused = libseccomp.ACTIONS["SCMP_ACT_ERRNO"] | errno.EPERM
    compared = 0
    for number in range(450):
        name = name_of(number)
        if name in expected:
            assert simulator.verdict(number, libseccomp.X86_64) == expected[name], name
            compared += 1
        elif name and name not in named:
            assert simulator.verdict(number, libseccomp.X86_64) == refused, name
            compared += 1
    assert compared > 300


def name_of(number: int) -> str:
    """libseccomp's name for x86_64's system call."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    return (library.seccomp_syscall_resolve_num_arch(libseccomp.X86_64, number) or b"").decode()


def test_other_architectures_of_the_machine_are_filtered_alike(default: bytes) -> None:
    simulator = Simulator(default)
    allow = libseccomp.ACTIONS["SCMP_ACT_ALLOW"]
    mount_of_i386, getpid_of_i386, x32_bit = 21, 20, 0x40000000
    assert simulator.verdict(getpid_of_i386, libseccomp.X86) == allow
    assert simulator.verdict(mount_of_i386, libseccomp.X86) == 0x00050001
    assert simulator.verdict(39 | x32_bit, libseccomp.X86_64) == allow
    assert simulator.verdict(MOUNT | x32_bit, libseccomp.X86_64) == 0x00050001
    # an architecture nobody allowed ends the caller
    assert simulator.verdict(39, libseccomp.ARCHITECTURES["SCMP_ARCH_AARCH64"]) == 0


def test_newer_calls_than_libseccomp_knows_follow_the_profile(default: bytes) -> None:
    simulator = Simulator(default)
    fchmodat2, lsm_list_modules, allow = 452, 461, libseccomp.ACTIONS["SCMP_ACT_ALLOW"]
    for arch in (libseccomp.X86_64, libseccomp.X86):
        assert simulator.verdict(fchmodat2, arch) == allow
        assert simulator.verdict(lsm_list_modules, arch) == 0x00050001
        assert simulator.verdict(900, arch) == 0x00050000 | errno.ENOSYS
    assert simulator.verdict(fchmodat2 | 0x40000000, libseccomp.X86_64) == allow


@pytest.mark.parametrize(
    ("action", "extra", "outcome"),
    [
        ("SCMP_ACT_ERRNO", {"errnoRet": errno.EXDEV}, "EXDEV"),
        ("SCMP_ACT_ERRNO", {}, "EPERM"),
        ("SCMP_ACT_KILL_PROCESS", {}, "signal 31"),
        ("SCMP_ACT_KILL", {}, "signal 31"),
        ("SCMP_ACT_TRAP", {}, "signal 31"),
        ("SCMP_ACT_TRACE", {}, "ENOSYS"),
        ("SCMP_ACT_LOG", {}, "ok"),
    ],
)
def test_actions_act(action: str, extra: dict[str, int], outcome: str) -> None:
    rule = {"names": ["getppid"], "action": action, **extra}
    program = compile_program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    assert under(program, lambda: call(110)) == outcome


def test_a_program_beyond_the_reach_of_its_conditions_acts() -> None:
    """Nearly each call has an error of its own, so answers are far from where they are decided."""
    needed = {"write", "exit_group", "exit", "futex", "brk", "mmap", "munmap", "madvise", "rt_sigaction"}
    names = {name for rule in docker_profile(DOCKERS, "x86_64", (6, 1))["syscalls"] for name in rule["names"]}
    numbers = {name: number for name in names - needed if (number := libseccomp.number_of(name) or -1) > 0}
    rules = [
        {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 + number % 30}
        for name, number in numbers.items()
    ]
    far = {
        "names": ["read"],
        "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 0, "value": 77, "op": "SCMP_CMP_EQ"}],
    }
    program = compile_program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [*rules, far]})
    assert {0x05} <= {code for code, *_ in Simulator(program).code}
    harmless = [
        "getpid",
        "getppid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getpgrp",
        "gettid",
        "sched_yield",
    ]
    asked = [numbers[name] for name in harmless]
    answers = under(program, lambda: " ".join(call(number) for number in asked) + call(0, 77) + call(0, 78))
    expected = " ".join(errno.errorcode[1 + number % 30] for number in asked)
    assert answers == expected + "EPERM" + "EBADF"


@pytest.mark.parametrize(
    ("operator", "value", "second", "refused"),
    [
        ("SCMP_CMP_EQ", 7, 0, {7}),
        ("SCMP_CMP_NE", 7, 0, {5, 6, 8, 9}),
        ("SCMP_CMP_LT", 7, 0, {5, 6}),
        ("SCMP_CMP_LE", 7, 0, {5, 6, 7}),
        ("SCMP_CMP_GT", 7, 0, {8, 9}),
        ("SCMP_CMP_GE", 7, 0, {7, 8, 9}),
        ("SCMP_CMP_MASKED_EQ", 12, 4, {5, 6, 7}),
    ],
)
def test_conditions_on_arguments(operator: str, value: int, second: int, refused: set[int]) -> None:
    argument = {"index": 1, "value": value, "valueTwo": second, "op": operator}
    rule = {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "args": [argument]}
    simulator = Simulator(compile_program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    native = libseccomp.native()
    answers = {who for who in range(5, 10) if simulator.verdict(140, native, (0, who)) != 0x7FFF0000}
    assert answers == refused
