"""Which subnet the bridge gets, and which address a container.

Both are decided without I/O. A released address rests for some seconds before another container gets it: the
old namespace dies behind its process, and for that moment the bridge still knows its MAC at the old port.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from wharfie.errors import InvalidArgument
from wharfie.network.model import AddressUnavailable

DEFAULT_POOLS = tuple(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)) + tuple(
    IPv4Network("192.168.0.0/16").subnets(new_prefix=20)
)
REST_SECONDS = 5.0


def choose_subnet(taken: Iterable[IPv4Network], pools: Iterable[IPv4Network] = DEFAULT_POOLS) -> IPv4Network:
    """The first pool that overlaps nothing in ``taken``; raises AddressUnavailable."""
    occupied = [network for network in taken if network.prefixlen > 0]
    for pool in pools:
        if not any(pool.overlaps(network) for network in occupied):
            return pool
    raise AddressUnavailable(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the "
        "network; choose one with --bip"
    )


def parse_bip(text: str) -> IPv4Interface:
    """The bridge's own address and its subnet from ``--bip``; raises InvalidArgument."""
    try:
        interface = IPv4Interface(text)
    except ValueError:
        raise InvalidArgument(
            f"invalid --bip {text}: it must be an address with a prefix, as 192.168.5.1/24"
        ) from None
    network = interface.network
    if "/" not in text or network.prefixlen > 30:
        raise InvalidArgument(
            f"invalid --bip {text}: the prefix must leave room for containers, as in 192.168.5.1/24"
        )
    if interface.ip in (network.network_address, network.broadcast_address):
        raise InvalidArgument(f"invalid --bip {text}: it must be the address of a host in its subnet")
    return interface


def mac_of(address: str) -> str:
    """The MAC address that goes with an IPv4 address: locally administered, as unique as the address."""
    return "02:42:" + IPv4Address(address).packed.hex(":")


class Pool:
    """The addresses of one subnet.

    What is in use is remembered here and in the database; when they disagree (a transaction was rolled back),
    the owner calls :meth:`reset` with what the database says.
    """

    def __init__(self, interface: IPv4Interface, clock: Callable[[], float] = time.monotonic) -> None:
        self.interface = interface
        self._clock = clock
        self._first = int(interface.network.network_address) + 1
        self._last = int(interface.network.broadcast_address) - 1
        self._used: set[int] = {int(interface.ip)}
        self._resting: dict[int, tuple[float, str]] = {}

    def reset(self, addresses: Iterable[str]) -> None:
        """Take exactly ``addresses`` (and the bridge's own) for used."""
        self._used = {int(IPv4Address(address)) for address in addresses}
        self._used.add(int(self.interface.ip))

    def take(self, container: str) -> str:
        """The address that ``container`` had a moment ago, or the lowest one that is free and rested."""
        self._wake()
        for number, (_since, owner) in self._resting.items():
            if owner == container and number not in self._used:
                return self._give(number)
        number = self._first
        while number in self._used or number in self._resting:
            number += 1
        if number > self._last:
            tired = [candidate for candidate in self._resting if candidate not in self._used]
            if not tired:
                raise AddressUnavailable(
                    f"no available IPv4 addresses on this network's address pools: {self.subnet}"
                )
            number = tired[0]
        return self._give(number)

    def claim(self, address: str) -> None:
        """Take this very address; raises AddressUnavailable."""
        number = int(IPv4Address(address))
        if not self._first <= number <= self._last:
            raise AddressUnavailable(f"no configured subnet contains the address {address}")
        if number in self._used:
            raise AddressUnavailable("Address already in use")
        self._give(number)

    def release(self, address: str, container: str) -> None:
        """Give an address back."""
        number = int(IPv4Address(address))
        self._used.discard(number)
        self._resting[number] = (self._clock(), container)

    @property
    def subnet(self) -> str:
        """The subnet in CIDR form."""
        return str(self.interface.network)

    def _give(self, number: int) -> str:
        self._resting.pop(number, None)
        self._used.add(number)
        return str(IPv4Address(number))

    def _wake(self) -> None:
        before = self._clock() - REST_SECONDS
        # in the order of release: the first one that still rests ends the search
        for number, (since, _owner) in list(self._resting.items()):
            if since > before:
                break
            del self._resting[number]
