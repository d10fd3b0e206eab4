"""The configuration that every conformance case changes, and what its root file system has."""

from __future__ import annotations

from typing import Any

APPLETS = (
    *("sh", "ash", "true", "false", "cat", "echo", "printf", "id", "ls", "sleep", "stat", "touch", "mkdir"),
    *(
        "hostname",
        "dnsdomainname",
        "ip",
        "tty",
        "stty",
        "kill",
        "chmod",
        "chown",
        "chgrp",
        "readlink",
        "mknod",
    ),
    *(
        "grep",
        "wc",
        "ln",
        "rm",
        "rmdir",
        "pwd",
        "head",
        "tail",
        "env",
        "mount",
        "umount",
        "cut",
        "sort",
        "tr",
    ),
    *("uname", "nproc", "ionice", "chrt", "renice", "dd", "od", "sed", "awk", "test", "ps", "df", "mkfifo"),
    *("unshare", "setpriv", "sysctl", "date", "seq", "cp", "mv", "find", "nc", "timeout", "expr", "uptime"),
    *("taskset", "ping", "realpath", "su", "chroot", "nice", "link", "which", "basename", "xargs", "usleep"),
)

CAPABILITIES = [
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL"),
    "CAP_AUDIT_WRITE",
]


def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    """An entry of ``mounts``."""
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


PROC = mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev")
DEV = mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
PTS = mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
SHM = mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k")
SYS = mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
CGROUPS = mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
MQUEUE = mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")


def namespaces(*kinds: str) -> list[dict[str, str]]:
    """Entries of ``linux.namespaces``; "kind=path" is one by path."""
    parts = (kind.partition("=") for kind in kinds)
    return [{"type": kind, **({"path": path} if path else {})} for kind, _, path in parts]


def base_configuration(args: list[str], cgroup: str) -> dict[str, Any]:
    """A plain container."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": args,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [PROC, DEV, PTS, SHM, SYS],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces("pid", "mount", "network", "uts", "ipc"),
            "resources": {},
        },
    }
