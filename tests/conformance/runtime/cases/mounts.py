"""config.md, "Root" and "Mounts"; config-linux.md: file systems, propagation, masks."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import CGROUPS, MQUEUE, PROC, mount, namespaces
from tests.conformance.runtime.case import ONE, TWO, Case

_CLAUSE = "config.md#mounts"
_LINUX = "config-linux.md"
_USER = {"uid": 1000, "gid": 1000}


def _mounts(name: str, mounts: list[dict[str, Any]], probe: str, **wanted: Any) -> Case:
    return Case(name, _CLAUSE, {"+mounts": mounts}, probe, **wanted)


def _bind(source: str, destination: str, *options: str) -> dict[str, Any]:
    return mount(destination, "bind", source, *(options or ("rbind",)))


_ROOT = [
    Case("the root is the container's", "config.md#root", {}, "ls /",
         see="bin\ndev\netc\nproc\nroot\nsys\ntmp"),
    Case("a relative root counts from the bundle", "config.md#root", {"root": {"path": "./other/../rootfs"}},
         "ls /bin/sh", before="mkdir other", see="/bin/sh"),
    Case("an absolute root is possible", "config.md#root", {"root": {"path": "@BUNDLE@/rootfs"}},
         "ls /bin/sh",
         see="/bin/sh"),
    Case("a root that is not there is refused", "config.md#root", {"root": {"path": "nowhere"}}, "true",
         refused="no such file|rootfs|root"),
    Case("a root that is a file is refused", "config.md#root", {"root": {"path": "file"}}, "true",
         before="touch file", refused="root|not a directory"),
    Case("no root is refused", "config.md#root", {"root": None}, "true", refused="root"),
    Case("an empty root is refused", "config.md#root", {"root": {"path": ""}}, "true", refused="root"),
    Case("the root is writable", "config.md#root", {}, "echo x >/made && cat /made", after="cat rootfs/made",
         see="x\nx"),
    Case("a read-only root is read-only", "config.md#root", {"root": {"readonly": True}},
         "touch /x 2>&1 | grep -o Read-only", see="Read-only"),
    Case("a mount in a read-only root stays writable", "config.md#root",
         {"root": {"readonly": True}, "+mounts": [mount("/tmp", "tmpfs", "tmpfs")]},
         "touch /tmp/x && ls /tmp",
         see="x"),
    Case("a read-only root may still be prepared with devices and mount points", "config.md#root",
         {"root": {"readonly": True}, "+mounts": [mount("/new/place", "tmpfs", "tmpfs")]},
         "touch /new/place/x && ls /new/place", see="x"),
    Case("the root of the host is out of reach", "config.md#root", {},
         "ls -d /../../..@BUNDLE@ 2>/dev/null || echo none",
         see="none"),
    Case("the root may be a link to the real one", "config.md#root", {"root": {"path": "link"}}, "ls /bin/sh",
         before="ln -s rootfs link", see="/bin/sh"),
]  # fmt: skip

_ORDER = [
    _mounts("mounts happen in their order", [mount("/a", "tmpfs", "tmpfs"), mount("/a/b", "tmpfs", "tmpfs")],
            "awk '$5 ~ \"^/a\" {print $5}' /proc/self/mountinfo", see="/a\n/a/b"),
    _mounts("a later mount covers an earlier one", [_bind("@BUNDLE@/one", "/data"),
                                                    _bind("@BUNDLE@/two", "/data")],
            "ls /data", before="mkdir one two; touch one/first two/second", see="second"),
    _mounts("the place of a mount is made", [mount("/deep/down/below", "tmpfs", "tmpfs")],
            "stat -c %F /deep/down/below", see="directory"),
    _mounts("the place of a file is made as a file", [_bind("@BUNDLE@/file", "/deep/down/file")],
            "cat /deep/down/file; stat -c %F /deep/down/file", before="echo text >file",
            see="text\nregular file"),
    _mounts("a directory is bound", [_bind("@BUNDLE@/data", "/data")], "cat /data/f",
            before="mkdir data; echo x >data/f",
            see="x"),
    _mounts("what is written to a bind mount is written to its source", [_bind("@BUNDLE@/data", "/data")],
            "echo y >/data/g", before="mkdir data", after="cat data/g", see="y"),
    _mounts("a relative source counts from the bundle", [_bind("data", "/data")], "cat /data/f",
            before="mkdir data; echo x >data/f", see="x"),
    _mounts("bind takes the top of a tree only", [_bind("@BUNDLE@/data", "/data", "bind")], "ls /data/below",
            before="mkdir -p data/below; mount -t tmpfs t data/below; touch data/below/inner",
            always="umount data/below", see=""),
    _mounts("rbind takes the whole tree", [_bind("@BUNDLE@/data", "/data", "rbind")], "ls /data/below",
            before="mkdir -p data/below; mount -t tmpfs t data/below; touch data/below/inner",
            always="umount data/below", see="inner"),
    _mounts("the type of a bind mount is the option", [mount("/data", "none", "@BUNDLE@/data", "bind")],
            "cat /data/f",
            before="mkdir data; echo x >data/f", see="x"),
    _mounts("a source that is a link is followed", [_bind("@BUNDLE@/link", "/data")], "cat /data/f",
            before="mkdir data; echo x >data/f; ln -s data link", see="x"),
    _mounts("a place that is a link is followed inside", [_bind("@BUNDLE@/data", "/link")],
            "cat /tmp/place/f",
            before="mkdir data rootfs/tmp/place; echo x >data/f; ln -s /tmp/place rootfs/link", see="x"),
    _mounts("a place that is a link out of the root stays inside", [_bind("@BUNDLE@/data", "/link/x")],
            "cat /tmp/x/f", before="mkdir data; echo x >data/f; ln -s ../../../tmp rootfs/link",
            after="[ ! -e /tmp/x ]", see="x"),
    _mounts("a source that is not there is refused", [_bind("@BUNDLE@/nowhere", "/data")], "true",
            refused="nowhere.*no such file|no such file"),
    _mounts("a directory on a file is refused", [_bind("@BUNDLE@/data", "/file")], "true",
            before="mkdir data; touch rootfs/file", refused="/file|not a directory"),
    _mounts("a file on a directory is refused", [_bind("@BUNDLE@/file", "/tmp")], "true", before="touch file",
            refused="/tmp|not a directory|is a directory"),
    _mounts("an unknown file system is refused", [mount("/data", "nofs", "none")], "true",
            refused="/data|no such device|unknown"),
    _mounts("a mount without a destination is refused", [{"type": "tmpfs", "source": "tmpfs"}], "true",
            refused="destination|mount"),
    _mounts("ramfs is mounted", [mount("/data", "ramfs", "ramfs")],
            "awk '$2 == \"/data\" {print $3}' /proc/mounts",
            see="ramfs"),
    _mounts("a message queue is mounted", [MQUEUE], "awk '$2 == \"/dev/mqueue\" {print $3}' /proc/mounts",
            see="mqueue"),
    _mounts("hugetlbfs is mounted", [mount("/dev/hugepages", "hugetlbfs", "hugetlbfs")],
            "awk '$2 == \"/dev/hugepages\" {print $3}' /proc/mounts", see="hugetlbfs"),
    _mounts("an overlay is mounted", [mount("/data", "overlay", "overlay",
                                            "lowerdir=@BUNDLE@/low,upperdir=@BUNDLE@/up,workdir=@BUNDLE@/work")],
            "ls /data; touch /data/mine", before="mkdir low up work; touch low/theirs", after="ls up",
            see="theirs\nmine"),
    _mounts("an overlay's options may stand alone",
            [mount("/data", "overlay", "overlay", "lowerdir=@BUNDLE@/low", "upperdir=@BUNDLE@/up",
                   "workdir=@BUNDLE@/work")], "ls /data", before="mkdir low up work; touch low/theirs",
            see="theirs"),
    _mounts("the source of a tmpfs is its name", [mount("/data", "tmpfs", "mine")],
            "awk '$2 == \"/data\" {print $1}' /proc/mounts", see="mine"),
    _mounts("a device of the host is bound", [_bind("/dev/zero", "/dev/mine", "bind")],
            "head -c 3 /dev/mine | od -An -tx1 | tr -d ' '", see="000000"),
    _mounts("a name with blanks is possible", [_bind("@BUNDLE@/with blank", "/a place")], "ls '/a place'",
            before="mkdir 'with blank'; touch 'with blank/f'", see="f"),
    _mounts("a socket is bound", [_bind("@BUNDLE@/s", "/run.sock", "bind")], "stat -c %F /run.sock",
            before="python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'", see="socket"),
    _mounts("a named pipe is bound", [_bind("@BUNDLE@/p", "/pipe", "bind")], "stat -c %F /pipe",
            before="mkfifo p",
            see="fifo"),
    Case("no mount of the container is seen by the host", _CLAUSE,
         {"+mounts": [mount("/data", "tmpfs", "tmpfs")]},
         "true", after="grep -c @BUNDLE@ /proc/self/mountinfo || true", see="0"),
    Case("no mount of the host is seen by the container", _CLAUSE, {},
         "grep -v -E ' /(proc|dev|sys|)[ /]' /proc/mounts || echo none", see="none"),
]  # fmt: skip

_GROUPS = {
    "+mounts": [CGROUPS],
    "linux": {"namespaces": namespaces("pid", "mount", "network", "uts", "ipc", "cgroup")},
}

_SYSTEMS = [
    Case("/proc is a procfs", f"{_LINUX}#default-filesystems", {},
         "awk '$2 == \"/proc\" {print $3}' /proc/mounts",
         see="proc"),
    Case("/sys is a sysfs", f"{_LINUX}#default-filesystems", {},
         "awk '$2 == \"/sys\" {print $3}' /proc/mounts",
         see="sysfs"),
    Case("/sys has the devices of the container's network", f"{_LINUX}#default-filesystems", {},
         "ls /sys/class/net",
         see="lo"),
    Case("/dev/pts is the container's own", f"{_LINUX}#default-filesystems", {}, "ls /dev/pts", see="ptmx"),
    Case("/dev/shm is a tmpfs", f"{_LINUX}#default-filesystems", {},
         "awk '$2 == \"/dev/shm\" {print $3}' /proc/mounts",
         see="tmpfs"),
    Case("anybody may write to /dev/shm", f"{_LINUX}#default-filesystems", {"process": {"user": _USER}},
         "touch /dev/shm/x && ls /dev/shm", see="x"),
    Case("/proc shows the container's processes only", f"{_LINUX}#default-filesystems", {},
         "ls /proc | grep -c '^1$'",
         see="1"),
    Case("/dev may be read-only and has its devices nevertheless", f"{_LINUX}#default-devices",
         {"mounts": [PROC, mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "ro")]},
         "touch /dev/x 2>/dev/null || echo refused; ls /dev/null", see="refused\n/dev/null"),
    Case("no mount at all but those that are given", _CLAUSE, {"mounts": [PROC]}, "wc -l </proc/mounts",
         see="2"),
    Case("control groups of version 1 are mounted, each controller", _CLAUSE, {"+mounts": [CGROUPS]},
         "ls -d /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup/cpu", layouts=ONE,
         see="/sys/fs/cgroup/cpu\n/sys/fs/cgroup/memory\n/sys/fs/cgroup/pids"),
    Case("control groups that are mounted are the container's own", _CLAUSE, {"+mounts": [CGROUPS]},
         "cat /sys/fs/cgroup/pids/cgroup.procs | head -1", layouts=ONE, see="1"),
    Case("control groups are read-only where so mounted", _CLAUSE, {"+mounts": [CGROUPS]},
         "mkdir /sys/fs/cgroup/pids/x 2>&1 | grep -o Read-only", layouts=ONE, see="Read-only"),
    Case("control groups are writable where so mounted", _CLAUSE,
         {"+mounts": [mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid")],
          "linux": {"namespaces": namespaces("pid", "mount", "network", "uts", "ipc", "cgroup")}},
         "mkdir /sys/fs/cgroup/pids/x && rmdir /sys/fs/cgroup/pids/x && echo done", layouts=ONE, see="done"),
    Case("control groups of version 2 are mounted", _CLAUSE, _GROUPS,
         "stat -f -c %T /sys/fs/cgroup 2>/dev/null; ls /sys/fs/cgroup/cgroup.procs", layouts=TWO,
         like="/sys/fs/cgroup/cgroup.procs"),
    Case("control groups of version 2 are the container's own", _CLAUSE, _GROUPS,
         "head -1 /sys/fs/cgroup/cgroup.procs; ls /sys/fs/cgroup/memory.max", layouts=TWO,
         see="1\n/sys/fs/cgroup/memory.max"),
    Case("control groups of version 2 are read-only where so mounted", _CLAUSE, _GROUPS,
         "mkdir /sys/fs/cgroup/x 2>&1 | grep -o Read-only", layouts=TWO, see="Read-only"),
]  # fmt: skip


def _propagation(name: str, value: str, optional: str) -> Case:
    return Case(name, f"{_LINUX}#rootfs-mount-propagation", {"linux": {"rootfsPropagation": value}},
                "awk '$5 == \"/\" {print $7}' /proc/self/mountinfo", like=optional)  # fmt: skip


def _mount_propagation(option: str, like: str) -> Case:
    return Case(f"a bind mount that is {option}", _CLAUSE,
                {"+mounts": [_bind("@BUNDLE@/data", "/data", "rbind", option)]},
                "awk '$5 == \"/data\" {print $7}' /proc/self/mountinfo", like=like,
                before="mkdir data; mount --bind data data; mount --make-shared data",
                always="umount data")  # fmt: skip


_PROPAGATION = [
    _propagation("a private root", "private", "^-$"),
    _propagation("a root that is private with all below", "rprivate", "^-$"),
    _propagation("a root that is a slave of the host's", "slave", "^(-|master:.*)$"),
    _propagation("a root that is a slave with all below", "rslave", "^(-|master:.*)$"),
    _propagation("a shared root", "shared", "^shared:"),
    _propagation("a root that is shared with all below", "rshared", "^shared:"),
    _propagation("an unbindable root", "unbindable", "^unbindable$"),
    Case("an unknown propagation is refused", f"{_LINUX}#rootfs-mount-propagation",
         {"linux": {"rootfsPropagation": "nearby"}}, "true", refused="propagation"),
    _mount_propagation("private", "^-$"),
    _mount_propagation("rprivate", "^-$"),
    _mount_propagation("slave", "^master:"),
    _mount_propagation("rslave", "^master:"),
    _mount_propagation("shared", "^shared:"),
    _mount_propagation("rshared", "^shared:"),
    _mount_propagation("unbindable", "^unbindable$"),
    _mount_propagation("runbindable", "^unbindable$"),
]  # fmt: skip


def _masked(name: str, paths: list[str], probe: str, **wanted: Any) -> Case:
    return Case(name, f"{_LINUX}#masked-paths", {"linux": {"maskedPaths": paths}}, probe, **wanted)


def _readonly(name: str, paths: list[str], probe: str, **wanted: Any) -> Case:
    return Case(name, f"{_LINUX}#readonly-paths", {"linux": {"readonlyPaths": paths}}, probe, **wanted)


_HIDDEN = [
    _masked("a masked file is empty", ["/etc/secret"], "cat /etc/secret; echo end",
            before="echo s >rootfs/etc/secret",
            see="end"),
    _masked("a masked file of /proc is empty", ["/proc/kcore"], "cat /proc/kcore | wc -c", see="0"),
    _masked("a masked directory is empty", ["/tmp"], "ls /tmp; echo end", before="touch rootfs/tmp/f",
            see="end"),
    _masked("a masked directory cannot be written", ["/tmp"], "touch /tmp/x 2>&1 | grep -o Read-only",
            see="Read-only"),
    _masked("a masked path that is not there is no error", ["/no/such"], "echo fine", see="fine"),
    _masked("several paths are masked", ["/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l", see="0\n0"),
    Case("a masked path in a mount is masked", f"{_LINUX}#masked-paths",
         {"linux": {"maskedPaths": ["/data/f"]}, "+mounts": [_bind("@BUNDLE@/data", "/data")]},
         "cat /data/f; echo end", before="mkdir data; echo s >data/f", after="cat data/f", see="end\ns"),
    _readonly("a read-only path cannot be written", ["/etc"], "touch /etc/x 2>&1 | grep -o Read-only",
              see="Read-only"),
    _readonly("a read-only path of /proc cannot be written", ["/proc/sys"],
              "echo 1 2>&1 >/proc/sys/net/ipv4/ip_forward | grep -o Read-only || "
              "sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' 2>&1 | grep -o Read-only", see="Read-only"),
    _readonly("the rest of a read-only path's neighbours stay writable", ["/etc"], "touch /tmp/x && ls /tmp",
              see="x"),
    _readonly("a read-only path that is not there is no error", ["/no/such"], "echo fine", see="fine"),
    _readonly("a read-only file cannot be written", ["/etc/f"],
              "sh -c 'echo x >/etc/f' 2>&1 | grep -o Read-only",
              before="touch rootfs/etc/f", see="Read-only"),
    _readonly("a read-only path keeps its content", ["/etc"], "cat /etc/f", before="echo text >rootfs/etc/f",
              see="text"),
]  # fmt: skip

_FULL_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
_OTHER = [{"containerID": 0, "hostID": 5000, "size": 1000}]


def _idmapped(name: str, extra: dict[str, Any], probe: str, *, change: dict[str, Any] | None = None,
              **wanted: Any) -> Case:  # fmt: skip
    entry = {**_bind("@BUNDLE@/data", "/data"), **extra}
    before = wanted.pop("before", "mkdir data; touch data/f; chown 3:4 data/f")
    return Case(name, "config.md#posix-platform-mounts", {"+mounts": [entry], **(change or {})}, probe,
                before=before, **wanted)  # fmt: skip


_OWNED_BELOW = "mkdir -p data/below; mount -t tmpfs t data/below; touch data/below/g; chown 3:4 data/below/g"

_MAPPED = [
    _idmapped("a mount with mappings of its own shows other owners",
              {"uidMappings": _OTHER, "gidMappings": _OTHER}, "stat -c %u:%g /data/f", see="5003:5004"),
    _idmapped("idmap with mappings of its own", {"uidMappings": _OTHER, "gidMappings": _OTHER,
                                                 "options": ["bind", "idmap"]}, "stat -c %u:%g /data/f",
              see="5003:5004"),
    _idmapped("ridmap maps the tree below as well",
              {"uidMappings": _OTHER, "gidMappings": _OTHER, "options": ["rbind", "ridmap"]},
              "stat -c %u:%g /data/below/g",
              before=_OWNED_BELOW,
              always="umount data/below", see="5003:5004"),
    _idmapped("idmap leaves the tree below alone",
              {"uidMappings": _OTHER, "gidMappings": _OTHER, "options": ["rbind", "idmap"]},
              "stat -c %u:%g /data/below/g",
              before=_OWNED_BELOW,
              always="umount data/below", see="3:4"),
    _idmapped("mappings of one kind only are refused", {"uidMappings": _OTHER}, "true", refused="mapping"),
    _idmapped("a file system that is mapped has to be bound",
              {"type": "tmpfs", "options": [], "uidMappings": _OTHER,
                                                               "gidMappings": _OTHER}, "true",
              refused="map|bind"),
    _idmapped("what is written through a mapped mount has the owner on the disk",
              {"uidMappings": _OTHER, "gidMappings": _OTHER}, "touch /data/mine; stat -c %u /data/mine",
              change={"process": {"user": {"uid": 5007, "gid": 5007}}},
              before="mkdir -m 777 data", after="stat -c %u data/mine", see="5007\n7"),
    _idmapped("idmap without mappings takes the container's", {"options": ["rbind", "idmap"]},
              "stat -c %u:%g /data/f",
              change={"linux": {"namespaces": namespaces("pid", "mount", "network", "uts", "ipc", "user"),
                                "uidMappings": _FULL_MAP, "gidMappings": _FULL_MAP}},
              before="mkdir data; touch data/f; chown 3:4 data/f; chmod 755 .; chown -R 100000:100000 rootfs",
              see="3:4"),
]  # fmt: skip

CASES = [*_ROOT, *_ORDER, *_SYSTEMS, *_PROPAGATION, *_HIDDEN, *_MAPPED]
