"""Which daemon is meant: by an address, by a context, by the environment, or our own where nobody says."""

from __future__ import annotations

import posix

from wharfie.client.address import Address
from wharfie.support.environment import variable

DEFAULT = "default"
"""The context that is no other: the daemon of this machine, or the one of -H and WHARFIE_HOST."""
CURRENT = "wharfie-context"


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


def endpoint(host: str | None, context: str | None, directory: str) -> Address:
    """The daemon for a program: as :func:`chosen`, and where nothing of ours is said ``DOCKER_HOST`` holds.

    Raises InvalidHost, BadContext.
    """
    host, context = chosen(host, context, directory)
    if context != DEFAULT:
        from wharfie.client.contextstore import host_of

        host = host_of(directory, context)
    return Address(host or variable("DOCKER_HOST") or None)
