"""Which subnet a network gets, and which address a container.

Both are decided without I/O. A released address rests for some seconds before another container gets it: the
old namespace dies behind its process, and for that moment the bridge still knows its MAC at the old port.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterable
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Network,
    ip_address,
    ip_network,
)

from wharfie.errors import InvalidArgument
from wharfie.network.model import AddressTaken, AddressUnavailable, Subnet

AnyNetwork = IPv4Network | IPv6Network
DEFAULT_POOLS = tuple(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)) + tuple(
    IPv4Network("192.168.0.0/16").subnets(new_prefix=20)
)
USER_POOLS = (
    *((IPv4Network(f"172.{second}.0.0/16"), 24) for second in range(18, 32)),
    (IPv4Network("192.168.0.0/16"), 24),
)
"""For networks that somebody makes: small ones, so that there are thousands of them."""
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


def choose_small(taken: Iterable[str], pools: Iterable[tuple[AnyNetwork, int]], version: int) -> AnyNetwork:
    """The first part, of its pool's size, that overlaps nothing in ``taken``; raises AddressUnavailable.

    One walk over what is taken: a network more costs no search of all the others.
    """
    occupied = sorted((low, high) for family, low, high in map(ends, taken) if family == version)
    for pool, size in pools:
        if pool.version != version:
            continue
        step = 1 << (pool.max_prefixlen - size)
        start, end = int(pool.network_address), int(pool.broadcast_address)
        for low, high in occupied:
            if high < start:
                continue
            if low > start + step - 1:
                break
            start = (high // step + 1) * step
        if start + step - 1 <= end:
            return type(pool)((start, size))
    raise AddressUnavailable(
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults to "
        "assign to the network"
    )


@functools.lru_cache(maxsize=4096)
def ends(subnet: str) -> tuple[int, int, int]:
    """Version, first and last address. Parsed once: there may be hundreds, and each new network is held
    against all of them."""
    network = ip_network(subnet)
    return network.version, int(network.network_address), int(network.broadcast_address)


def overlap(one: str, other: str) -> bool:
    """Whether two subnets have an address in common."""
    (version, low, high), (theirs, first, last) = ends(one), ends(other)
    return version == theirs and low <= last and first <= high


def local_pool(seed: str) -> tuple[IPv6Network, int]:
    """A unique local prefix that is always the same for this machine (RFC 4193), to be cut into /64s."""
    digest = hashlib.sha256(seed.encode()).digest()
    return IPv6Network((int.from_bytes(b"\xfd" + digest[:5] + bytes(10), "big"), 48)), 64


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


def mac_for(seat: str) -> str:
    """A MAC address for a seat without an IPv4 address, from its id."""
    return "02:42:" + bytes.fromhex(seat[:8]).hex(":")


class Pool:
    """The addresses of one subnet, of either family.

    What is in use is remembered here and in the database; when they disagree (a transaction was rolled back),
    the owner calls :meth:`reset` with what the database says.
    """

    def __init__(self, subnet: Subnet, clock: Callable[[], float] = time.monotonic) -> None:
        self.network: AnyNetwork = ip_network(subnet.subnet)
        self.way_out = subnet.way_out
        self._clock = clock
        part: AnyNetwork = ip_network(subnet.range) if subnet.range else self.network
        self._lowest = int(self.network.network_address) + 1
        self._highest = int(self.network.broadcast_address) - (1 if self.network.version == 4 else 0)
        if self.network.prefixlen >= self.network.max_prefixlen - 1:
            self._lowest, self._highest = (
                int(self.network.network_address),
                int(self.network.broadcast_address),
            )
        self._first = max(int(part.network_address), self._lowest)
        self._last = min(int(part.broadcast_address), self._highest)
        self._reserved = {int(ip_address(address)) for address in subnet.auxiliary.values()}
        if subnet.gateway:
            self._reserved.add(int(ip_address(subnet.gateway)))
        self._used: set[int] = set(self._reserved)
        self._resting: dict[int, tuple[float, str]] = {}
        self._next = self._first

    def reset(self, addresses: Iterable[str]) -> None:
        """Take exactly ``addresses`` (and the reserved ones) for used."""
        self._used = {int(ip_address(address)) for address in addresses} | self._reserved
        self._next = self._first

    def take(self, container: str) -> str:
        """The address that ``container`` had a moment ago, or the lowest one that is free and rested."""
        self._wake()
        for number, (_since, owner) in self._resting.items():
            if owner == container and number not in self._used:
                return self._give(number)
        number = self._next
        while number in self._used or number in self._resting:
            number += 1
        self._next = number
        if number > self._last:
            tired = [candidate for candidate in self._resting if candidate not in self._used]
            if not tired:
                raise AddressUnavailable(
                    f"no available IPv{self.network.version} addresses on this network's address pools: "
                    f"{self.network}"
                )
            number = tired[0]
        return self._give(number)

    def claim(self, address: str) -> str:
        """Take this very address; raises AddressUnavailable, AddressTaken."""
        found = ip_address(address)
        number = int(found)
        if found not in self.network:
            raise AddressUnavailable(f"no configured subnet contains the address {address}")
        if number in self._used or not self._lowest <= number <= self._highest:
            raise AddressTaken
        return self._give(number)

    def release(self, address: str, container: str) -> None:
        """Give an address back."""
        number = int(ip_address(address))
        if number in self._used and number not in self._reserved:
            self._used.discard(number)
            if self._first <= number <= self._last:
                self._resting[number] = (self._clock(), container)

    def _give(self, number: int) -> str:
        self._resting.pop(number, None)
        self._used.add(number)
        return str(type(self.network.network_address)(number))

    def _wake(self) -> None:
        before = self._clock() - REST_SECONDS
        # in the order of release: the first one that still rests ends the search
        for number, (since, _owner) in list(self._resting.items()):
            if since > before:
                break
            del self._resting[number]
            self._next = min(self._next, number)
