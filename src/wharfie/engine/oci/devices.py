"""Devices: which nodes a container finds in /dev, and which ones its control group lets it use."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from wharfie.errors import InvalidArgument
from wharfie.wire.config import DeviceMapping, HostConfig

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_DENY_ALL: dict[str, Any] = {"allow": False, "access": "rwm"}
# below these, /dev is a container's own file system
_OWN = frozenset(
    ("/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev")
)
_DEFAULT_ALLOWED = (
    # making a node is harmless where using it is not allowed
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 136, None, "rwm"),
)


class NoSuchDevice(InvalidArgument):
    """A device asked for does not exist on the host."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f'error gathering device information while adding custom device "{path}": {reason}')


def devices(asked: HostConfig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``linux.devices`` and ``linux.resources.devices``; raises NoSuchDevice, InvalidArgument."""
    if asked.privileged:
        return list(_host_devices("/dev")), [{"allow": True, "access": "rwm"}]
    nodes: list[dict[str, Any]] = []
    rules = [_DENY_ALL, *(_rule(*rule) for rule in _DEFAULT_ALLOWED)]
    for mapping in asked.devices or ():
        for node, access in _mapped(mapping):
            nodes.append(node)
            rules.append(_rule(node["type"], node["major"], node["minor"], access))
    for text in asked.device_cgroup_rules or ():
        rules.append(_parse_rule(text))
    return nodes, rules


def _rule(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


def _parse_rule(text: str) -> dict[str, Any]:
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = match.groups()
    return _rule(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access)


def _mapped(mapping: DeviceMapping) -> Iterator[tuple[dict[str, Any], str]]:
    access = mapping.cgroup_permissions or "rwm"
    if not set(access) <= set("rwm"):
        raise InvalidArgument(f"bad mode specified: {access}")
    inside = mapping.path_in_container or mapping.path_on_host
    try:
        # a link on the host names the device behind it
        resolved = os.path.realpath(mapping.path_on_host, strict=True)
        found = os.stat(resolved)
    except OSError as error:
        raise NoSuchDevice(mapping.path_on_host, (error.strerror or "").lower()) from error
    node = _node(resolved, inside, found)
    if node is not None:
        yield node, access
        return
    if not stat.S_ISDIR(found.st_mode):
        raise NoSuchDevice(mapping.path_on_host, "not a device node")
    # a directory stands for all devices below it
    for node in _host_devices(resolved):
        node["path"] = inside + node["path"].removeprefix(resolved)
        yield node, access


def _host_devices(top: str) -> Iterator[dict[str, Any]]:
    try:
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.path in _OWN or entry.name == "console" or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _host_devices(entry.path)
            continue
        try:
            node = _node(entry.path, entry.path, entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            continue
        if node is not None:
            yield node


def _node(path: str, inside: str, found: os.stat_result) -> dict[str, Any] | None:
    if stat.S_ISBLK(found.st_mode):
        kind = "b"
    elif stat.S_ISCHR(found.st_mode):
        kind = "c"
    else:
        return None
    return {
        "path": inside,
        "type": kind,
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
    }
