"""The command spec: a config.json to begin with."""

from __future__ import annotations

import posix as os

from wharfie.errors import Conflict
from wharfie.runtime.state import Store
from wharfie.runtime.views import indented
from wharfie.spec import mounts
from wharfie.support import paths
from wharfie.support.files import atomic_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def default_spec() -> dict[str, Any]:
    """A configuration to begin with."""
    sets = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    return {
        "ociVersion": "1.2.1",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), sets),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "wharfie",
        "mounts": mounts.default_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": mounts.masked_paths(range(os.cpu_count() or 1)),
            "readonlyPaths": list(mounts.READONLY_PATHS),
        },
    }


def rootless_spec(uid: int, gid: int) -> dict[str, Any]:
    """The same for somebody who is not root: a user namespace, the host's network, no limits."""
    spec = default_spec()
    linux = spec["linux"]
    del linux["resources"]
    kinds = [item["type"] for item in linux["namespaces"] if item["type"] != "network"]
    linux["namespaces"] = [{"type": kind} for kind in (*kinds, "user")]
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    for item in spec["mounts"]:
        if item["destination"] == "/sys":
            # a sysfs belongs to the owner of the network namespace
            item["type"], item["source"] = "none", "/sys"
            item["options"] = ["rbind", *item["options"]]
        # group 5 is not mapped
        item["options"] = [option for option in item["options"] if not option.startswith(("gid=", "uid="))]
    return spec


def do_spec(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``spec``."""
    path = paths.join(options.get("bundle") or ".", "config.json")
    if paths.exists(path):
        raise Conflict("File config.json exists. Remove it first")
    spec = rootless_spec(os.geteuid(), os.getegid()) if options.get("rootless") else default_spec()
    atomic_write(path, indented(spec, "\t").encode(), mode=0o644)
    return 0
