"""config-linux.md: namespaces, new, inherited and by path; id mappings; offsets of clocks."""

from __future__ import annotations

from typing import Any

from tests.conformance.runtime.base import namespaces
from tests.conformance.runtime.case import Case

_CLAUSE = "config-linux.md#namespaces"
_FILES = {"pid": "pid", "mount": "mnt", "network": "net", "uts": "uts", "ipc": "ipc", "cgroup": "cgroup",
          "time": "time", "user": "user"}  # fmt: skip
_ALWAYS = ("pid", "mount", "network", "uts", "ipc")
_SAME = '[ "$(cat rootfs/out)" = "$(cat wanted)" ] && echo same || echo other'
# a process of the host that holds a namespace for as long as a case may take
_HOLD = (
    "unshare {flag} sleep 30 >/dev/null 2>&1 & holder=$!; echo $holder >holder;"
    ' until [ "$(readlink /proc/$holder/ns/{file})" != "$(readlink /proc/self/ns/{file})" ];'
    " do sleep 0.01; done;"
    " ln -s /proc/$holder/ns/{file} space; readlink /proc/$holder/ns/{file} >wanted"
)
# "unshare --fork" holds the new namespace by its child
_HOLD_BY_CHILD = (
    "unshare {flag} --fork sleep 30 >/dev/null 2>&1 & holder=$!;"
    ' until child=$(cat /proc/$holder/task/$holder/children) && [ -n "$child" ]; do sleep 0.01; done;'
    " child=${{child% }}; echo $child >holder;"
    " ln -s /proc/$child/ns/{file} space; readlink /proc/$child/ns/{file} >wanted"
)
_RELEASE = "kill $(cat holder)"
_PLAIN = {"hostname": None}
_MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
_OWNED = "chmod 755 . ; chown -R 100000:100000 rootfs"


def _kinds(*kinds: str) -> dict[str, Any]:
    return {"hostname": None, "linux": {"namespaces": namespaces(*kinds)}}


def _new(kind: str) -> Case:
    file = _FILES[kind]
    return Case(f"a new {kind} namespace is not the runtime's", _CLAUSE,
                _kinds(*dict.fromkeys((*_ALWAYS, kind))),
                f"readlink /proc/self/ns/{file} >/out", before=f"readlink /proc/self/ns/{file} >wanted",
                after=_SAME, see="other")  # fmt: skip


def _inherited(kind: str) -> Case:
    file = _FILES[kind]
    kinds = [other for other in _ALWAYS if other != kind]
    change = _kinds(*kinds)
    if kind == "network":
        # sysfs belongs to the network's user namespace: what is bound of the host's is no matter of this case
        change["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    return Case(f"a {kind} namespace that is not named is the runtime's", _CLAUSE, change,
                f"readlink /proc/self/ns/{file} >/out", before=f"readlink /proc/self/ns/{file} >wanted",
                after=_SAME, see="same")  # fmt: skip


def _joined(kind: str, flag: str, *, by_child: bool = False) -> Case:
    file = _FILES[kind]
    kinds = [other for other in _ALWAYS if other != kind]
    hold = (_HOLD_BY_CHILD if by_child else _HOLD).format(flag=flag, file=file)
    return Case(f"a {kind} namespace by path is that one", _CLAUSE, _kinds(*kinds, f"{kind}=@BUNDLE@/space"),
                f"readlink /proc/self/ns/{file} >/out", before=hold, after=_SAME, always=_RELEASE,
                see="same")  # fmt: skip


def _user(name: str, probe: str, *, uids: list[dict[str, int]] | None = None,
          change: dict[str, Any] | None = None, **wanted: Any) -> Case:  # fmt: skip
    maps = {"uidMappings": uids or _MAP, "gidMappings": uids or _MAP}
    linux = {"namespaces": namespaces(*_ALWAYS, "user"), **maps}
    wanted.setdefault("before", _OWNED)
    return Case(
        name, "config-linux.md#user-namespace-mappings", {"linux": linux, **(change or {})}, probe, **wanted
    )


