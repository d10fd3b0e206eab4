"""Ports of the host that are published: reserved by a socket, so that nobody else gets them.

::

    request "8000-8010:80/tcp" ─▶ a free port ─▶ bind, listen ─▶ Published, and the socket in our hands
                                     │ none: who holds it

The packet filter leads connections past the socket; what reaches it all the same (the families that the
filter cannot join, and ports for which the host's own rules apply) is served by the porter, to which the
sockets are given. A TCP socket listens because two sockets that do not, and that allow reuse, may share a
port.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from wharfie.errors import InternalError, InvalidArgument, NotSupported
from wharfie.network import holders
from wharfie.network.model import Published

_KEY = re.compile(r"([0-9]+)(?:/([A-Za-z]+))?")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")
_BACKLOG = 4096
_FALLBACK_RANGE = (32768, 60999)


class PortInUse(InternalError):
    """Somebody else has it."""


@dataclass(frozen=True, slots=True)
class PortRequest:
    """One binding as it is asked for; ``low`` 0 for a port of our choice."""

    port: int
    protocol: str
    host_ip: str = ""
    low: int = 0
    high: int = 0
    host_rules: bool = False
    """The host's own firewall rules for local ports are to apply."""


def parse(bindings: Mapping[str, Sequence[tuple[str, str, str]]]) -> list[PortRequest]:
    """``{"80/tcp": [(host ip, host port, firewall)]}`` as requests; raises InvalidArgument."""
    found = []
    for name, wanted in bindings.items():
        port, protocol = parse_port(name)
        for host_ip, host_port, firewall in wanted or [("", "", "")]:
            low, high = _host_range(host_port)
            if firewall not in ("", "own", "host"):
                raise InvalidArgument(f"invalid firewall {firewall} of port {name}: it is own or host")
            address = _host_address(host_ip)
            found.append(PortRequest(port, protocol, address, low, high, firewall == "host"))
    return found


def parse_port(name: str) -> tuple[int, str]:
    """``80/tcp``; raises InvalidArgument."""
    match = _KEY.fullmatch(name)
    digits = name.partition("/")[0]
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
        raise InvalidArgument(f'invalid port specification: "{digits}"')
    number, protocol = int(digits), (match[2] if match and match[2] else "tcp").lower()
    if match is None or protocol not in _PROTOCOLS:
        raise InvalidArgument(f'invalid port specification: "{name}"')
    return number, protocol


def _host_range(text: str) -> tuple[int, int]:
    if not text or text == "0":
        return 0, 0
    match = _RANGE.fullmatch(text)
    low = int(match[1]) if match else 0
    high = int(match[2] or low) if match else 0
    if not 0 < low <= high < 65536:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    return low, high


def _host_address(text: str) -> str:
    if not text:
        return ""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


Key = tuple[str, str, int]


