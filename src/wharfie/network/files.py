"""What a container reads in /etc/hosts and /etc/resolv.conf.

Docker's rules. hosts: the usual lines, then ``--add-host``, then the container's own addresses; a container
in the host's network gets the host's file. resolv.conf: the host's, without resolvers that a container
cannot reach (loopback ones, and IPv6 ones in a network that has none), with two public ones if none is
left; what was asked for with ``--dns``, ``--dns-search`` and ``--dns-option`` replaces its part whole.
resolv.conf(5), hosts(5).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wharfie.errors import InvalidArgument
from wharfie.support.files import read_file

_HOSTS = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
_PUBLIC = ("8.8.8.8", "8.8.4.4")
EMBEDDED = "127.0.0.11"
_RESOLV_CONF = "/etc/resolv.conf"
_BEHIND_STUB = "/run/systemd/resolve/resolv.conf"
_STUB = "127.0.0.53"


@dataclass(frozen=True, slots=True)
class Resolver:
    """The parts of a resolv.conf that matter."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Resolver:
        """Read a resolv.conf; of several ``search`` or ``domain`` lines the last one counts."""
        servers: list[str] = []
        search: tuple[str, ...] = ()
        options: list[str] = []
        for line in text.splitlines():
            words = line.split()
            if len(words) < 2 or words[0][0] in "#;":
                continue
            if words[0] == "nameserver":
                servers.append(words[1])
            elif words[0] in ("search", "domain"):
                search = tuple(words[1:])
            elif words[0] == "options":
                options += words[1:]
        return cls(tuple(servers), search, tuple(options))


def read_host_file(path: str) -> bytes:
    """A file of the host; empty when it cannot be read."""
    try:
        return read_file(path)
    except (OSError, ValueError):
        return b""


def host_resolver(*, host_network: bool) -> Resolver:
    """The host's resolver settings; behind systemd-resolved's stub, those that it uses itself."""
    found = Resolver.parse(read_host_file(_RESOLV_CONF).decode(errors="replace"))
    if not host_network and found.servers == (_STUB,):
        behind = Resolver.parse(read_host_file(_BEHIND_STUB).decode(errors="replace"))
        if behind.servers:
            return behind
    return found


def resolv_conf(
    host: Resolver, wishes: Resolver, *, host_network: bool = False, embedded: bool = False
) -> bytes:
    """The file for a container, from the host's settings and what was asked for."""
    servers = wishes.servers
    if embedded:
        servers = (EMBEDDED,)
    elif not servers:
        servers = host.servers
        if not host_network:
            servers = tuple(server for server in servers if _reachable(server)) or _PUBLIC
    search = wishes.search or host.search
    if search == (".",):
        search = ()
    options = wishes.options or host.options
    if embedded and not any(option.startswith("ndots:") for option in options):
        # every name is asked as it is first: that of a container has no dot, and is found at once
        options = (*options, "ndots:0")
    lines = ["# made by wharfie; changes stay until the container is started again", ""]
    lines += [f"nameserver {server}" for server in servers]
    if search:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return ("\n".join(lines) + "\n").encode()


def _reachable(server: str) -> bool:
    try:
        address = ipaddress.ip_address(server.partition("%")[0])
    except ValueError:
        return False
    return address.version == 4 and not address.is_loopback and not address.is_unspecified


def parse_extra_hosts(entries: Sequence[str], gateway: str) -> list[tuple[str, str]]:
    """``--add-host`` entries ("name:address") as (address, name); ``host-gateway`` becomes ``gateway``.

    Raises:
        InvalidArgument: an entry has no name, no address, or one that is none.
    """
    found = []
    for entry in entries:
        name, colon, address = entry.partition(":")
        if not colon or not name or not address or any(c.isspace() or c == "\0" for c in name):
            raise InvalidArgument(f'bad format for add-host: "{entry}"')
        if address == "host-gateway":
            if not gateway:
                raise InvalidArgument("unable to derive the IP value for host-gateway")
            address = gateway
        bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from None
        found.append((bare, name))
    return found


def hosts(
    *,
    hostname: str,
    domainname: str,
    addresses: Sequence[str],
    extra: Sequence[tuple[str, str]],
    base: bytes | None,
) -> bytes:
    """The file for a container; ``base`` is the host's, for a container in the host's network."""
    text = _HOSTS if base is None else base.decode(errors="surrogateescape")
    if text and not text.endswith("\n"):
        text += "\n"
    lines = [f"{address}\t{name}\n" for address, name in extra]
    full = f"{hostname}.{domainname}" if domainname else hostname
    short, dot, _rest = full.partition(".")
    names = f"{full} {short}" if dot else full
    lines += [f"{address}\t{names}\n" for address in addresses if names]
    return (text + "".join(lines)).encode(errors="surrogateescape")


class Files:
    """The three files, for one daemon's defaults."""

    def __init__(self, dns: Resolver, gateway: Callable[[], str]) -> None:
        self._dns = dns
        self._gateway = gateway
        """What ``host-gateway`` stands for."""

    def hosts_file(
        self,
        *,
        hostname: str,
        domainname: str = "",
        addresses: Sequence[str] = (),
        extra_hosts: Sequence[str] = (),
        links: Sequence[tuple[str, str]] = (),
        host_network: bool = False,
    ) -> bytes:
        """The content of /etc/hosts; ``extra_hosts`` are "name:address", the address may be ``host-gateway``,
        ``links`` (address, names).

        Raises:
            InvalidArgument: an entry of ``extra_hosts`` is malformed.
        """
        return hosts(
            hostname=hostname,
            domainname=domainname,
            addresses=addresses,
            extra=[*parse_extra_hosts(extra_hosts, self._gateway()), *links],
            base=read_host_file("/etc/hosts") if host_network else None,
        )

    def resolver(self, dns: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Resolver:
        """The container's wishes, else the daemon's."""
        return Resolver(
            tuple(dns) or self._dns.servers,
            tuple(search) or self._dns.search,
            tuple(options) or self._dns.options,
        )

    def upstream(self, dns: Sequence[str]) -> list[str]:
        """Whom the porter asks for names that are not ours."""
        wished = tuple(dns) or self._dns.servers
        return list(wished or host_resolver(host_network=True).servers or _PUBLIC)

    def resolv_conf(
        self,
        *,
        dns: Sequence[str] = (),
        dns_search: Sequence[str] = (),
        dns_options: Sequence[str] = (),
        host_network: bool = False,
        embedded: bool = False,
    ) -> bytes:
        """The content of /etc/resolv.conf: the container's wishes, else the daemon's, else the host's.

        ``embedded``: it asks the porter, who asks those servers.
        """
        wishes = self.resolver(dns, dns_search, dns_options)
        host = host_resolver(host_network=host_network)
        return resolv_conf(host, wishes, host_network=host_network, embedded=embedded)

    def hostname_file(self, hostname: str) -> bytes:
        """The content of /etc/hostname."""
        return f"{hostname}\n".encode()
