"""Which daemon is meant: by an address, by a context, by the environment, or our own where nobody says.

In this order: ``-H`` or ``-c``; WHARFIE_HOST, WHARFIE_CONTEXT; DOCKER_HOST, DOCKER_CONTEXT; the context that
``context use`` chose; our own daemon's socket.
"""

from __future__ import annotations

import posix

from wharfie.client.address import Address
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "default"
"""The context that is no other: the daemon of this machine, or the one of -H and the environment."""
VARIABLES = (("WHARFIE_HOST", "WHARFIE_CONTEXT"), ("DOCKER_HOST", "DOCKER_CONTEXT"))
"""Of an address and of a context, in the order in which they hold: what is said to us comes first."""
CURRENT = "wharfie-context"
_TLS = frozenset(("tls", "tlsverify", "tlscacert", "tlscert", "tlskey"))


def settings_directory() -> str:
    """Where the user's settings are unless somebody says otherwise."""
    return variable("DOCKER_CONFIG") or (variable("HOME") or "") + "/.docker"


def current_name(directory: str) -> str:
    """The context that ``context use`` made the current one of these settings."""
    try:
        fd = posix.open(f"{directory}/{CURRENT}", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return DEFAULT
    data = posix.read(fd, 4096)
    posix.close(fd)
    return data.decode("utf-8", "replace").strip() or DEFAULT


def chosen(host: str | None, context: str | None, directory: str) -> tuple[str | None, str, str]:
    """Host and name of the context that hold, and the variable that says so, if one does.

    The host is None where it is the context's to say.
    """
    if host or context:
        return host or None, context or DEFAULT, ""
    for of_host, of_context in VARIABLES:
        if value := variable(of_host):
            return value, DEFAULT, of_host
        if value := variable(of_context):
            return None, value, of_context
    return None, current_name(directory), ""


def located(host: str | None, context: str, directory: str, options: dict[str, Any]) -> Address:
    """The address of what was :func:`chosen`; ``options``: those for TLS. Raises InvalidHost, BadContext."""
    if context != DEFAULT:
        from wharfie.client.contextstore import address_of

        return address_of(directory, context)
    address = Address(host)
    asked = not _TLS.isdisjoint(options) or variable("DOCKER_TLS_VERIFY") or variable("DOCKER_TLS")
    if address.port and asked:
        from wharfie.client.tls import of_options

        address.secure(of_options(options, directory))
    return address


def endpoint(host: str | None, context: str | None, directory: str) -> Address:
    """The daemon for a program; raises InvalidHost, BadContext."""
    host, name, said_by = chosen(host, context, directory)
    address = located(host, name, directory, {})
    address.said_by = said_by
    return address