class Ports:
    """All that are taken."""

    def __init__(self, container_name: Callable[[str], str] = lambda identifier: identifier[:12]) -> None:
        self.sockets: dict[Key, socket.socket] = {}
        """Reserved by us and not given to the porter yet."""
        self.owners: dict[Key, str] = {}
        self._numbers: dict[int, list[Key]] = {}
        """The same by port: a range may have thousands."""
        self.container_name = container_name
        self._next = 0

    def reserve(
        self, container: str, requests: Sequence[PortRequest], *, ipv4: bool, ipv6: bool, default_ip: str = ""
    ) -> list[Published]:
        """Take a port for each; all or none.

        ``ipv4``, ``ipv6``: the families of the container's addresses. Raises PortInUse, InvalidArgument.
        """
        made: list[Published] = []
        try:
            for request in requests:
                addresses = _addresses(request, ipv4=ipv4, ipv6=ipv6, default_ip=default_ip)
                made += self._one(container, request, addresses, (ipv4, ipv6))
        except BaseException:
            self.release(made)
            raise
        return made

    def release(self, published: Iterable[Published]) -> list[Key]:
        """Give them back; the keys that the porter is to let go."""
        keys = [one.key for one in published]
        gone = []
        for key in keys:
            self._disown(key)
            sock = self.sockets.pop(key, None)
            if sock is not None:
                sock.close()
            else:
                gone.append(key)
        return gone

    def adopt(self, container: str, published: Iterable[Published], kept: Iterable[Key]) -> list[Key]:
        """After the daemon's restart: the ports of a running container; those that could not be had again."""
        lost = []
        kept = set(kept)
        for one in published:
            key = one.key
            self._own(key, container)
            if key in kept:
                continue
            try:
                if key not in self.sockets:
                    self._bind(key, own=True)
            except OSError:
                lost.append(key)
        return lost

    def _one(
        self, container: str, request: PortRequest, addresses: Sequence[str], families: tuple[bool, bool]
    ) -> list[Published]:
        trouble: OSError | None = None
        tried = 0
        for number in self._candidates(request):
            tried = number
            taken: list[Key] = []
            try:
                for address in addresses:
                    key = (request.protocol, address, number)
                    self._bind(key)
                    taken.append(key)
                    self._own(key, container)
            except OSError as error:
                for key in taken:
                    self._disown(key)
                    if key in self.sockets:
                        self.sockets.pop(key).close()
                trouble = error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    break
                continue
            return [
                Published(
                    request.port,
                    request.protocol,
                    address,
                    number,
                    request.host_rules or not families[":" in address],
                )
                for address in addresses
            ]
        raise self._refusal(request, addresses[0], tried, trouble)

    def _candidates(self, request: PortRequest) -> Iterable[int]:
        if request.low:
            return range(request.low, request.high + 1)
        low, high = _ephemeral()
        if not low <= self._next <= high:
            self._next = low
        start = self._next
        self._next = start + 1
        return (*range(start, min(high + 1, start + 512)), *range(low, min(start, low + 512)))

    def _bind(self, key: Key, *, own: bool = False) -> None:
        """Raises OSError."""
        protocol, address, port = key
        if any(other[0] == protocol and _overlap(other[1], address) for other in self._at(port)) and not own:
            raise OSError(errno.EADDRINUSE, "taken by a container")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        number = socket.IPPROTO_SCTP if protocol == "sctp" else 0
        sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if protocol == "tcp":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if protocol != "udp":
                sock.listen(_BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        self.sockets[key] = sock

    def _own(self, key: Key, container: str) -> None:
        if key not in self.owners:
            self._numbers.setdefault(key[2], []).append(key)
        self.owners[key] = container

    def _disown(self, key: Key) -> None:
        if self.owners.pop(key, None) is not None:
            keys = self._numbers[key[2]]
            keys.remove(key)
            if not keys:
                del self._numbers[key[2]]

    def _at(self, port: int) -> list[Key]:
        return self._numbers.get(port, [])

    def _refusal(
        self, request: PortRequest, address: str, port: int, trouble: OSError | None
    ) -> PortInUse | InvalidArgument | NotSupported:
        if trouble is not None and trouble.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            return NotSupported(
                f"port {request.port}/{request.protocol} cannot be published: this kernel has no "
                f"{request.protocol.upper()} (its module {request.protocol} is not there)"
            )
        where = f"{f'[{address}]' if ':' in address else address}:{port}"
        if trouble is not None and trouble.errno == errno.EADDRNOTAVAIL:
            return InvalidArgument(
                f"failed to bind host port {where}/{request.protocol}: cannot assign requested address"
            )
        if trouble is not None and trouble.errno != errno.EADDRINUSE:
            return InvalidArgument(f"failed to bind host port {where}/{request.protocol}: {trouble.strerror}")
        if not request.low:
            return PortInUse("all ports are allocated")
        if request.high > request.low:
            return PortInUse(
                f"Bind for {address} failed: all ports from {request.low} to {request.high} are in use"
            )
        for key in self._at(port):
            if key[0] == request.protocol:
                owner = self.container_name(self.owners[key])
                return PortInUse(f"Bind for {where} failed: port is already allocated by container {owner}")
        by = holders.process_at(request.protocol, port)
        return PortInUse(f"Bind for {where} failed: address already in use{f' by {by}' if by else ''}")


def _overlap(one: str, other: str) -> bool:
    if (":" in one) != (":" in other):
        return False
    return one == other or one in ("0.0.0.0", "::") or other in ("0.0.0.0", "::")


def _addresses(request: PortRequest, *, ipv4: bool, ipv6: bool, default_ip: str) -> list[str]:
    if request.host_ip:
        return [request.host_ip]
    if default_ip and default_ip != "0.0.0.0":
        return [default_ip]
    found = ["0.0.0.0"] if ipv4 or request.protocol != "sctp" else []
    if (ipv6 or request.protocol != "sctp") and holders.has_ipv6():
        found.append("::")
    return found or ["0.0.0.0"]


def _ephemeral() -> tuple[int, int]:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low, high = file.read().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return _FALLBACK_RANGE
