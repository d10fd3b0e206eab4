"""A container to create, worked out before the fork: validated, and as data.

The child does what stands here and decides nothing; the parent opens what it names (``sources.py``).
"""

from __future__ import annotations

import posix as os

from wharfie.linux import mount, process
from wharfie.linux.process import NAMESPACES
from wharfie.runtime.launch import LaunchError
from wharfie.runtime.processplan import ProcessPlan
from wharfie.runtime.sysctls import check_sysctls
from wharfie.spec.devices import NODES
from wharfie.spec.mounts import PROPAGATION, Options, parse_options
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wharfie.runtime.launch import Launch
    from wharfie.runtime.network import Network
    from wharfie.runtime.sources import Sources
    from wharfie.runtime.sync import Channel

_UNLABELLED = frozenset(("bind", "proc", "sysfs", "cgroup", "cgroup2"))
INIT_PROGRAM = "/sbin/docker-init"
_FILE_KINDS = {"c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000}


class MountStep:
    """One mount: ``fd`` is the detached tree of a bind, opened by the parent or handed to it."""

    __slots__ = ("directory", "fd", "kind", "mapping", "options", "source", "target")

    def __init__(self, target: str, kind: str, source: str, options: Options) -> None:
        self.target = target
        self.kind = kind
        self.source = source
        self.options = options
        self.fd = -1
        self.directory = True
        self.mapping: tuple[list[dict[str, int]], list[dict[str, int]]] | None = None
        """The uid and gid mappings of an id-mapped mount."""


class Device:
    """One device node."""

    __slots__ = ("device", "gid", "mode", "path", "uid")

    def __init__(self, path: str, mode: int, device: int, uid: int, gid: int) -> None:
        self.path = path
        self.mode = mode
        self.device = device
        self.uid = uid
        self.gid = gid


class Plan:
    """All of a container."""

    __slots__ = (
        "begin",
        "cgroup_namespace",
        "cgroup_places",
        "clone_flags",
        "devices",
        "domainname",
        "gate",
        "gid_mappings",
        "hooks",
        "hostname",
        "id",
        "init_path",
        "joins",
        "masked",
        "mounts",
        "network",
        "new_network",
        "pivot",
        "process",
        "propagation",
        "readonly",
        "readonly_rootfs",
        "root_path",
        "rootfs",
        "state",
        "sysctls",
        "time_offsets",
        "uid_mappings",
        "unprivileged",
        "user_namespace",
    )

    def __init__(self, launch: Launch, own_bounding: int) -> None:
        """Read the launch's spec; raises LaunchError for what cannot be."""
        spec = launch.spec
        linux: dict[str, Any] = spec.get("linux") or {}
        self.id = launch.id
        self.pivot = launch.pivot
        self.gate = launch.gate
        self.unprivileged = launch.unprivileged
        self.begin: Callable[[Plan, Sources, Channel], list[tuple[str, int]]] | None = None
        """What an unprivileged container's process does first (rootless)."""
        self.cgroup_places: list[tuple[str, str]] = []
        self.rootfs = _rootfs(launch)
        self.root_path = self._root_path(launch)
        self.readonly_rootfs = bool((spec.get("root") or {}).get("readonly"))
        _refuse_unsupported(spec, linux)
        self._read_namespaces(linux)
        self.uid_mappings: list[dict[str, int]] = linux.get("uidMappings") or []
        self.gid_mappings: list[dict[str, int]] = linux.get("gidMappings") or []
        if self.clone_flags & process.CLONE_NEWUSER:
            self._check_mappings()
        if self.user_namespace:
            own_bounding = (1 << 41) - 1
        self.hostname: str = spec.get("hostname") or ""
        self.domainname: str = spec.get("domainname") or ""
        self._check_names()
        self.network = self._network(launch, linux)
        self.sysctls = [(name, str(value)) for name, value in (linux.get("sysctl") or {}).items()]
        check_sysctls(self.sysctls, self.clone_flags, self.joins)
        self.masked: list[str] = linux.get("maskedPaths") or []
        self.readonly: list[str] = linux.get("readonlyPaths") or []
        self.propagation = self._propagation(linux.get("rootfsPropagation"))
        self.mounts = [mount_step(item, launch.bundle, linux) for item in spec.get("mounts") or ()]
        for step in self.mounts:
            step.fd = launch.trees.get(step.target, -1)
        self.devices = devices_of(linux)
        self.hooks: dict[str, list[dict[str, Any]]] = spec.get("hooks") or {}
        self.state = {
            "ociVersion": spec.get("ociVersion") or "1.2.0",
            "id": launch.id,
            "bundle": launch.bundle,
            "annotations": spec.get("annotations") or {},
        }
        self.process = self._process(launch, linux, own_bounding)
        self.init_path = launch.init_path
        if launch.init_path:
            self._add_init(launch.init_path)

    @staticmethod
    def _root_path(launch: Launch) -> str:
        if launch.rootfs is not None:
            return launch.bundle or paths.dirname(launch.rootfs["upper"])
        path = (launch.spec.get("root") or {}).get("path") or ""
        if not path:
            raise LaunchError("the container has no root directory: root.path is empty")
        # mounted by its name, which must not be a link then
        return paths.realpath(paths.join(launch.bundle, path))

    def _check_mappings(self) -> None:
        if not (self.uid_mappings and self.gid_mappings):
            raise LaunchError("a new user namespace needs uid and gid mappings")
        for field, mappings in (("uidMappings", self.uid_mappings), ("gidMappings", self.gid_mappings)):
            if not any(item["containerID"] == 0 and item["size"] for item in mappings):
                raise LaunchError(f"linux.{field} must map id 0, for a container is built as its root")

    def _check_names(self) -> None:
        own = self.clone_flags & process.CLONE_NEWUTS or any(f == process.CLONE_NEWUTS for _, f in self.joins)
        for field, value in (("hostname", self.hostname), ("domainname", self.domainname)):
            if value and not own:
                raise LaunchError(f"unable to set {field} without a private UTS namespace")

    def _read_namespaces(self, linux: dict[str, Any]) -> None:
        self.clone_flags = 0
        self.cgroup_namespace = False
        self.new_network = False
        self.time_offsets: dict[str, dict[str, int]] = linux.get("timeOffsets") or {}
        self.joins: list[tuple[str, int]] = []
        seen: set[str] = set()
        for item in linux.get("namespaces") or ():
            kind, path = item.get("type", ""), item.get("path") or ""
            if kind not in NAMESPACES:
                raise LaunchError(f"linux.namespaces: there is no namespace of type {kind!r}")
            if kind in seen:
                raise LaunchError(f"linux.namespaces: {kind} is listed twice")
            seen.add(kind)
            if path:
                self.joins.append((path, NAMESPACES[kind]))
            elif kind == "cgroup":
                # not at the clone: it would show the parent's cgroup as its root
                self.cgroup_namespace = True
            else:
                self.clone_flags |= NAMESPACES[kind]
        owned = self.clone_flags
        for _path, flag in self.joins:
            owned |= flag
        if not owned & process.CLONE_NEWNS:
            raise LaunchError("linux.namespaces: a container needs a mount namespace of its own")
        self.user_namespace = bool(owned & process.CLONE_NEWUSER)
        """Whether it is in another user namespace than its creator."""
        self.new_network = bool(self.clone_flags & process.CLONE_NEWNET)
        if self.time_offsets and not self.clone_flags & process.CLONE_NEWTIME:
            raise LaunchError("time offsets need a time namespace of the container's own")

    def _network(self, launch: Launch, linux: dict[str, Any]) -> Network | None:
        interfaces = launch.interfaces if self.new_network else []
        moved = linux.get("netDevices") or {}
        if moved and not self.new_network and not any(flag == process.CLONE_NEWNET for _, flag in self.joins):
            raise LaunchError("linux.netDevices needs a network namespace other than the host's")
        if not interfaces and not moved:
            return None
        from wharfie.runtime.network import Network  # 2 ms, for those that have devices

        return Network(interfaces, moved)

    @staticmethod
    def _propagation(name: str | None) -> tuple[int, bool] | None:
        if not name:
            return None
        if name not in PROPAGATION:
            raise LaunchError(f"unknown rootfsPropagation {name!r}")
        return PROPAGATION[name]

    def _process(self, launch: Launch, linux: dict[str, Any], own_bounding: int) -> ProcessPlan:
        made = ProcessPlan(launch.spec.get("process") or {}, own_bounding=own_bounding, linux=linux)
        made.set_seccomp(launch.seccomp, linux.get("seccomp"))
        made.stdio = launch.stdio
        made.preserve_fds = launch.preserve_fds
        if launch.console_size is not None:
            made.size = launch.console_size
        if launch.keyring:
            made.keyring = f"_ses.{launch.id}"
        return made

    def _add_init(self, init_path: str) -> None:
        self.mounts.append(MountStep(INIT_PROGRAM, "bind", init_path, parse_options(["bind", "ro"])))
        self.process.args = [INIT_PROGRAM, "--", *self.process.args]


def _rootfs(launch: Launch) -> dict[str, Any] | None:
    """The overlay, with paths that lead through a descriptor where the writable part has its own disk."""
    disk = launch.trees.get("/", -1)
    if launch.rootfs is None or disk < 0:
        return launch.rootfs
    places = {name: f"/proc/self/fd/{disk}/{launch.rootfs[name]}" for name in ("upper", "work")}
    return {**launch.rootfs, **places, "disk": disk}


def _refuse_unsupported(spec: dict[str, Any], linux: dict[str, Any]) -> None:
    """What the specification has and this runtime does not do is refused, never left out in silence."""
    for name in ("intelRdt",):
        if linux.get(name):
            raise LaunchError(f"{name} is not supported by wharfie-runtime: leave it out of config.json")


def mount_step(item: dict[str, Any], bundle: str, linux: dict[str, Any]) -> MountStep:
    """An entry of ``mounts`` as a step; raises LaunchError."""
    options = parse_options(item.get("options"))
    target = item.get("destination") or ""
    # runtime-spec: a relative destination counts from the root, for the sake of old configurations
    kind = item.get("type") or ("bind" if options.bind else "none")
    source = item.get("source") or ""
    if options.bind or kind == "bind":
        kind = "bind"
        options.bind = options.bind or 2
        source = paths.join(bundle, source)
    if not target or "\0" in target:
        raise LaunchError(f"invalid mount destination {target!r}")
    label = linux.get("mountLabel")
    if label and kind not in _UNLABELLED:
        options.data.append(("context", label))
    made = MountStep(target, kind, source, options)
    if options.idmap or item.get("uidMappings") or item.get("gidMappings"):
        made.mapping = _mapping(item, kind, linux)
    return made


def _mapping(
    item: dict[str, Any], kind: str, linux: dict[str, Any]
) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """The mount's own mappings, else those of the container's user namespace (runtime-spec, "Mounts")."""
    target = item["destination"]
    if kind != "bind":
        raise LaunchError(f"mounts: {target} cannot be id-mapped: only bind mounts can")
    for place in (item, linux):
        uids, gids = place.get("uidMappings"), place.get("gidMappings")
        if uids and gids:
            return uids, gids
        if uids or gids:
            raise LaunchError(f"mounts: {target} needs both uidMappings and gidMappings to be id-mapped")
    raise LaunchError(f"mounts: {target} is to be id-mapped, but has no uidMappings and gidMappings")


def devices_of(linux: dict[str, Any]) -> list[Device]:
    """The default devices and those of the configuration; raises LaunchError."""
    found = {
        f"/dev/{name}": Device(f"/dev/{name}", 0o020666, os.makedev(major, minor), 0, 0)
        for name, major, minor in NODES
    }
    for item in linux.get("devices") or ():
        path, kind = item.get("path") or "", item.get("type") or ""
        if kind not in _FILE_KINDS or not path.startswith("/"):
            raise LaunchError(f"{path!r} is not a device of a known kind: {kind!r}")
        mode = item.get("fileMode")
        device = 0 if kind == "p" else os.makedev(item.get("major", 0), item.get("minor", 0))
        mode = _FILE_KINDS[kind] | (0o666 if mode is None else mode & 0o7777)
        found[path] = Device(path, mode, device, item.get("uid") or 0, item.get("gid") or 0)
    return list(found.values())


def bind_attributes(options: Options) -> tuple[int, int, int, int]:
    """(set, clear) of the mount itself, then of the whole tree below it."""
    return options.set, options.clear, options.recursive_set, options.recursive_clear


def apply_attributes(tree: int, options: Options, *, private: bool) -> None:
    """Give a detached mount its flags and its propagation; raises OSError."""
    on, off, tree_on, tree_off = bind_attributes(options)
    empty, below = mount.AT_EMPTY_PATH, mount.AT_EMPTY_PATH | mount.AT_RECURSIVE
    if tree_on or tree_off:
        mount.mount_setattr(tree, flags=below, set_=tree_on, clear=_atime(tree_on, tree_off))
    if options.propagation:
        flags = below if options.recursive_propagation else empty
        mount.mount_setattr(tree, flags=flags, propagation=options.propagation)
    elif private:
        mount.mount_setattr(tree, flags=below, propagation=mount.MS_PRIVATE)
    if on or off:
        mount.mount_setattr(tree, set_=on, clear=_atime(on, off))


def _atime(on: int, off: int) -> int:
    """A change of the access time field must clear all of it (mount_setattr(2)), and what is set is not
    cleared.
    """
    touched = (on | off) & mount.ATTR_ATIME
    return (off & ~mount.ATTR_ATIME & ~on) | (mount.ATTR_ATIME if touched else 0)
