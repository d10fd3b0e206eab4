"""``--sysctl``: only what belongs to a namespace that is the container's own."""

from __future__ import annotations

from wharfie.errors import InvalidArgument
from wharfie.spec.sysctls import IPC, UTS
from wharfie.wire.config import HostConfig


def check_sysctls(asked: HostConfig) -> None:
    """Raises InvalidArgument for a sysctl that would change the host or another container."""
    for name in asked.sysctls or {}:
        dotted = name.replace("/", ".")
        if dotted.startswith("net."):
            if asked.network_mode == "host":
                raise InvalidArgument(f"sysctl '{name}' is not allowed with host network")
            if asked.network_mode.startswith("container:"):
                raise InvalidArgument(f"sysctl '{name}' is not allowed with container network")
        elif dotted in IPC or dotted.startswith("fs.mqueue."):
            if asked.ipc_mode == "host":
                raise InvalidArgument(f"sysctl '{name}' is not allowed with host ipc")
        elif dotted in UTS:
            raise InvalidArgument(f"sysctl '{name}' is not allowed: use --{dotted.removeprefix('kernel.')}")
        else:
            raise InvalidArgument(f"sysctl '{name}' is not allowed")
