"""The ``config`` of state.json: a container's configuration in the shape that runc 1.1 gives it there.

Others read it (events, monitoring, engines that look for a container's limits); we go by ``spec``. Worked out
while the container's process is at work, so it costs a start nothing.
"""

from __future__ import annotations

from wharfie.spec.devices import NODES
from wharfie.spec.mounts import PROPAGATION, parse_options
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Object = dict[str, Any]

KINDS = {
    "pid": "NEWPID",
    "network": "NEWNET",
    "mount": "NEWNS",
    "ipc": "NEWIPC",
    "uts": "NEWUTS",
    "user": "NEWUSER",
    "cgroup": "NEWCGROUP",
    "time": "NEWTIME",
}
_MS_REC, _MS_BIND, _COPY_UP = 0x4000, 0x1000, 1
_FLAGS = {
    # option: (flags of mount(2) that are set, that are cleared)
    "ro": (1, 0), "rw": (0, 1), "nosuid": (2, 0), "suid": (0, 2), "nodev": (4, 0), "dev": (0, 4),
    "noexec": (8, 0), "exec": (0, 8), "sync": (0x10, 0), "async": (0, 0x10), "remount": (0x20, 0),
    "mand": (0x40, 0), "nomand": (0, 0x40), "dirsync": (0x80, 0), "nosymfollow": (0x100, 0),
    "noatime": (0x400, 0), "atime": (0, 0x400), "nodiratime": (0x800, 0), "diratime": (0, 0x800),
    "bind": (_MS_BIND, 0), "rbind": (_MS_BIND | _MS_REC, 0), "acl": (1 << 16, 0), "noacl": (0, 1 << 16),
    "relatime": (1 << 21, 0), "norelatime": (0, 1 << 21), "iversion": (1 << 23, 0),
    "noiversion": (0, 1 << 23), "strictatime": (1 << 24, 0), "nostrictatime": (0, 1 << 24),
}  # fmt: skip
_ACTIONS = {
    name: number
    for number, name in enumerate(
        ("KILL", "ERRNO", "TRAP", "ALLOW", "TRACE", "LOG", "NOTIFY", "KILL_THREAD", "KILL_PROCESS"), 1
    )
}
_OPERATORS = {
    name: number for number, name in enumerate(("EQ", "NE", "GT", "GE", "LT", "LE", "MASKED_EQ"), 1)
}
_ARCHITECTURES = {"X86_64": "amd64", "AARCH64": "arm64"}
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_SETS = ("Bounding", "Effective", "Inheritable", "Permitted", "Ambient")
_LIMITS: dict[str, dict[str, tuple[str, Any]]] = {
    # runc's name: (ours, its default)
    "memory": {
        "memory": ("limit", 0), "memory_reservation": ("reservation", 0), "memory_swap": ("swap", 0),
        "memory_swappiness": ("swappiness", None), "oom_kill_disable": ("disableOOMKiller", False),
    },
    "cpu": {
        "cpu_shares": ("shares", 0), "cpu_quota": ("quota", 0), "cpu_period": ("period", 0),
        "cpu_rt_quota": ("realtimeRuntime", 0), "cpu_rt_period": ("realtimePeriod", 0),
        "cpuset_cpus": ("cpus", ""), "cpuset_mems": ("mems", ""),
    },
    "pids": {"pids_limit": ("limit", 0)},
    "blockIO": {
        "blkio_weight": ("weight", 0), "blkio_leaf_weight": ("leafWeight", 0),
        "blkio_weight_device": ("weightDevice", None),
        "blkio_throttle_read_bps_device": ("throttleReadBpsDevice", None),
        "blkio_throttle_write_bps_device": ("throttleWriteBpsDevice", None),
        "blkio_throttle_read_iops_device": ("throttleReadIOPSDevice", None),
        "blkio_throttle_write_iops_device": ("throttleWriteIOPSDevice", None),
    },
    "network": {"net_prio_ifpriomap": ("priorities", None), "net_cls_classid_u": ("classID", 0)},
}  # fmt: skip
# what a container may always do with devices: make any, use the basic ones, terminals and tun
_RULES = (
    ("c", -1, -1, "m"), ("b", -1, -1, "m"), *(("c", major, minor, "rwm") for _, major, minor in NODES),
    ("c", 136, -1, "rwm"), ("c", 5, 2, "rwm"), ("c", 10, 200, "rwm"),
)  # fmt: skip


