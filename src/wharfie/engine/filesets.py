"""The three files every container gets from us: hostname, hosts and resolv.conf.

They are written at each start (addresses change) into the container's directory and bound over its /etc.
A crash cannot hurt: the next start writes them anew, so there is no fsync.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from wharfie.engine.container import Container
from wharfie.network.files import Files
from wharfie.network.model import Endpoint

NAMES = ("hostname", "hosts", "resolv.conf")


def write(
    container: Container,
    files: Files,
    endpoints: Sequence[Endpoint],
    links: Sequence[tuple[str, str]] = (),
    *,
    embedded: bool = False,
) -> dict[str, str]:
    """Write them; the destinations and what is bound there. Raises OSError, InvalidArgument.

    ``embedded``: names are asked of the porter.
    """
    config, asked = container.config, container.host_config
    host_network = asked.network_mode == "host"
    contents = {
        "hostname": files.hostname_file(config.hostname),
        "hosts": files.hosts_file(
            hostname=config.hostname,
            domainname=config.domainname,
            addresses=[address for seat in endpoints for address in (seat.address, seat.address6) if address],
            extra_hosts=asked.extra_hosts or (),
            links=links,
            host_network=host_network,
        ),
        "resolv.conf": files.resolv_conf(
            dns=asked.dns or (),
            dns_search=asked.dns_search or (),
            dns_options=asked.dns_options or (),
            host_network=host_network,
            embedded=embedded,
        ),
    }
    base = container.record.userns_base
    for name, content in contents.items():
        path = f"{container.directory}/{name}"
        # O_NOFOLLOW: the container may have written through its bind, never replaced the file
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(fd, content)
            os.fchmod(fd, 0o644)
            if base:
                os.fchown(fd, base, base)
        finally:
            os.close(fd)
    return destinations(container)


def rewrite_resolver(container: Container, files: Files, *, embedded: bool) -> None:
    """Who is asked for names has changed with the networks; what somebody wrote there himself stays."""
    path = f"{container.directory}/resolv.conf"
    asked = container.host_config
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        made = {
            choice: files.resolv_conf(
                dns=asked.dns or (),
                dns_search=asked.dns_search or (),
                dns_options=asked.dns_options or (),
                embedded=choice,
            )
            for choice in (False, True)
        }
        present = os.read(fd, 1 << 16)
        if present == made[not embedded]:
            os.pwrite(fd, made[embedded], 0)
            os.ftruncate(fd, len(made[embedded]))
    finally:
        os.close(fd)


def destinations(owner: Container) -> dict[str, str]:
    """Where the files of ``owner`` are bound, in its own or a joining container's /etc."""
    return {f"/etc/{name}": f"{owner.directory}/{name}" for name in NAMES}
