"""Which daemon is meant: by an address, by a context, by the environment, or our own where nobody says."""

from __future__ import annotations

import posix

from wharfie.client.address import Address
from wharfie.support.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "default"
"""The context that is no other: the daemon of this machine, or the one of -H and WHARFIE_HOST."""
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


def chosen(host: str | None, context: str | None, directory: str) -> tuple[str | None, str]:
    """Host and name of the context that hold; None for the host where it is the context's to say."""
    if not context:
        host = host or variable("WHARFIE_HOST")
        context = DEFAULT if host else variable("WHARFIE_CONTEXT") or current_name(directory)
    return host or None, context


def located(host: str | None, context: str, directory: str, options: dict[str, Any]) -> Address:
    """The address of what was :func:`chosen`; ``options``: those for TLS. Raises InvalidHost, BadContext."""
    if context != DEFAULT:
        from wharfie.client.contextstore import address_of

        return address_of(directory, context)
    address = Address(host)
    asked = not _TLS.isdisjoint(options) or variable("DOCKER_TLS_VERIFY") or variable("DOCKER_TLS")
    if address.port and asked:
        from wharfie.client.tls import of_options

        address.tls = of_options(options, directory)
    return address


def endpoint(host: str | None, context: str | None, directory: str) -> Address:
    """The daemon for a program, and where nothing of ours is said ``DOCKER_HOST`` holds.

    Raises InvalidHost, BadContext.
    """
    host, context = chosen(host, context, directory)
    return located(host or variable("DOCKER_HOST") or None, context, directory, {})
