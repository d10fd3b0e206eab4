"""What the options of checkpoint and restore say to CRIU."""

from __future__ import annotations

import fcntl
import posix as os

from wharfie.errors import InvalidArgument
from wharfie.linux.process import CLONE_NEWNET
from wharfie.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CGROUP_MODES = {"": 6, "soft": 3, "full": 4, "strict": 5, "ignore": 0}
_DEFAULT_CONFIG = "/etc/criu/runc.conf"
_LOG_LEVEL = 4
DESCRIPTORS = "descriptors.json"


def common(options: dict[str, Any]) -> dict[str, Any]:
    """The options that both commands have; raises InvalidArgument."""
    mode = options.get("manage-cgroups-mode") or ""
    if mode not in _CGROUP_MODES:
        raise InvalidArgument("Invalid manage-cgroups-mode value")
    for name in options.get("empty-ns") or ():
        if name != "network":
            raise InvalidArgument(f'namespace "{name}" is not supported')
    flags = ("tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup", "lazy-pages")
    return {
        "log_level": _LOG_LEVEL,
        "notify_scripts": True,
        "manage_cgroups": True,
        "manage_cgroups_mode": _CGROUP_MODES[mode],
        # devices and addresses of a network are its maker's: whoever makes them at a start does so again
        "empty_ns": CLONE_NEWNET,
        "orphan_pts_master": True,
        "config_file": _DEFAULT_CONFIG if paths.exists(_DEFAULT_CONFIG) else None,
        **{name.replace("-", "_"): True for name in flags if options.get(name)},
    }


def dumping(options: dict[str, Any]) -> dict[str, Any]:
    """The options of checkpoint beside those; raises InvalidArgument."""
    found = common(options)
    for name in ("leave-running", "tcp-skip-in-flight"):
        if options.get(name):
            found[name.replace("-", "_")] = True
    if options.get("page-server"):
        found["ps"] = _page_server(options["page-server"])
    parent = options.get("parent-path")
    if parent:
        found["parent_img"] = _parent(image_path(options), parent)
        found["track_mem"] = True
    if options.get("status-fd", -1) != -1:
        _check_status_fd(options["status-fd"])
    return found


def restoring(options: dict[str, Any]) -> dict[str, Any]:
    """The options of restore beside the common ones; raises InvalidArgument."""
    found = common(options)
    for name in ("lsm-profile", "lsm-mount-context"):
        if options.get(name):
            found[name.replace("-", "_")] = options[name]
    return found


def image_path(options: dict[str, Any]) -> str:
    """Where the images are."""
    return paths.abspath(options.get("image-path") or "checkpoint")


def check_searchable(images: str, linux: dict[str, Any]) -> None:
    """Refuse a directory that CRIU could not restore from: in a user namespace it reads images as the root of
    that.
    """
    if not any(item.get("type") == "user" for item in linux.get("namespaces") or ()):
        return
    if not (paths.isdir(images) and os.stat(images).st_mode & 0o001):
        raise InvalidArgument(
            f"--image-path {images} must be a directory that others may search (mode 711): "
            "CRIU restores a container with a user namespace as that namespace's root"
        )


def _page_server(text: str) -> dict[str, Any]:
    address, colon, port = text.rpartition(":")
    if not colon or not address or not port:
        raise InvalidArgument("Use --page-server ADDRESS:PORT to specify page server")
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise InvalidArgument("Invalid port number")
    return {"address": address.strip("[]"), "port": int(port)}


def _parent(images: str, parent: str) -> str:
    if parent.startswith("/"):
        raise InvalidArgument("--parent-path must be relative")
    path = paths.normpath(f"{images}/{parent}")
    if not paths.isdir(path):
        reason = "not a directory" if paths.exists(path) else "no such file or directory"
        raise InvalidArgument(f"invalid --parent-path: stat {path}: {reason}")
    return parent


def _check_status_fd(fd: int) -> None:
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    except (OSError, OverflowError, ValueError):
        raise InvalidArgument(f"invalid --status-fd argument {fd}: it is not open") from None
    if flags & os.O_ACCMODE == os.O_RDONLY:
        raise InvalidArgument(f"invalid --status-fd argument {fd}: not writable")
