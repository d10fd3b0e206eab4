"""What a container may do when nobody asked for more (SECURITY 10), tried from inside one."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests import ours
from tests.security import attacks

FOURTEEN = 0x00000000A80425FB
"""CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
AUDIT_WRITE SETFCAP."""

# Each call gets arguments that would fail in another way (EFAULT, EINVAL, EBADF …) were it let through.
CALLS = """
import ctypes, errno, json, os, platform
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": dict(mount=165, umount2=166, ptrace=101, keyctl=250, add_key=248, request_key=249,
    bpf=321,
    userfaultfd=323, perf_event_open=298, io_uring_setup=425, io_uring_enter=426, io_uring_register=427,
    unshare=272, setns=308, clone3=435, kexec_load=246, init_module=175, finit_module=313, delete_module=176,
    open_by_handle_at=304, name_to_handle_at=303, move_pages=279, pivot_root=155, swapon=167, reboot=169,
    settimeofday=164, clock_settime=227, iopl=172, ioperm=173, acct=163, quotactl=179, lookup_dcookie=212,
    kcmp=312, process_vm_readv=310, fsopen=430, open_tree=428, move_mount=429, mount_setattr=442,
    fanotify_init=300, syslog=103, nfsservctl=180, vhangup=153, sethostname=170, personality=135,
    getpid=39, chroot=161, landlock_create_ruleset=444)}[platform.machine()]
found = {}
for name, number in numbers.items():
    arguments = [ctypes.c_long(-1)] * 6
    if name in ("unshare",):
        arguments = [ctypes.c_long(0x10000000)] + [ctypes.c_long(0)] * 5   # CLONE_NEWUSER
    if name == "personality":
        arguments = [ctypes.c_long(0x0400000)] + [ctypes.c_long(0)] * 5     # READ_IMPLIES_EXEC
    if name == "ptrace":
        arguments = [ctypes.c_long(16), ctypes.c_long(1)] + [ctypes.c_long(0)] * 4  # ATTACH to ourselves
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    found[name] = "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
sockets = {}
for family in (1, 2, 10, 16, 17, 38, 40, 29, 9, 5):
    try:
        import _socket
        _socket.socket(family, 2 if family not in (38,) else 5).close()
        sockets[family] = "ok"
    except OSError as error:
        sockets[family] = errno.errorcode[error.errno]
clone = libc.syscall(56, ctypes.c_long(0x10000000 | 17), 0, 0, 0, 0)
clone_errno = ctypes.get_errno()
if clone == 0:
    os._exit(0)
print(json.dumps({"calls": found, "sockets": sockets,
                  "clone": "ok" if clone > 0 else errno.errorcode[clone_errno]}))
