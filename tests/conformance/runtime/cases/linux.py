"""config-linux.md: kernel parameters, personality, memory policy, Intel RDT; annotations; versions."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import namespaces
from tests.conformance.runtime.case import ALL_LAYOUTS, CREATE, END, Case, does

_SYSCTL = "config-linux.md#sysctl"


def _sysctl(name: str, value: str, see: str | None = None) -> Case:
    path = name.replace(".", "/")
    return Case(f"{name} is the container's own", _SYSCTL, {"linux": {"sysctl": {name: value}}},
                f"cat /proc/sys/{path} | tr -s '\\t' ' '", see=see or value)  # fmt: skip


def _not(name: str, settings: dict[str, str], pattern: str, linux: dict[str, Any] | None = None) -> Case:
    return Case(name, _SYSCTL, {"hostname": None, "linux": {"sysctl": settings, **(linux or {})}}, "true",
                refused=pattern)  # fmt: skip


_PARAMETERS = [
    _sysctl("net.ipv4.ip_forward", "1"),
    _sysctl("net.core.somaxconn", "256"),
    _sysctl("net.ipv4.ping_group_range", "0 1000"),
    _sysctl("net.ipv4.ip_unprivileged_port_start", "80"),
    _sysctl("kernel.msgmax", "65536"),
    _sysctl("kernel.shmmax", "123456789"),
    _sysctl("kernel.sem", "250 32000 100 128"),
    _sysctl("kernel.shm_rmid_forced", "1"),
    _sysctl("fs.mqueue.msg_max", "20"),
    _sysctl("kernel.domainname", "example.net"),
    Case("a parameter with a slash is the same one", _SYSCTL,
         {"linux": {"sysctl": {"net/ipv4/ip_forward": "1"}}},
         "cat /proc/sys/net/ipv4/ip_forward", see="1"),
    Case("several parameters", _SYSCTL,
         {"linux": {"sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "70000"}}},
         "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", see="1\n70000"),
    Case("a parameter is set although its path is read-only afterwards", _SYSCTL,
         {"linux": {"sysctl": {"net.ipv4.ip_forward": "1"}, "readonlyPaths": ["/proc/sys"]}},
         "cat /proc/sys/net/ipv4/ip_forward", see="1"),
    _not("a parameter of the whole kernel is refused", {"kernel.panic": "1"}, "kernel.panic"),
    _not("another parameter of the whole kernel is refused", {"vm.swappiness": "1"}, "vm.swappiness"),
    _not("a parameter of the network without one of its own is refused", {"net.ipv4.ip_forward": "1"},
         "net.ipv4",
         {"namespaces": namespaces("pid", "mount", "uts", "ipc")}),
    _not("a parameter of ipc without one of its own is refused", {"kernel.msgmax": "1"}, "kernel.msgmax",
         {"namespaces": namespaces("pid", "mount", "uts", "network")}),
    _not("a parameter that is not there is refused", {"net.ipv4.nonsense": "1"},
         "no such file|net.ipv4.nonsense"),
    _not("a value that the kernel does not take is refused", {"net.ipv4.ip_forward": "many"},
         "invalid argument|ip_forward"),
    _not("a parameter that leads elsewhere is refused", {"net/../kernel/panic": "1"},
         "kernel/panic|kernel.panic|sysctl"),
]  # fmt: skip


def _linux(name: str, clause: str, linux: dict[str, Any], probe: str = "true", **wanted: Any) -> Case:
    return Case(name, f"config-linux.md#{clause}", {"linux": linux}, probe, **wanted)


_RARE = [
    _linux("a 32-bit personality", "personality", {"personality": {"domain": "LINUX32"}}, "uname -m",
           see="i686"),
    _linux("a 64-bit personality", "personality", {"personality": {"domain": "LINUX"}}, "uname -m",
           see="x86_64"),
    _linux("an unknown personality is refused", "personality", {"personality": {"domain": "VMS"}},
           refused="personality|VMS"),
    _linux("a flag of a personality is refused", "personality",
           {"personality": {"domain": "LINUX", "flags": ["X"]}},
           refused="personality|flag"),
    _linux("a memory policy that binds", "memory-policy",
           {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}},
           "grep -m1 -o 'bind:0' /proc/self/numa_maps", see="bind:0"),
    _linux("a memory policy with a flag", "memory-policy",
           {"memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}},
           "grep -m1 -o 'interleave=static:0' /proc/self/numa_maps", see="interleave=static:0"),
    _linux("an unknown memory policy is refused", "memory-policy",
           {"memoryPolicy": {"mode": "MPOL_NOPE", "nodes": "0"}},
           refused="memoryPolicy|MPOL_NOPE"),
    _linux("an unknown flag of a memory policy is refused", "memory-policy",
           {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NOPE"]}},
           refused="memoryPolicy|flag"),
    _linux("a memory policy with a node that is not there is refused", "memory-policy",
           {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "63"}}, refused="memoryPolicy|invalid"),
    _linux("Intel RDT where there is none is refused", "intelrdt",
           {"intelRdt": {"closID": "x", "l3CacheSchema": "L3:0=f"}}, refused="intelRdt|rdt|resctrl"),
    Case("the runtime may be asked for a version with a suffix", "config.md#specification-version",
         {"ociVersion": "1.0.2-dev"}, "echo ran", see="ran"),
    Case("the newest version is taken", "config.md#specification-version", {"ociVersion": "1.2.0"},
         "echo ran",
         see="ran"),
    Case("a version that is none is refused", "config.md#specification-version", {"ociVersion": "new"},
         "true",
         refused="version"),
    Case("a version of another major number is refused", "config.md#specification-version",
         {"ociVersion": "2.0.0"},
         "true", refused="version"),
    Case("unknown properties are ignored", "config.md#extensibility",
         {"surprise": {"a": 1}, "process": {"surprise": [1]}, "linux": {"surprise": "x"}}, "echo ran",
         see="ran"),
    Case("annotations are in the state", "config.md#annotations",
         {"annotations": {"com.example.key": "value", "empty": ""}}, "exec sleep 100",
         steps=(CREATE, does("state", "@ID@",
                             json={"annotations": {"com.example.key": "value", "empty": ""}}), *END)),
    Case("annotations of unknown keys change nothing", "config.md#annotations",
         {"annotations": {"x.y.z": "w"}},
         "echo ran", see="ran"),
    Case("annotations that are no text are refused", "config.md#annotations", {"annotations": {"key": 5}},
         "true",
         refused="annotation|string|unmarshal|value"),
]  # fmt: skip


def _features(name: str, wanted: dict[str, Any]) -> Case:
    return Case(name, "features.md", {}, "true", steps=(does("features", json=wanted),), layouts=ALL_LAYOUTS)


_FEATURES = [
    _features("features tells the versions", {"ociVersionMin": "1.0.0"}),
    _features("features tells all hooks",
              {"hooks": ["prestart", "createRuntime", "createContainer", "startContainer",
                                                     "poststart", "poststop"]}),
    _features("features tells mount options",
              {"mountOptions": ["bind", "rbind", "ro", "rro", "nosuid", "noexec",
                                                                "tmpcopyup", "rshared", "runbindable",
                                                                "sync"]}),
    _features("features tells namespaces",
              {"linux": {"namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user",
                                                                     "uts"]}}),
    _features("features tells capabilities",
              {"linux": {"capabilities": ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_BPF"]}}),
    _features("features tells about control groups", {"linux": {"cgroup": {"v1": True, "v2": True}}}),
    _features("features tells about seccomp", {"linux": {"seccomp": {
        "enabled": True, "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_NOTIFY"],
        "operators": ["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"], "archs": ["SCMP_ARCH_X86",
                                                                      "SCMP_ARCH_X86_64"]}}}),
    _features("features tells about seccomp's flags", {"linux": {"seccomp": {
        "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]}}}),
    _features("features tells about labels",
              {"linux": {"apparmor": {"enabled": True}, "selinux": {"enabled": True}}}),
    _features("features tells about id-mapped mounts",
              {"linux": {"mountExtensions": {"idmap": {"enabled": True}}}}),
    _features("features tells about Intel RDT", {"linux": {"intelRdt": {"enabled": False}}}),
]  # fmt: skip

CASES = [*_PARAMETERS, *_RARE, *_FEATURES]
