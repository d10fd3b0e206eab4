"""A runtime without root: ids mapped by the user or by newuidmap(1), control groups where there are some."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import DEV, PROC, mount, namespaces
from tests.conformance.runtime.case import (
    CREATE,
    END,
    FORCE,
    KILL,
    ONE,
    START,
    STOPPED,
    TWO,
    Step,
    does,
    shell,
)
from tests.conformance.runtime.harness import merge
from tests.conformance.runtime.rootless import FIRST, MANY, USER, Rootless, further, mapped, own

_CLAUSE = "runc(8), rootless containers"
_MAP = "config-linux.md#user-namespace-mappings"
_BOTH = (own(), further())


def _user(
    name: str,
    probe: str = "true",
    *,
    maps: tuple[dict[str, int], ...] = (own(),),
    layouts: frozenset[str] = ONE,
    linux: dict[str, Any] | None = None,
    clause: str = _CLAUSE,
    change: dict[str, Any] | None = None,
    **wanted: Any,
) -> Rootless:
    asked = change or {}
    whole = {**asked, "linux": merge(mapped(*maps, **(linux or {}))["linux"], asked.get("linux") or {})}
    return Rootless(name, clause, whole, probe, layouts=layouts, **wanted)


def _life(name: str, *steps: Step, probe: str = "exec sleep 100", **more: Any) -> Rootless:
    return _user(name, probe, steps=steps, **more)


def _limit(**resources: Any) -> dict[str, Any]:
    return {"linux": {"resources": resources}}


def _process(**fields: Any) -> dict[str, Any]:
    return {"process": fields}


_IDS = [
    _user(
        "the user is root inside",
        "id -u; id -g; tr -s ' ' </proc/self/uid_map; cat /proc/self/setgroups",
        see=f"0\n0\n 0 {USER} 1\ndeny",
        clause=_MAP,
    ),
    _user(
        "what a rootless root writes is the user's",
        "touch /made",
        after="stat -c %u:%g rootfs/made",
        see=f"{USER}:{USER}",
        clause=_MAP,
    ),
    _user(
        "a container's root must be mapped",
        maps=(own(7),),
        change=_process(user={"uid": 7, "gid": 7}),
        refused="no user mapping|must map id 0",
        clause=_MAP,
    ),
    _user(
        "ranges of subordinate ids are mapped",
        "tr -s ' ' </proc/self/uid_map; cat /proc/self/setgroups",
        maps=_BOTH,
        see=f" 0 {USER} 1\n 1 {FIRST} {MANY}\nallow",
        clause=_MAP,
    ),
    _user(
        "a user out of a range of subordinate ids",
        "id -u; id -g; touch /tmp/made",
        maps=_BOTH,
        before="chmod 1777 rootfs/tmp",
        change=_process(user={"uid": 5, "gid": 6}),
        after="stat -c %u:%g rootfs/tmp/made",
        see=f"5\n6\n{FIRST + 4}:{FIRST + 5}",
        clause=_MAP,
    ),
    _user(
        "subordinate ids alone are mapped",
        "id -u; tr -s ' ' </proc/self/uid_map",
        maps=(further(0),),
        see=f"0\n 0 {FIRST} {MANY}",
        clause=_MAP,
    ),
    _user(
        "ids that nobody granted are refused",
        maps=(own(), further(host=FIRST + MANY)),
        refused="[ug]id ?map",
        clause=_MAP,
    ),
    _user(
        "another user's id is refused",
        maps=(further(0, USER + 1, 1),),
        clause=_MAP,
        refused="[ug]id ?map|not permitted",
    ),
    _user(
        "the host's root is refused",
        maps=(further(0, 0, 1),),
        clause=_MAP,
        refused="host's root|[ug]id ?map|not permitted",
    ),
    _user(
        "ranges without newuidmap are refused",
        maps=_BOTH,
        who="poor",
        clause=_MAP,
        refused="newuidmap|mapping tool",
    ),
    _user(
        "an additional group is refused where groups cannot be set",
        change=_process(user={"uid": 0, "gid": 0, "additionalGids": [5]}),
        refused="cannot set any additional groups in a rootless container",
    ),
    _user(
        "an additional group out of a range",
        "id -G",
        maps=_BOTH,
        change=_process(user={"uid": 0, "gid": 0, "additionalGids": [5]}),
        see="0 5",
    ),
    _user(
        "a user that is not mapped is refused",
        change=_process(user={"uid": 5, "gid": 0}),
        refused="cannot set uid to unmapped user in user namespace|cannot setresuid",
    ),
    _user(
        "a group that is not mapped is refused",
        change=_process(user={"uid": 0, "gid": 5}),
        refused="cannot set gid to unmapped user in user namespace|cannot setresgid",
    ),
    _user(
        "a rootless container without a user namespace is refused",
        change={"hostname": None, "linux": {"namespaces": namespaces("pid", "mount")}},
        refused="rootless container requires user namespaces",
    ),
    _user(
        "a rootless container without mappings is refused",
        change={"linux": {"uidMappings": None, "gidMappings": None}},
        refused="mappings",
    ),
    _user(
        "user namespaces that are switched off are named",
        who="switched",
        refused="user namespace.* switched off|no space left",
    ),
]

_PLACES = [
    _user(
        "devices of a rootless container",
        "stat -c %t:%T /dev/null /dev/zero /dev/urandom; echo gone >/dev/null; mknod /tmp/x c 1 3 || echo no",
        see="1:3\n1:5\n1:9\nno",
    ),
    _user(
        "a rootless terminal file system", "stat -c %t:%T /dev/pts/ptmx; ls -d /dev/pts", see="5:2\n/dev/pts"
    ),
    _user(
        "the host's /sys where the network is the host's",
        "ls -d /sys/class/net; touch /sys/x || echo ro",
        change={
            "linux": {"namespaces": namespaces("pid", "mount", "uts", "ipc", "user")},
            "mounts": [PROC, DEV, mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")],
        },
        see="/sys/class/net\nro",
    ),
    _user(
        "a sysfs of its own beside a network of its own",
        "ls /sys/class/net; touch /sys/x || echo ro",
        see="lo\nro",
    ),
    _user("a network of its own is up", "ip addr show lo | grep -c 'UP'; ip link | grep -c mtu", see="1\n1"),
    _user(
        "a bind of the user's own directory",
        "cat /mnt/file; touch /mnt/made",
        before=f"mkdir d; echo here >d/file; chown {USER} d",
        change={"+mounts": [mount("/mnt", "bind", "d", "bind")]},
        after="stat -c %u d/made",
        see=f"here\n{USER}",
    ),
    _user(
        "a read-only bind of the host's",
        "ls -d /mnt/passwd; touch /mnt/x || echo ro",
        change={"+mounts": [mount("/mnt", "bind", "/etc", "rbind", "ro")]},
        see="/mnt/passwd\nro",
    ),
    _user(
        "an overlay of the user's own",
        "cat /mnt/low; rm /mnt/low; echo new >/mnt/high; ls /mnt",
        before=f"mkdir low up work; echo below >low/low; chown {USER} low up work low/low",
        change={
            "+mounts": [
                mount(
                    "/mnt",
                    "overlay",
                    "overlay",
                    "lowerdir=@BUNDLE@/low",
                    "upperdir=@BUNDLE@/up",
                    "workdir=@BUNDLE@/work",
                    "userxattr",
                )
            ]
        },
        after="ls up",
        see="below\nhigh\nhigh\nlow",
    ),
    _user(
        "the owner of a mount must be mapped",
        change={"+mounts": [mount("/mnt", "tmpfs", "tmpfs", "uid=5")]},
        refused="unmapped uid in rootless containers|Invalid argument",
    ),
    _user(
        "the group of a mount must be mapped",
        change={"+mounts": [mount("/mnt", "devpts", "devpts", "newinstance", "gid=5")]},
        refused="unmapped gid in rootless containers|Invalid argument",
    ),
    _user(
        "a mount with a mapped owner",
        "stat -c %u:%g /mnt",
        maps=_BOTH,
        change={"+mounts": [mount("/mnt", "tmpfs", "tmpfs", "uid=5", "gid=6")]},
        see="5:6",
    ),
    _user(
        "an id-mapped mount is refused without root",
        change={
            "+mounts": [
                {
                    **mount("/mnt", "bind", "/tmp", "bind", "idmap"),
                    "uidMappings": [own()],
                    "gidMappings": [own()],
                }
            ]
        },
        refused="id-?map|uid_map|mount_setattr|mappings|not permitted|ns/user",
    ),
    _user(
        "masked and read-only paths of a rootless container",
        "wc -c </proc/timer_list; touch /proc/sys/x || echo ro",
        change={"linux": {"maskedPaths": ["/proc/timer_list"], "readonlyPaths": ["/proc/sys"]}},
        see="0\nro",
    ),
    _user(
        "a rootless root may be read-only",
        "touch /x || echo ro",
        change={"root": {"readonly": True}},
        see="ro",
    ),
    _user("a rootless container without pivot_root", "ls -d /bin", options=("--no-pivot",), see="/bin"),
    _user(
        "a parameter of the rootless container's own network",
        "cat /proc/sys/net/ipv4/ip_forward",
        linux={"sysctl": {"net.ipv4.ip_forward": "1"}},
        see="1",
    ),
    _user(
        "a network device cannot move without root",
        linux={"netDevices": {"lo": {}}},
        refused="network devices cannot be moved",
    ),
]

_GROUPS = [
    _user("no control group is needed", "echo ran", see="ran"),
    _user(
        "rules for devices are none of a rootless container's",
        "echo ran",
        change=_limit(devices=[{"allow": False, "access": "rwm"}]),
        see="ran",
    ),
    _user(
        "memory that cannot be limited is refused",
        change=_limit(memory={"limit": 1 << 26}),
        refused="cannot set memory limit: container could not join or create cgroup",
    ),
    _user(
        "processes that cannot be counted are refused",
        change=_limit(pids={"limit": 50}),
        refused="cannot set pids limit: container could not join or create cgroup",
    ),
    _user(
        "a cgroupsPath must be usable",
        change={"linux": {"cgroupsPath": "/nobodys/own"}},
        refused="permission denied|operation not permitted",
    ),
    _user(
        "a cgroupsPath that is the user's own",
        "cat /proc/self/cgroup | grep -c boxer",
        change={"linux": {"cgroupsPath": "/wharfie-boxer/@ID@", "resources": {"pids": {"limit": 77}}}},
        before="for d in $(ls -d /sys/fs/cgroup/*/); do [ -e $d/cgroup.procs ] && mkdir $d/wharfie-boxer &&"
        f" chown {USER} $d/wharfie-boxer $d/wharfie-boxer/*; done; cd /sys/fs/cgroup/cpuset/wharfie-boxer"
        " && cat ../cpuset.cpus >cpuset.cpus && cat ../cpuset.mems >cpuset.mems",
        always="for d in $(ls -d /sys/fs/cgroup/*/wharfie-boxer); do rmdir $d; done 2>/dev/null; true",
        like="^[1-9]",
    ),
    _user(
        "the caller's control groups are shown",
        "ls /sys/fs/cgroup | grep -c pids",
        change={"+mounts": [mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")]},
        see="1",
    ),
    _user(
        "a score for the OOM killer that is higher",
        "cat /proc/self/oom_score_adj",
        change=_process(oomScoreAdj=300),
        see="300",
    ),
    _user(
        "a score for the OOM killer that is lower is refused",
        change=_process(oomScoreAdj=-500),
        refused="oom_score_adj.*denied",
    ),
    _user(
        "a limit beyond the user's own is refused",
        change=_process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 1 << 20, "hard": 1 << 20}]),
        before="ulimit -Hn 4096 2>/dev/null; true",
        refused="rlimit.*operation not permitted",
    ),
]

_LIVES = [
    _life(
        "a rootless life",
        CREATE,
        does("state", "@ID@", json={"status": "created"}),
        START,
        does("state", "@ID@", json={"status": "running"}),
        *END,
    ),
    _life(
        "a rootless exec",
        CREATE,
        START,
        does("exec", "@ID@", "id", "-u", see="0"),
        does("exec", "--env", "A=b", "--cwd", "/bin", "@ID@", "sh", "-c", "pwd; echo $A", see="/bin\nb"),
        *END,
    ),
    _life("a rootless exec in what is created only", CREATE, does("exec", "@ID@", "id", "-u", see="0"), *END),
    _life(
        "a rootless exec as another user",
        CREATE,
        START,
        does("exec", "--user", "5:6", "@ID@", "id", "-u", see="5"),
        *END,
        maps=_BOTH,
    ),
    _life(
        "a rootless exec as a user that is not mapped",
        CREATE,
        START,
        does(
            "exec",
            "--user",
            "5",
            "@ID@",
            "id",
            code=255,
            fails="cannot set uid to unmapped user in user namespace|cannot setresuid",
        ),
        *END,
    ),
    _life(
        "a rootless exec's group",
        CREATE,
        START,
        does(
            "exec",
            "--additional-gids",
            "5",
            "@ID@",
            "id",
            code=255,
            fails="cannot set any additional groups in a rootless container",
        ),
        *END,
    ),
    _life("a rootless exec's code", CREATE, START, does("exec", "@ID@", "sh", "-c", "exit 7", code=7), *END),
    _life(
        "a rootless list",
        CREATE,
        does("list", "--quiet", like="^c[0-9a-f]{12}$"),
        does("list", like="boxer|#43210"),
        *END,
    ),
    _life(
        "a rootless ps",
        CREATE,
        START,
        does("ps", "@ID@", like="sleep 100"),
        does("ps", "--format", "json", "@ID@", like=r"^\[[0-9]+\]$"),
        *END,
    ),
    _life(
        "a rootless signal",
        CREATE,
        START,
        does("kill", "@ID@", "USR1"),
        STOPPED,
        does("delete", "@ID@"),
        probe="trap 'exit 0' USR1; while :; do usleep 10000; done",
    ),
    _life("a rootless delete by force", CREATE, START, FORCE),
    _life(
        "a rootless delete of what runs is refused",
        CREATE,
        START,
        does("delete", "@ID@", fails="not stopped|not in"),
        *END,
    ),
    _life(
        "a rootless pause needs a control group",
        CREATE,
        START,
        does("pause", "@ID@", fails="cannot toggle freezer|without a cgroup"),
        *END,
    ),
    _life(
        "a rootless update needs a control group",
        CREATE,
        START,
        does(
            "update",
            "--memory",
            "67108864",
            "@ID@",
            fails="cannot set memory limit: container could not join or create cgroup|cgroup",
        ),
        *END,
    ),
    _life(
        "rootless events are empty without control groups",
        CREATE,
        START,
        does("events", "--stats", "@ID@", json={"type": "stats", "id": "@ID@"}),
        *END,
    ),
    _life(
        "a rootless kill of all by force",
        CREATE,
        START,
        does("kill", "--all", "@ID@", "KILL"),
        STOPPED,
        does("delete", "@ID@"),
    ),
    _life(
        "a rootless hook runs as the user",
        CREATE,
        START,
        shell("cat hooked", see=str(USER)),
        *END,
        change={
            "hooks": {
                "createRuntime": [
                    {
                        "path": "/bin/sh",
                        "args": ["sh", "-c", "id -u >@BUNDLE@/hooked"],
                        "env": ["PATH=/bin:/usr/bin"],
                    }
                ]
            }
        },
    ),
    _life(
        "a rootless pid file",
        does("create", "--bundle", "@BUNDLE@", "--pid-file", "@BUNDLE@/pid", "@ID@"),
        shell("stat -c %u /proc/$(cat pid)", like="^[0-9]+$"),
        *END,
    ),
    _life(
        "a rootless configuration of spec's",
        shell(f"mkdir new; chown {USER} new"),
        does("spec", "--rootless", "--bundle", "@BUNDLE@/new"),
        shell(
            "tr -d ' \\t\\n' <new/config.json | grep -o '\"uidMappings\":[^]]*]'",
            see=f'"uidMappings":[{{"containerID":0,"hostID":{USER},"size":1}}]',
        ),
        shell('sed -i \'/"terminal": true/d; s/"sh"/"true"/\' new/config.json; ln -s ../rootfs new/rootfs'),
        shell("cp new/config.json config.json"),
        does("run", "--bundle", "@BUNDLE@", "@ID@"),
    ),
    _life(
        "--rootless=false wants its control groups",
        does(
            "--rootless=false",
            "run",
            "--bundle",
            "@BUNDLE@",
            "@ID@",
            fails="permission denied|operation not permitted",
        ),
        probe="true",
    ),
    _life(
        "--rootless takes nothing else",
        does("--rootless", "maybe", "run", "--bundle", "@BUNDLE@", "@ID@", fails="rootless|invalid syntax"),
        probe="true",
    ),
]

_ROOTS = [
    _user(
        "the root of a user namespace runs a container in it",
        "id -u; tr -s ' ' </proc/self/uid_map",
        who="root",
        change={
            "linux": {
                "namespaces": namespaces("pid", "mount", "network", "uts", "ipc"),
                "uidMappings": None,
                "gidMappings": None,
            }
        },
        see=f"0\n 0 {USER} 1",
    ),
    _user(
        "the root of a user namespace makes another one",
        "id -u; stat -c %t:%T /dev/null",
        who="root",
        maps=({"containerID": 0, "hostID": 0, "size": 1},),
        see="0\n1:3",
    ),
    _life(
        "a life below the root of a user namespace",
        CREATE,
        START,
        KILL,
        STOPPED,
        does("delete", "@ID@"),
        who="root",
        maps=({"containerID": 0, "hostID": 0, "size": 1},),
    ),
]

_TWO = [
    _user("no control group of version 2 is needed", "echo ran", see="ran", layouts=TWO),
    _user(
        "rules for devices are none of a rootless container's on version 2",
        "echo ran",
        change=_limit(devices=[{"allow": False, "access": "rwm"}]),
        see="ran",
        layouts=TWO,
    ),
    _user(
        "memory that cannot be limited is refused on version 2",
        change=_limit(memory={"limit": 1 << 26}),
        refused="rootless needs no limits . no cgrouppath when no permission is granted",
        layouts=TWO,
    ),
    _user(
        "a cgroupsPath of version 2 must be usable",
        change={"linux": {"cgroupsPath": "/nobodys/own"}},
        refused="permission denied|operation not permitted",
        layouts=TWO,
    ),
    _user(
        "the caller's control groups of version 2 are shown",
        "ls /sys/fs/cgroup/cgroup.procs; touch /sys/fs/cgroup/cgroup.procs || echo ro",
        change={"+mounts": [mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")]},
        see="/sys/fs/cgroup/cgroup.procs\nro",
        layouts=TWO,
    ),
    _life(
        "a rootless life on version 2",
        CREATE,
        does("exec", "@ID@", "id", "-u", see="0"),
        START,
        does("ps", "--format", "json", "@ID@", like=r"^\[[0-9]+\]$"),
        *END,
        layouts=TWO,
    ),
]

CASES = [*_TWO, *_IDS, *_PLACES, *_GROUPS, *_LIVES, *_ROOTS]
