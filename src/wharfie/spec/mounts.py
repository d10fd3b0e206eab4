"""Mount options as OCI and Docker write them, turned into what mount_setattr(2) and fsconfig(2) take.

Also the lists every Docker container gets: the default mounts, the masked and the read-only paths.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# mount_setattr(2); told here again because this package, like linux/, sits on the lowest level
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _NOATIME, _STRICTATIME = 1, 2, 4, 8, 0x10, 0x20
_ATIME_FIELD, _NODIRATIME, _NOSYMFOLLOW = 0x70, 0x80, 0x200000
_UNBINDABLE, _PRIVATE, _SLAVE, _SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20

ATTRIBUTES = {
    # option: (attributes set, attributes cleared)
    "ro": (_RDONLY, 0),
    "rw": (0, _RDONLY),
    "nosuid": (_NOSUID, 0),
    "suid": (0, _NOSUID),
    "nodev": (_NODEV, 0),
    "dev": (0, _NODEV),
    "noexec": (_NOEXEC, 0),
    "exec": (0, _NOEXEC),
    "noatime": (_NOATIME, _ATIME_FIELD),
    "atime": (0, _ATIME_FIELD),
    "strictatime": (_STRICTATIME, _ATIME_FIELD),
    "nostrictatime": (0, _ATIME_FIELD),
    "relatime": (0, _ATIME_FIELD),
    "norelatime": (0, _ATIME_FIELD),
    "nodiratime": (_NODIRATIME, 0),
    "diratime": (0, _NODIRATIME),
    "nosymfollow": (_NOSYMFOLLOW, 0),
    "symfollow": (0, _NOSYMFOLLOW),
}

PROPAGATION = {
    # option: (propagation, of the whole tree)
    "private": (_PRIVATE, False),
    "rprivate": (_PRIVATE, True),
    "slave": (_SLAVE, False),
    "rslave": (_SLAVE, True),
    "shared": (_SHARED, False),
    "rshared": (_SHARED, True),
    "unbindable": (_UNBINDABLE, False),
    "runbindable": (_UNBINDABLE, True),
}

OVERLAY_OFF = ("redirect_dir", "metacopy", "index")
"""Overlay's options that are off whatever the module's defaults are: with them a file in an upper directory
leans on the lower ones, a commit would lose it, and an attribute could lead it to others."""

SUPERBLOCK_FLAGS = frozenset(("sync", "dirsync", "mand", "lazytime", "iversion", "silent"))
_DEFAULTS = frozenset(("defaults", "async", "nomand", "noiversion", "nolazytime", "loud", "remount"))

_OTHERS = ("bind", "rbind", "tmpcopyup", "idmap", "ridmap", "acl", "noacl")


def known_options() -> list[str]:
    """All options that mean something to the runtime, in their order."""
    recursive = (f"r{name}" for name in ATTRIBUTES)
    return sorted({*ATTRIBUTES, *recursive, *PROPAGATION, *SUPERBLOCK_FLAGS, *_DEFAULTS, *_OTHERS})


class Options:
    """The parsed options of one mount."""

    __slots__ = (
        "bind",
        "clear",
        "copy_up",
        "data",
        "idmap",
        "propagation",
        "recursive_clear",
        "recursive_propagation",
        "recursive_set",
        "set",
    )

    def __init__(self) -> None:
        self.bind = 0
        """0: not a bind mount, 1: bind, 2: rbind."""
        self.set = 0
        self.clear = 0
        self.recursive_set = 0
        self.recursive_clear = 0
        self.propagation = 0
        self.recursive_propagation = False
        self.copy_up = False
        self.idmap = ""
        self.data: list[tuple[str, str | None]] = []
        """What is left for the file system itself."""


def parse_options(options: list[str] | None) -> Options:
    """Read the options of an OCI mount."""
    found = Options()
    for option in options or ():
        if option in ATTRIBUTES:
            on, off = ATTRIBUTES[option]
            found.set = found.set & ~off | on
            found.clear = found.clear & ~on | off
        elif option in PROPAGATION:
            found.propagation, found.recursive_propagation = PROPAGATION[option]
        elif option[:1] == "r" and option[1:] in ATTRIBUTES:
            on, off = ATTRIBUTES[option[1:]]
            found.recursive_set = found.recursive_set & ~off | on
            found.recursive_clear = found.recursive_clear & ~on | off
        elif option in ("bind", "rbind"):
            found.bind = 2 if option == "rbind" else max(found.bind, 1)
        elif option == "tmpcopyup":
            found.copy_up = True
        elif option in ("idmap", "ridmap"):
            found.idmap = option
        elif option not in _DEFAULTS and option:
            found.data += _file_system_options(option)
    return found


def _file_system_options(option: str) -> list[tuple[str, str | None]]:
    """What is meant for the file system: one option, or as in mount(2) several with commas between them."""
    found: list[tuple[str, str | None]] = []
    # overlay's way to write a comma in a path is one with a backslash before it
    for part in option.replace("\\,", "\0").split(","):
        name, equals, value = part.replace("\0", ",").partition("=")
        found.append((name, value if equals else None))
    return found


MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
"""Docker's, the interrupt counters and energy meters included: both tell what neighbours do."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Docker's."""


def masked_paths(cpus: range) -> list[str]:
    """All masked paths on a machine with these CPUs: per-CPU thermal throttle counters are a clock, too."""
    throttle = [f"/sys/devices/system/cpu/cpu{number}/thermal_throttle" for number in cpus]
    return [*MASKED_PATHS, *throttle]


def default_mounts(shm_size: int = 67108864) -> list[dict[str, Any]]:
    """The mounts every Docker container has, in their order."""
    plain = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": list(plain)},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*plain, "ro"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": list(plain)},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*plain, "mode=1777", f"size={shm_size}"],
        },
    ]