def config_of(spec: Object, *, bundle: str, rootfs: str, cgroup: str, unit: str, rootless: bool) -> Object:
    """The whole ``config``; ``unit`` is "slice name" of systemd, "" for none."""
    linux: Object = spec.get("linux") or {}
    process: Object = spec.get("process") or {}
    annotations: Object = spec.get("annotations") or {}
    user: Object = process.get("user") or {}
    propagation = PROPAGATION.get(linux.get("rootfsPropagation") or "")
    return {
        "no_pivot_root": False,
        "parent_death_signal": 0,
        "rootfs": rootfs,
        "umask": user.get("umask"),
        "readonlyfs": bool((spec.get("root") or {}).get("readonly")),
        "rootPropagation": _propagation(propagation) if propagation else 0,
        "mounts": [_mount(item, bundle) for item in spec.get("mounts") or ()],
        "devices": _devices(linux),
        "mount_label": linux.get("mountLabel") or "",
        "hostname": spec.get("hostname") or "",
        "namespaces": _namespaces(linux),
        "capabilities": _capabilities(process),
        "networks": _networks(linux),
        "routes": None,
        "cgroups": _cgroups(linux.get("resources") or {}, cgroup, unit, rootless=rootless),
        **({"apparmor_profile": process["apparmorProfile"]} if process.get("apparmorProfile") else {}),
        **({"process_label": process["selinuxLabel"]} if process.get("selinuxLabel") else {}),
        **({"oom_score_adj": process["oomScoreAdj"]} if process.get("oomScoreAdj") is not None else {}),
        "uid_mappings": _mappings(linux.get("uidMappings")),
        "gid_mappings": _mappings(linux.get("gidMappings")),
        "mask_paths": linux.get("maskedPaths"),
        "readonly_paths": linux.get("readonlyPaths"),
        "sysctl": linux.get("sysctl"),
        "seccomp": _seccomp(linux.get("seccomp")),
        **({"no_new_privileges": True} if process.get("noNewPrivileges") else {}),
        "Hooks": _hooks(spec.get("hooks") or {}),
        "version": spec.get("ociVersion") or "",
        "labels": [*(f"{name}={value}" for name, value in annotations.items()), f"bundle={bundle}"],
        "no_new_keyring": False,
        **({"rootless_euid": True} if rootless else {}),
    }


def _propagation(found: tuple[int, bool]) -> int:
    return found[0] | (_MS_REC if found[1] else 0)


def _mount(item: Object, bundle: str) -> Object:
    words: list[str] = item.get("options") or []
    options = parse_options(words)
    flags = 0
    for word in words:
        on, off = _FLAGS.get(word, (0, 0))
        flags = flags & ~off | on
    kinds = [_propagation(PROPAGATION[word]) for word in words if word in PROPAGATION]
    recursive = None
    if options.recursive_set or options.recursive_clear:
        recursive = {
            "Attr_set": options.recursive_set, "Attr_clr": options.recursive_clear,
            "Propagation": 0, "Userns_fd": 0,
        }  # fmt: skip
    bind = bool(flags & _MS_BIND)
    source = item.get("source") or ""
    return {
        "source": paths.join(bundle, source) if bind else source,
        "destination": item.get("destination") or "",
        "device": "bind" if bind else item.get("type") or "",
        "flags": flags,
        "propagation_flags": kinds or None,
        "data": ",".join(name if value is None else f"{name}={value}" for name, value in options.data),
        "relabel": "",
        "rec_attr": recursive,
        "extensions": _COPY_UP if options.copy_up else 0,
        "premount_cmds": None,
        "postmount_cmds": None,
    }


def _devices(linux: Object) -> list[Object]:
    given = linux.get("devices") or ()
    paths = {item.get("path") for item in given}
    found = [
        _device("c", major, minor, "rwm", allow=True)
        | {"path": f"/dev/{name}", "file_mode": 0o666, "uid": 0, "gid": 0}
        for name, major, minor in NODES
        if f"/dev/{name}" not in paths
    ]
    for item in given:
        mode = item.get("fileMode")
        found.append(
            _device(item["type"], item.get("major", 0), item.get("minor", 0), "", allow=False)
            | {"path": item["path"], "file_mode": 0o666 if mode is None else mode}
            | {"uid": item.get("uid") or 0, "gid": item.get("gid") or 0}
        )
    return found


def _device(kind: str, major: int, minor: int, permissions: str, *, allow: bool) -> Object:
    return {
        "type": ord(kind), "major": major, "minor": minor, "permissions": permissions, "allow": allow,
    }  # fmt: skip


