"""What is mounted in a container, in the order in which it is mounted.

::

    Docker's defaults (/proc, /dev, …)   left out where the container mounts something there itself
    volumes, binds, tmpfs, and /etc/hosts, /etc/hostname, /etc/resolv.conf: parents before children
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wharfie.spec.mounts import default_mounts
from wharfie.volumes.idmapping import mappings
from wharfie.volumes.model import MountPoint
from wharfie.volumes.tmpfs import merge_tmpfs
from wharfie.wire.config import HostConfig

# a read-only root leaves these writable, as Docker does
_STAY_WRITABLE = frozenset(("/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"))
_READONLY = {"if-possible": ("ro", "rro"), "no": ("ro",), "required": ("ro", "rro")}


def mounts(
    asked: HostConfig,
    points: list[MountPoint],
    *,
    files: Mapping[str, str],
    shm_source: str = "",
    mqueue_source: str = "",
    private_cgroup: bool = True,
    ids: tuple[str, int] = ("", 0),
) -> list[dict[str, Any]]:
    """``mounts`` of the spec; the source of a volume with options, or of an image, is in words only
    (``engine/trees.py``).

    Args:
        points: with the sources of volumes filled in.
        files: destinations in /etc, and the files of ours that are bound there.
        shm_source, mqueue_source: directories of the host for /dev/shm and /dev/mqueue instead of new ones.
        ids: the container's user, and the host's id of root in its user namespace.
        private_cgroup: whether the container has a cgroup namespace.
    """
    own = {point.destination for point in points}
    found = []
    for item in default_mounts(asked.shm_size):
        if item["destination"] in own:
            continue
        if item["destination"] == "/dev/shm" and (shm_source or asked.ipc_mode == "none"):
            if shm_source:
                found.append(_bind(shm_source, "/dev/shm", ["rbind", "rprivate"]))
            continue
        if item["destination"] == "/dev/mqueue" and mqueue_source:
            found.append(_bind(mqueue_source, "/dev/mqueue", ["rbind", "rprivate"]))
            continue
        if asked.privileged and item["type"] in ("sysfs", "cgroup"):
            item["options"] = [option for option in item["options"] if option != "ro"]
        if (
            asked.readonly_rootfs
            and item["destination"] not in _STAY_WRITABLE
            and "ro" not in item["options"]
        ):
            item["options"].append("ro")
        found.append(item)
    later = [_point(point, *ids) for point in points]
    for destination, source in files.items():
        if destination not in own:
            options = ["rbind", "rprivate"]
            if asked.readonly_rootfs:
                options.append("ro")
            later.append(_bind(source, destination, options))
    # a volume at /etc comes before the files of ours in it
    return found + sorted(later, key=lambda item: item["destination"].count("/"))


def _bind(source: str, destination: str, options: list[str]) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def _point(point: MountPoint, user: str, base: int) -> dict[str, Any]:
    if point.type == "tmpfs":
        options = list(merge_tmpfs(point.options))
        return {"destination": point.destination, "type": "tmpfs", "source": "tmpfs", "options": options}
    options = ["rbind" if point.recursive else "bind"]
    if not point.rw:
        options += _READONLY[point.readonly_recursive]
    options.append(point.propagation or "rprivate")
    made = _bind(point.source, point.destination, options)
    if point.idmap:
        options.append("ridmap" if point.recursive else "idmap")
        made["uidMappings"], made["gidMappings"] = mappings(point.idmap, user, base)
    return made