def _time(name: str, offsets: dict[str, Any], probe: str, **wanted: Any) -> Case:
    linux = {"namespaces": namespaces(*_ALWAYS, "time"), "timeOffsets": offsets}
    return Case(name, "config-linux.md#offset-for-time-namespace", {"linux": linux}, probe, **wanted)


CASES = [
    *(_new(kind) for kind in ("pid", "mount", "network", "uts", "ipc", "cgroup", "time")),
    *(_inherited(kind) for kind in ("network", "uts", "ipc", "pid")),
    _joined("network", "--net"),
    _joined("uts", "--uts"),
    _joined("ipc", "--ipc"),
    _joined("pid", "--pid", by_child=True),
    _joined("cgroup", "--cgroup"),
    _joined("time", "--time", by_child=True),
    Case("three namespaces by path at once", _CLAUSE,
         _kinds("pid", "mount", "network=@BUNDLE@/net", "uts=@BUNDLE@/uts", "ipc=@BUNDLE@/ipc"),
         "for n in net uts ipc; do readlink /proc/self/ns/$n; done >/out",
         before=_HOLD.format(flag="--net --uts --ipc", file="ipc")
         + "; for n in net uts ipc; do ln -s /proc/$holder/ns/$n $n; readlink /proc/$holder/ns/$n; done"
         " >wanted",
         after=_SAME, always=_RELEASE, see="same"),
    Case("the hostname of a namespace that is joined is seen", _CLAUSE,
         _kinds("pid", "mount", "network", "ipc", "uts=@BUNDLE@/space"), "hostname",
         before="unshare --uts sh -c 'hostname theirs; touch named; exec sleep 30' >/dev/null 2>&1 &"
                " holder=$!;"
                " echo $holder >holder; until [ -e named ]; do sleep 0.01; done;"
                " ln -s /proc/$holder/ns/uts space",
         always=_RELEASE, see="theirs"),
    Case("a path that is no namespace is refused", _CLAUSE,
         _kinds("pid", "mount", "uts", "ipc", "network=@BUNDLE@/file"), "true", before="touch file",
         refused="namespace|invalid argument|setns"),
    Case("a path that is not there is refused", _CLAUSE,
         _kinds("pid", "mount", "uts", "ipc", "network=@BUNDLE@/nowhere"), "true", refused="no such file"),
    Case("a path to a namespace of another type is refused", _CLAUSE,
         _kinds("pid", "mount", "uts", "ipc", "network=/proc/self/ns/uts"), "true",
         refused="namespace|invalid argument"),
    Case("an unknown namespace is refused", _CLAUSE, _kinds(*_ALWAYS, "galaxy"), "true", refused="namespace"),
    Case("a namespace that is listed twice is refused", _CLAUSE, _kinds(*_ALWAYS, "uts"), "true",
         refused="duplicate|twice"),
    Case("a namespace without a type is refused", _CLAUSE,
         {"hostname": None, "linux": {"+namespaces": [{"path": "/proc/self/ns/uts"}]}}, "true",
         refused="namespace"),
    Case("a new network has a loopback only", _CLAUSE, {}, "ls /sys/class/net", see="lo"),
    Case("the loopback of a new network is up", _CLAUSE, {}, "ip -o addr show lo | grep -c 127.0.0.1",
         see="1"),
    Case("a new cgroup namespace has the container's group as its root", _CLAUSE,
         {"linux": {"namespaces": namespaces(*_ALWAYS, "cgroup")}},
         "grep -E ':(pids|):' /proc/self/cgroup | cut -d: -f3"
         " | tail -1", see="/"),
    Case("shared memory of the host is not that of a new ipc namespace", _CLAUSE, {},
         "wc -l </proc/sysvipc/shm", see="1"),
    _user("root inside is another outside", "id -u; cat /proc/self/uid_map | tr -s ' '",
          see="0\n 0 100000 65536"),
    _user("gids are mapped as well", "cat /proc/self/gid_map | tr -s ' '", see=" 0 100000 65536"),
    _user("mappings of several ranges", "cat /proc/self/uid_map | tr -s ' '",
          uids=[{"containerID": 0, "hostID": 100000, "size": 10},
                {"containerID": 10, "hostID": 200000, "size": 5},
                {"containerID": 100, "hostID": 300000, "size": 65536}],
          see=" 0 100000 10\n 10 200000 5\n 100 300000 65536"),
    _user("mappings of thirty ranges", "wc -l </proc/self/uid_map",
          uids=[{"containerID": n * 10, "hostID": 100000 + n * 100, "size": 10} for n in range(30)],
          see="30"),
    _user("what it writes belongs to it on the host", "touch /made", after="stat -c %u:%g rootfs/made",
          see="100000:100000"),
    _user("a file of the host's root is nobody's", "stat -c %u /etc/foreign",
          before=f"{_OWNED}; touch rootfs/etc/foreign", see="65534"),
    _user("a user of its own inside", "id -u; touch /tmp/f",
          change={"process": {"user": {"uid": 7, "gid": 8}}},
          before=f"{_OWNED}; chmod 777 rootfs/tmp", after="stat -c %u:%g rootfs/tmp/f",
          see="7\n100007:100008"),
    _user("all capabilities inside are none outside", "mknod /tmp/x c 1 3 2>/dev/null || echo refused",
          see="refused"),
    _user("devices are there nevertheless",
          "echo x >/dev/null && head -c 2 /dev/zero | od -An -tx1 | tr -d ' '",
          see="0000"),
    _user("the hostname is still the container's", "hostname", see="box"),
    _user("control groups are limited as ever",
          "cat /proc/self/cgroup | grep -c @ID@ | sed 's/[1-9].*/some/'",
          see="some"),
    _user("mappings without a user namespace are of no consequence", "cat /proc/self/uid_map | tr -s ' '",
          change={"linux": {"namespaces": namespaces(*_ALWAYS), "uidMappings": _MAP, "gidMappings": _MAP}},
          see=" 0 0 4294967295"),
    Case("a user namespace without mappings is refused", _CLAUSE, _kinds(*_ALWAYS, "user"), "true",
         refused="mapping"),
    Case("a user namespace by path", _CLAUSE,
         {"linux": {"namespaces": namespaces(*_ALWAYS, "user=@BUNDLE@/space")}},
         "cat /proc/self/uid_map | tr -s ' '",
         before="unshare --user sleep 30 >/dev/null 2>&1 & holder=$!; echo $holder >holder;"
                " until [ \"$(readlink /proc/$holder/ns/user)\" != \"$(readlink /proc/self/ns/user)\" ]; do"
                " sleep 0.01; done; echo 0 100000 65536 >/proc/$holder/uid_map;"
                f" echo 0 100000 65536 >/proc/$holder/gid_map; ln -s /proc/$holder/ns/user space; {_OWNED}",
         always=_RELEASE, see=" 0 100000 65536"),
    _time("offsets of both clocks", {"monotonic": {"secs": 86400, "nanosecs": 5},
                                     "boottime": {"secs": 172800}},
          "cat /proc/self/timens_offsets | tr -s ' '", see="monotonic 86400 5\nboottime 172800 0"),
    _time("a later uptime is shown", {"boottime": {"secs": 1000000000}},
          "[ $(cut -d. -f1 /proc/uptime) -gt 999999999 ] && echo later", see="later"),
    _time("an unknown clock is refused", {"sidereal": {"secs": 1}}, "true", refused="sidereal|clock|offset"),
    Case("offsets without a time namespace are refused", "config-linux.md#offset-for-time-namespace",
         {"linux": {"timeOffsets": {"boottime": {"secs": 1}}}}, "true",
         refused="time namespace|timens|time ns"),
]  # fmt: skip
