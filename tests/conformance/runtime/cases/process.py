"""config.md, "Process": program, environment, directory, user, limits and the rest of ``process``."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.case import TWO, Case

_CLAUSE = "config.md#process"


def _process(name: str, probe: str, *, clause: str = _CLAUSE, more: dict[str, Any] | None = None,
             **members: Any) -> Case:  # fmt: skip
    wanted = {key: members.pop(key) for key in ("see", "like", "refused", "code", "before", "after",
                                                "layouts")
              if key in members}  # fmt: skip
    return Case(name, clause, {"process": members, **(more or {})}, probe, **wanted)


def _rlimit(kind: str, soft: int, hard: int, line: str) -> Case:
    limits = [{"type": f"RLIMIT_{kind}", "soft": soft, "hard": hard}]
    probe = f"grep '^Max {line} ' /proc/self/limits | sed 's/Max {line} *//' | awk '{{print $1, $2}}'"
    return Case(f"a limit of the kind {kind} holds, softly and hard", _CLAUSE,
                {"process": {"rlimits": limits}}, probe,
                see=f"{soft} {hard}")  # fmt: skip


_PROGRAM = [
    _process("the first word is the program and all are its arguments", "", args=["echo", "a", "b  c", ""],
             see="a b  c"),
    _process("a program with a slash is a path", "", args=["/bin/echo", "here"], see="here"),
    _process("a program without a slash is looked up in PATH", "", args=["mine"], env=["PATH=/tmp:/bin"],
             before="printf '#!/bin/sh\\necho found' >rootfs/tmp/mine; chmod 755 rootfs/tmp/mine",
             see="found"),
    _process("the earlier directory of PATH wins", "", args=["mine"], env=["PATH=/tmp:/root"],
             before="for d in tmp root; do printf '#!/bin/sh\\necho %s' $d >rootfs/$d/mine;"
                    " chmod 755 rootfs/$d/mine; done", see="tmp"),
    _process("a relative program with a slash counts from cwd", "", args=["bin/echo", "hi"], see="hi"),
    _process("a script is run by its interpreter", "", args=["/tmp/s", "x"],
             before="printf '#!/bin/sh\\necho $0 $1' >rootfs/tmp/s; chmod 755 rootfs/tmp/s", see="/tmp/s x"),
    _process("a program that is not there is refused", "", args=["/nope"], refused="no such file|not found"),
    _process("a program that is nowhere in PATH is refused", "", args=["nope"],
             refused="not found|no such file"),
    _process("a program that may not be executed is refused", "", args=["/tmp/plain"],
             before="touch rootfs/tmp/plain", refused="permission denied"),
    _process("a directory as program is refused", "", args=["/tmp"],
             refused="permission denied|is a directory"),
    _process("no program at all is refused", "", args=[], refused="args|command"),
    _process("the exit code is the program's", "exit 7", code=7),
    _process("a fatal signal is an exit code of 128 and its number", "sleep 100 & kill -TERM $!; wait $!",
             code=143),
    _process("the container's first process is number 1", "echo $$", see="1"),
    _process("standard input, output and error are there",
             "cat; echo out; echo err >&2; ls /proc/self/fd | wc -l",
             like="^out$"),
    _process("no other descriptor is",
             "for f in /proc/self/fd/*; do [ ${f##*/} -gt 3 ] && echo $f; done; true",
             see=""),
    _process("a signal is not blocked or ignored from the start", "",
             args=["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"],
             see="SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"),
]  # fmt: skip

_ENVIRONMENT = [
    _process("the environment is what is written and no more", "", args=["/bin/env"],
             env=["A=1", "B=two words", "EMPTY="], see="A=1\nB=two words\nEMPTY=\nHOME=/"),
    _process("a value may hold equals signs", "echo $A", env=["PATH=/bin", "A=b=c=d"], see="b=c=d"),
    _process("HOME that is given stays", "echo $HOME", env=["PATH=/bin", "HOME=/elsewhere"],
             see="/elsewhere"),
    _process("of a name that is given twice the last one counts", "echo $A", env=["PATH=/bin", "A=1", "A=2"],
             see="2"),
    _process("nothing of the runtime's own environment gets in", "env | sort",
             see="HOME=/\nPATH=/bin\nPWD=/\nSHLVL=1"),
    _process("an environment may be left out", "", env=None, args=["/bin/busybox", "echo", "ran"], see="ran"),
]  # fmt: skip

_DIRECTORY = [
    _process("cwd is where the program begins", "pwd", cwd="/tmp", see="/tmp"),
    _process("cwd that is not there is made", "pwd", cwd="/made/for/it", see="/made/for/it"),
    _process("cwd that is not absolute is refused", "pwd", cwd="tmp",
             refused="cwd|working directory|absolute"),
    _process("cwd that is a link is resolved inside", "pwd -P", cwd="/link", before="ln -s /tmp rootfs/link",
             see="/tmp"),
    _process("cwd that is a file is refused", "pwd", cwd="/file", before="touch rootfs/file",
             refused="not a directory|cwd"),
    _process("cwd inside a mount is reached", "pwd; touch x && ls", cwd="/data/below",
             more={"+mounts": [{"destination": "/data", "type": "tmpfs", "source": "tmpfs"}]},
             see="/data/below\nx"),
    _process("cwd that only the user may enter is entered", "pwd", cwd="/tmp/mine",
             user={"uid": 1000, "gid": 1000},
             before="mkdir -m 700 rootfs/tmp/mine; chown 1000:1000 rootfs/tmp/mine", see="/tmp/mine"),
]  # fmt: skip

_USER = [
    _process("uid and gid are the process's", "id -u; id -g", user={"uid": 1000, "gid": 1001},
             see="1000\n1001"),
    _process("a user has no group but those given", "id -G", user={"uid": 1000, "gid": 1001}, see="1001"),
    _process("additionalGids are groups, too", "grep Groups /proc/self/status",
             user={"uid": 1, "gid": 2, "additionalGids": [5, 6, 70000]}, like=r"^Groups:\t(2 )?5 6 70000 $"),
    _process("real, effective, saved and file system ids are the same", "grep -E '^[UG]id' /proc/self/status",
             user={"uid": 7, "gid": 8}, see="Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8"),
    _process("the largest ids there are", "id -u; id -g", user={"uid": 2147483647, "gid": 2147483647},
             see="2147483647\n2147483647"),
    _process("a negative uid is refused", "id", user={"uid": -1, "gid": 0},
             refused="uid|range|unmarshal|parse"),
    _process("a negative gid is refused", "id", user={"uid": 0, "gid": -1},
             refused="gid|range|unmarshal|parse"),
    _process("a uid beyond 32 bits is refused", "id", user={"uid": 1 << 32, "gid": 0},
             refused="uid|range|unmarshal|parse"),
    _process("a gid beyond 32 bits is refused", "id", user={"uid": 0, "gid": 1 << 32},
             refused="gid|range|unmarshal|parse"),
    _process("an additional gid beyond 32 bits is refused", "id",
             user={"uid": 0, "gid": 0, "additionalGids": [1 << 33]}, refused="gid|range|unmarshal|parse"),
    _process("HOME is the user's of the container's passwd", "echo $HOME", user={"uid": 1000, "gid": 1000},
             before="echo 'bob:x:1000:1000::/home/bob:/bin/sh' >rootfs/etc/passwd", see="/home/bob"),
    _process("HOME of an unknown user is the root", "echo $HOME", user={"uid": 4242, "gid": 0}, see="/"),
    _process("umask is the process's", "umask; touch /tmp/f; stat -c %a /tmp/f",
             user={"uid": 0, "gid": 0, "umask": 0o77}, see="0077\n600"),
    _process("umask 0 is a umask", "umask", user={"uid": 0, "gid": 0, "umask": 0}, see="0000"),
    _process("umask is 0022 unless given", "umask", see="0022"),
    _process("a user who is not root may write to its standard output", "echo hi >/proc/self/fd/1",
             user={"uid": 1000, "gid": 1000}, see="hi"),
    _process("a user's files are the user's", "touch /tmp/f; stat -c %u:%g /tmp/f",
             user={"uid": 12, "gid": 34},
             before="chmod 1777 rootfs/tmp", see="12:34"),
]  # fmt: skip

_LIMITS = [
    _rlimit("AS", 1 << 33, 1 << 34, "address space"),
    _rlimit("CORE", 0, 4096, "core file size"),
    _rlimit("CPU", 100, 200, "cpu time"),
    _rlimit("DATA", 1 << 33, 1 << 34, "data size"),
    _rlimit("FSIZE", 1 << 20, 1 << 21, "file size"),
    _rlimit("LOCKS", 10, 20, "file locks"),
    _rlimit("MEMLOCK", 4096, 8192, "locked memory"),
    _rlimit("MSGQUEUE", 1000, 2000, "msgqueue size"),
    _rlimit("NICE", 0, 0, "nice priority"),
    _rlimit("NOFILE", 64, 128, "open files"),
    _rlimit("NPROC", 300, 400, "processes"),
    _rlimit("RSS", 1 << 30, 1 << 31, "resident set"),
    _rlimit("RTPRIO", 0, 0, "realtime priority"),
    _rlimit("RTTIME", 1000000, 2000000, "realtime timeout"),
    _rlimit("SIGPENDING", 50, 60, "pending signals"),
    _rlimit("STACK", 1 << 21, 1 << 22, "stack size"),
    _process("several limits hold together", "ulimit -n; ulimit -c",
             rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99},
                      {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
             see="99\n0"),
    _process("an unknown limit is refused", "true", rlimits=[{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}],
             refused="rlimit"),
    _process("a limit without its prefix is refused", "true",
             rlimits=[{"type": "NOFILE", "soft": 1, "hard": 1}],
             refused="rlimit"),
    _process("a soft limit above the hard one is refused", "true",
             rlimits=[{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}],
             refused="rlimit|invalid argument"),
    _process("a kind of limit that is given twice is refused", "true",
             rlimits=[{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}] * 2, refused="rlimit|duplicate"),
    _process("the last limit is the largest number", "ulimit -f",
             rlimits=[{"type": "RLIMIT_FSIZE", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1}],
             see="unlimited"),
]  # fmt: skip

# busybox gives up what a set-uid bit gives it, so it is another program's
_SET_UID = ["/tmp/tini", "--", "grep", "^Uid", "/proc/1/status"]
_MAKE_SET_UID = "cp $(command -v tini-static) rootfs/tmp/tini; chmod 4755 rootfs/tmp/tini"

# on version 1 a new control group has no share of realtime scheduling, and nobody may give it one unasked
_REST = [
    _process("noNewPrivileges is set", "grep NoNewPrivs /proc/self/status", noNewPrivileges=True,
             see="NoNewPrivs:\t1"),
    _process("noNewPrivileges is not set unless asked", "grep NoNewPrivs /proc/self/status",
             see="NoNewPrivs:\t0"),
    _process("with noNewPrivileges a set-uid program gives nothing", "", args=_SET_UID, noNewPrivileges=True,
             user={"uid": 1000, "gid": 1000}, before=_MAKE_SET_UID, see="Uid:\t1000\t1000\t1000\t1000"),
    _process("without it a set-uid program gives root", "", args=_SET_UID, user={"uid": 1000, "gid": 1000},
             before=_MAKE_SET_UID, see="Uid:\t1000\t0\t0\t0"),
    _process("oomScoreAdj is the process's", "cat /proc/self/oom_score_adj", oomScoreAdj=500, see="500"),
    _process("oomScoreAdj may be the highest", "cat /proc/self/oom_score_adj", oomScoreAdj=1000, see="1000"),
    _process("oomScoreAdj beyond 1000 is refused", "true", oomScoreAdj=1001, refused="oom|invalid argument"),
    _process("ioPriority best effort", "ionice -p 1", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 3},
             see="best-effort: prio 3"),
    _process("ioPriority idle", "ionice -p 1", ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0},
             like="^idle"),
    _process("ioPriority realtime", "ionice -p 1", ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 5},
             see="realtime: prio 5"),
    _process("an unknown class of ioPriority is refused", "true",
             ioPriority={"class": "IOPRIO_CLASS_X", "priority": 0},
             refused="ioPriority|class"),
    _process("a level of ioPriority beyond 7 is refused", "true",
             ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8},
             refused="ioPriority|priority|invalid argument"),
    _process("scheduler other with a nice value", "awk '{print $19, $41}' /proc/1/stat",
             scheduler={"policy": "SCHED_OTHER", "nice": 5}, see="5 0"),
    _process("scheduler batch", "awk '{print $41}' /proc/1/stat", scheduler={"policy": "SCHED_BATCH"},
             see="3"),
    _process("scheduler idle", "awk '{print $41}' /proc/1/stat", scheduler={"policy": "SCHED_IDLE"}, see="5"),
    _process("scheduler first in, first out, with a priority", "awk '{print $40, $41}' /proc/1/stat",
             scheduler={"policy": "SCHED_FIFO", "priority": 10}, see="10 1", layouts=TWO),
    _process("scheduler round robin, with a priority", "awk '{print $40, $41}' /proc/1/stat",
             scheduler={"policy": "SCHED_RR", "priority": 7}, see="7 2", layouts=TWO),
    _process("scheduler with the flag that forks are ordinary again",
             "awk '{print $41}' /proc/self/stat; true",
             scheduler={"policy": "SCHED_FIFO", "priority": 10, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
             see="0",
             layouts=TWO),
    _process("scheduler deadline", "", args=["awk", "{print $41}", "/proc/self/stat"],
             scheduler={"policy": "SCHED_DEADLINE", "runtime": 10**7, "deadline": 3 * 10**7,
                        "period": 3 * 10**7},
             see="6"),
    _process("an unknown scheduler is refused", "true", scheduler={"policy": "SCHED_X"},
             refused="scheduler|policy"),
    _process("an unknown flag of the scheduler is refused", "true",
             scheduler={"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"]}, refused="scheduler|flag"),
    _process("a priority with the ordinary scheduler is refused", "true",
             scheduler={"policy": "SCHED_OTHER", "priority": 5}, refused="scheduler|priority"),
    _process("a nice value beyond 19 is refused", "true", scheduler={"policy": "SCHED_OTHER", "nice": 20},
             refused="scheduler|nice"),
    _process("a profile of AppArmor where the kernel has none is refused", "true", apparmorProfile="acme",
             refused="apparmor"),
    _process("a label of SELinux where the kernel has none is refused", "true",
             selinuxLabel="system_u:system_r:svirt_lxc_net_t:s0:c1,c2", refused="selinux"),
]  # fmt: skip

_NAMES = [
    Case("the hostname is the container's", "config.md#hostname", {"hostname": "mrsdalloway"}, "hostname",
         see="mrsdalloway"),
    Case("the hostname is the kernel's parameter as well", "config.md#hostname", {"hostname": "clarissa"},
         "cat /proc/sys/kernel/hostname; uname -n", see="clarissa\nclarissa"),
    Case("a hostname without a uts namespace is refused", "config.md#hostname",
         {"linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc")]}}, "true",
         refused="uts|hostname"),
    Case("a hostname of 64 letters is possible", "config.md#hostname", {"hostname": "h" * 64}, "hostname",
         see="h" * 64),
    Case("a hostname of 65 letters is refused", "config.md#hostname", {"hostname": "h" * 65}, "true",
         refused="hostname|invalid argument"),
    Case("the domainname is the container's", "config.md#domainname", {"domainname": "example.org"},
         "cat /proc/sys/kernel/domainname", see="example.org"),
    Case("a domainname without a uts namespace is refused", "config.md#domainname",
         {"hostname": None, "domainname": "example.org",
          "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc")]}}, "true",
         refused="uts|domainname"),
]  # fmt: skip

CASES = [*_PROGRAM, *_ENVIRONMENT, *_DIRECTORY, *_USER, *_LIMITS, *_REST, *_NAMES]
