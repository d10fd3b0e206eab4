"""The command features (runtime-spec, "Features Structure")."""

from __future__ import annotations

from wharfie.linux import seccomp
from wharfie.linux.process import NAMESPACES
from wharfie.runtime.processplan import SECCOMP_FLAGS
from wharfie.runtime.state import Store
from wharfie.runtime.views import indented, say
from wharfie.spec import capabilities, mounts, scheduling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def do_features(store: Store, options: dict[str, Any], words: list[str]) -> int:
    """``features``."""
    say(indented(features(), "    "))
    return 0


def features() -> dict[str, Any]:
    """What this runtime can do, whatever this machine can."""
    from wharfie import __version__

    libseccomp = seccomp.version()
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.1",
        "hooks": list(HOOKS),
        "mountOptions": mounts.known_options(),
        "linux": {
            "namespaces": sorted(NAMESPACES),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {
                "v1": True,
                "v2": True,
                "systemd": True,
                "systemdUser": False,
                "rdma": True,
            },
            "seccomp": {
                "enabled": True,
                "actions": sorted(seccomp.ACTIONS),
                "operators": sorted(seccomp.COMPARISONS),
                "archs": sorted(seccomp.ARCHITECTURES),
                "knownFlags": sorted(SECCOMP_FLAGS),
                "supportedFlags": sorted(SECCOMP_FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": False},
            "memoryPolicy": {
                "modes": sorted(scheduling.MEMORY_MODES),
                "flags": sorted(scheduling.MEMORY_FLAGS),
            },
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "io.wharfie.version": __version__,
            **({"io.github.seccomp.libseccomp.version": libseccomp} if libseccomp else {}),
        },
        "potentiallyUnsafeConfigAnnotations": [],
    }