"""
DENIED = (
    "mount", "umount2", "keyctl", "add_key", "request_key", "bpf", "userfaultfd", "perf_event_open",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "unshare", "setns", "kexec_load",
    "init_module", "finit_module", "delete_module", "open_by_handle_at", "pivot_root", "swapon",
    "reboot", "settimeofday", "clock_settime", "iopl", "ioperm", "acct", "quotactl", "lookup_dcookie",
    "fsopen", "open_tree", "move_mount", "mount_setattr", "fanotify_init", "syslog", "nfsservctl",
    "vhangup", "sethostname", "personality", "move_pages",
)  # fmt: skip


def fields(status: str) -> dict[str, str]:
    return dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)


@pytest.fixture(scope="module")
def verdicts(engine: ours.Engine) -> dict[str, Any]:
    found: dict[str, Any] = attacks.python(engine, CALLS)
    return found


@pytest.mark.parametrize("name", DENIED)
def test_a_call_that_dockers_profile_denies(verdicts: dict[str, Any], name: str) -> None:
    allowed_answers = {"EPERM", "ENOSYS"} if name in ("nfsservctl", "lookup_dcookie") else {"EPERM"}
    assert verdicts["calls"][name] in allowed_answers


def test_calls_that_programs_need_are_let_through(verdicts: dict[str, Any]) -> None:
    calls = verdicts["calls"]
    assert calls["getpid"] == "ok"
    # answered with ENOSYS so that the C library falls back to clone, whose flags a filter can read
    assert calls["clone3"] == "ENOSYS"
    assert verdicts["clone"] == "EPERM", "a user namespace was made"
    assert calls["ptrace"] == "EPERM", "the kernel's own answer: nobody traces itself"
    for name in ("process_vm_readv", "kcmp"):
        assert calls[name] != "ENOSYS"


def test_families_of_sockets(verdicts: dict[str, Any]) -> None:
    sockets = verdicts["sockets"]
    assert sockets["1"] == sockets["2"] == sockets["10"] == sockets["16"] == "ok"
    for family, name in (("38", "AF_ALG"), ("40", "AF_VSOCK")):
        assert sockets[family] in ("EPERM", "EAFNOSUPPORT"), name


def test_capabilities_filter_and_privileges(engine: ours.Engine) -> None:
    def status(*options: str) -> dict[str, str]:
        done = engine.cli("run", "--rm", *options, "busybox", "cat", "/proc/self/status")
        assert done.returncode == 0, done.stderr
        return fields(done.stdout)

    own = int(fields(Path("/proc/self/status").read_text())["CapBnd"], 16)
    plain = status()
    assert int(plain["CapBnd"], 16) == FOURTEEN & own
    assert plain["CapEff"] == plain["CapPrm"] == plain["CapBnd"]
    assert int(plain["CapInh"], 16) == int(plain["CapAmb"], 16) == 0
    assert plain["Seccomp"] == "2"
    assert plain["NoNewPrivs"] == "0"
    assert status("--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"
    assert int(status("--cap-drop", "ALL")["CapBnd"], 16) == 0
    assert int(status("--cap-add", "ALL")["CapBnd"], 16) & ~own == 0
    privileged = status("--privileged")
    assert int(privileged["CapBnd"], 16) == own
    assert int(privileged["CapInh"], 16) == 0
    assert privileged["Seccomp"] == "0"
    assert status("--security-opt", "seccomp=unconfined")["Seccomp"] == "0"


def test_no_new_privileges_keeps_set_user_programs_ordinary(engine: ours.Engine) -> None:
    links = [attacks.link(where, f"usr/{where}") for where in ("lib", "lib64")]
    program = attacks.member("suid", content=Path("/usr/bin/cat").read_bytes(), mode=0o4755)
    directories = [attacks.member(name, tarfile.DIRTYPE) for name in ("usr", *attacks.SKELETON)]
    image = attacks.import_image(engine, "no-new", attacks.archive([*directories, *links, program]))

    def ids(*options: str) -> list[str]:
        words = [
            "run",
            "--rm",
            "-u",
            "7",
            *attacks.HOST_PROGRAMS,
            *options,
            image,
            "/suid",
            "/proc/self/status",
        ]
        return fields(engine.cli(*words).stdout)["Uid"].split()

    assert ids() == ["7", "0", "0", "0"], "set-user-ID programs work where nobody forbids them"
    assert ids("--security-opt", "no-new-privileges") == ["7"] * 4


def test_disks_and_memory_of_the_host_cannot_be_opened(engine: ours.Engine) -> None:
    disks = {os.stat(path).st_rdev for path in Path("/dev").glob("vd*") if path.is_block_device()} or {
        os.makedev(8, 0)
    }
    nodes = [("b", os.major(disk), os.minor(disk)) for disk in sorted(disks)]
    nodes += [
        ("c", 1, 1),
        ("c", 1, 2),
        ("c", 1, 4),
        ("c", 10, 200),
        ("c", 10, 229),
        ("c", 4, 0),
        ("c", 1, 11),
    ]
    script = "".join(
        f"mknod /tmp/d{number} {kind} {major} {minor}; "
        f"(: < /tmp/d{number}) 2>/dev/null && echo opened {kind};"
        f" (: >> /tmp/d{number}) 2>/dev/null && echo written {kind} {major};"
        for number, (kind, major, minor) in enumerate(nodes)
    )
    done = engine.cli("run", "--rm", "busybox", "sh", "-c", f"{script} (: < /dev/null) && echo end")
    assert done.stdout == "end\n", done.stdout


SYSCTLS = ("kernel.core_pattern=|/evil", "vm.drop_caches=1", "kernel.modprobe=/evil", "fs.file-max=9",
           "kernel.shmmax/../core_pattern=x", "net/../kernel/core_pattern=x",
           "net.ipv4/../../kernel/hostname=x",
           "kernel.hostname=x", "net..ipv4=1")  # fmt: skip


@pytest.mark.parametrize("sysctl", SYSCTLS)
def test_only_parameters_of_its_own_namespaces_are_set(engine: ours.Engine, sysctl: str) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    done = engine.cli("run", "--rm", "--sysctl", sysctl, "busybox", "true")
    assert done.returncode == 125, done
    assert Path("/proc/sys/kernel/core_pattern").read_text() == pattern
    assert engine.cli("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "busybox",
                      "true").returncode == 125  # fmt: skip


def test_the_kernels_secrets_are_hidden_by_default(engine: ours.Engine) -> None:
    masked = ("/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug",
              "/proc/acpi", "/proc/asound", "/proc/scsi", "/proc/latency_stats", "/sys/firmware",
              "/sys/devices/virtual/powercap")  # fmt: skip
    throttle = [str(path) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")]
    script = 'for p in "$@"; do'
    script += " if test -d $p; then ls -A $p | head -1; elif test -e $p; then head -c 1 $p; fi; done"
    done = engine.cli("run", "--rm", "busybox", "sh", "-c", script, "sh", *masked, *throttle)
    assert done.stdout == "", done.stdout
    assert done.returncode == 0
    listed = attacks.inspect(_created(engine), "defaults", "{{json .HostConfig.MaskedPaths}}")
    for path in (*masked, *throttle):
        assert path in listed, path


def _created(engine: ours.Engine) -> ours.Engine:
    engine.cli("rm", "-f", "defaults")
    assert engine.cli("create", "--name", "defaults", "busybox").returncode == 0
    return engine


def test_namespaces_are_its_own(engine: ours.Engine) -> None:
    done = engine.cli(
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "for n in pid mnt net uts ipc; do readlink /proc/self/ns/$n; done",
    )
    names = ("pid", "mnt", "net", "uts", "ipc")
    inside = done.stdout.split()
    assert len(inside) == len(names)
    for name, found in zip(names, inside, strict=True):
        assert found != os.readlink(f"/proc/self/ns/{name}")