def _namespaces(linux: Object) -> list[Object]:
    return [
        {"type": KINDS.get(item.get("type"), ""), "path": item.get("path") or ""}
        for item in linux.get("namespaces") or ()
    ]


def _capabilities(process: Object) -> Object | None:
    sets = process.get("capabilities")
    return {name: sets.get(name.lower()) for name in _SETS} if sets else None


def _networks(linux: Object) -> list[Object] | None:
    if not any(
        item.get("type") == "network" and not item.get("path") for item in linux.get("namespaces") or ()
    ):
        return None
    texts = ("name", "bridge", "mac_address", "address", "gateway", "ipv6_address", "ipv6_gateway")
    loopback = {"type": "loopback", **dict.fromkeys(texts, ""), "mtu": 0, "txqueuelen": 0}
    return [{**loopback, "host_interface_name": "", "hairpin_mode": False}]


def _cgroups(resources: Object, path: str, unit: str, *, rootless: bool) -> Object:
    found: Object = {"path": path, "scope_prefix": ""}
    if unit:
        slice_, name = unit.split(" ")
        found = {"name": name, "parent": slice_, **found}
    found["devices"] = [_rule(item) for item in resources.get("devices") or ()]
    found["devices"] += [_device(*rule, allow=True) for rule in _RULES]
    for part, names in _LIMITS.items():
        given = resources.get(part) or {}
        for name, (ours, default) in names.items():
            value = given.get(ours)
            found[name] = default if value is None else value
    limits = resources.get("hugepageLimits")
    found["hugetlb_limit"] = [
        {"page_size": item.get("pageSize", ""), "limit": item.get("limit", 0)} for item in limits
    ] if limits else None  # fmt: skip
    rdma = resources.get("rdma")
    found["rdma"] = {
        name: {"hca_handles": (item or {}).get("hcaHandles"), "hca_objects": (item or {}).get("hcaObjects")}
        for name, item in rdma.items()
    } if rdma else None  # fmt: skip
    shares = found["cpu_shares"]
    weight = 1 + (max(2, min(shares, 262144)) - 2) * 9999 // 262142 if shares else 0
    return {
        **found, "freezer": "", "cpu_weight": weight, "unified": resources.get("unified") or None,
        "Systemd": bool(unit), "Rootless": rootless,
    }  # fmt: skip


def _rule(item: Object) -> Object:
    numbers = [-1 if item.get(name) is None else item[name] for name in ("major", "minor")]
    return _device(
        item.get("type") or "a",
        numbers[0],
        numbers[1],
        item.get("access") or "",
        allow=bool(item.get("allow")),
    )


def _mappings(given: list[Object] | None) -> list[Object] | None:
    if not given:
        return None
    return [
        {"container_id": item["containerID"], "host_id": item["hostID"], "size": item["size"]}
        for item in given
    ]


def _seccomp(profile: Object | None) -> Object | None:
    if not profile:
        return None
    calls = []
    for entry in profile.get("syscalls") or ():
        made = {
            "action": _action(entry["action"]),
            "errnoRet": entry.get("errnoRet"),
            "args": [_argument(item) for item in entry.get("args") or ()],
        }
        calls += [{"name": name, **made} for name in entry.get("names") or ()]
    names = (name.removeprefix("SCMP_ARCH_") for name in profile.get("architectures") or ())
    found = {
        "default_action": _action(profile["defaultAction"]),
        "architectures": [_ARCHITECTURES.get(name, name.lower()) for name in names],
        "syscalls": calls,
        "default_errno_ret": profile.get("defaultErrnoRet"),
    }
    for name, ours in (("listener_path", "listenerPath"), ("listener_metadata", "listenerMetadata")):
        if profile.get(ours):
            found[name] = profile[ours]
    return found


def _action(name: str) -> int:
    return _ACTIONS.get(name.removeprefix("SCMP_ACT_"), 0)


def _argument(item: Object) -> Object:
    return {
        "index": item["index"], "value": item["value"], "value_two": item.get("valueTwo") or 0,
        "op": _OPERATORS.get(item["op"].removeprefix("SCMP_CMP_"), 0),
    }  # fmt: skip


def _hooks(given: Object) -> Object:
    return {
        stage: [
            {
                "path": item["path"], "args": item.get("args"), "env": item.get("env"), "dir": "",
                "timeout": item["timeout"] * 10**9 if item.get("timeout") else None,
            }
            for item in given[stage]
        ] if given.get(stage) else None
        for stage in _HOOKS
    }  # fmt: skip
