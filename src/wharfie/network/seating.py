"""Seats: which address, MAC, device and names a container gets in a network.

One database write each and no kernel work: the monitor makes the interface when it makes the namespace.
"""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wharfie.errors import Forbidden, InvalidArgument, NotSupported, listed
from wharfie.network import egress, rates
from wharfie.network.addresses import Pool, mac_for, mac_of
from wharfie.network.driveroptions import EGRESS, RATE, DriverOptions
from wharfie.network.model import AddressUnavailable, Endpoint, Network
from wharfie.network.store import Store
from wharfie.state.db import StateUnwritable
from wharfie.support.ids import new_id

INTERFACE_NAME = "com.docker.network.endpoint.ifname"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatWish:
    """What is asked for a container's seat."""

    container: str
    name: str = ""
    hostname: str = ""
    aliases: Sequence[str] = ()
    ip: str = ""
    ip6: str = ""
    link_local: Sequence[str] = ()
    mac: str = ""
    priority: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    rate: str = ""
    egress: str = ""


def check_mac(text: str) -> None:
    """Whether it is a hardware address, if there is one; raises InvalidArgument."""
    parts = text.replace("-", ":").split(":")
    digits = set("0123456789abcdefABCDEF")
    if text and (len(parts) != 6 or any(len(part) != 2 or set(part) - digits for part in parts)):
        raise InvalidArgument(f"invalid MAC address {text}")


def check(network: Network, wish: SeatWish) -> None:
    """Whether the network can give what is wished; raises InvalidArgument in Docker's words, NotSupported."""
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")
    check_mac(wish.mac)
    check_held(network, wish.options.get(RATE) or wish.rate, wish.options.get(EGRESS) or wish.egress)
    problems = []
    if wish.aliases and not network.user_defined:
        problems.append("network-scoped alias is supported only for containers in user defined networks")
    if (wish.ip or wish.ip6) and not network.user_defined:
        problems.append("user specified IP address is supported on user defined networks only")
    for text, kind, ipv6 in (
        (wish.ip, ipaddress.IPv4Address, False),
        (wish.ip6, ipaddress.IPv6Address, True),
    ):
        if not text:
            continue
        try:
            kind(text)
            valid = True
        except ValueError:
            valid = False
            problems.append(f"invalid IPv{6 if ipv6 else 4} address: {text}")
        subnets = [one.subnet for one in network.subnets if one.ipv6 == ipv6]
        if not subnets:
            problems.append(
                "user specified IP address is supported only when connecting to networks with user "
                "configured subnets"
            )
        elif not valid or not any(_contains(subnet, text) for subnet in subnets):
            problems.append(f"no configured subnet or ip-range contain the IP address {text}")
    for text in wish.link_local:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            problems.append(f"invalid link-local IP address: {text}")
    if problems:
        raise InvalidArgument(f"invalid endpoint settings:\n{listed(problems)}")


def check_held(network: Network, rate: str, listed: str) -> None:
    """Whether who sits there can be held to a rate and a list; raises InvalidArgument, NotSupported."""
    for what, wished in (
        ("a network rate", rates.parse(rate) != rates.Rate()),
        ("an egress list", egress.joined(listed) is not None),
    ):
        if wished and network.driver != "bridge":
            raise NotSupported(
                f"{what} is kept on a bridge, and the network {network.name} has none (driver "
                f"{network.driver})"
            )


def _contains(subnet: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(subnet)


class Seating:
    """The address pools of all networks."""

    def __init__(self, store: Store, mtu: int) -> None:
        self._store = store
        self._mtu = mtu
        self._pools: dict[str, list[Pool]] = {}

    def forget(self, network: Network) -> None:
        """The network has gone, or its subnets changed."""
        self._pools.pop(network.id, None)

    def take(self, network: Network, wish: SeatWish, device: str) -> Endpoint:
        """Seat a container; raises InvalidArgument, AddressUnavailable, StateUnwritable."""
        check(network, wish)
        last: sqlite3.IntegrityError
        for _attempt in (1, 2):
            endpoint = self._made(network, wish, device)
            try:
                self._store.write_endpoint(endpoint)
                return endpoint
            except StateUnwritable:
                self._release(endpoint)
                raise
            except sqlite3.IntegrityError as error:
                # a rolled back transaction left memory ahead of the database: look again, once
                last = error
                self._store.reload()
                self._store.delete_endpoint(wish.container, network.id)
                self.forget(network)
        raise last

    def give_up(self, endpoint: Endpoint) -> None:
        """The addresses are free again."""
        self._release(endpoint)
        self._store.delete_endpoint(endpoint.container, endpoint.network_id)

    def _release(self, endpoint: Endpoint) -> None:
        for pool in self._pools.get(endpoint.network_id, ()):
            for address in (endpoint.address, endpoint.address6):
                if address and ipaddress.ip_address(address) in pool.network:
                    pool.release(address, endpoint.container)

    def _made(self, network: Network, wish: SeatWish, device: str) -> Endpoint:
        identifier = new_id()
        options = DriverOptions.parse(network.options)
        plain = Endpoint(
            identifier,
            wish.container,
            network.name,
            network.id,
            wish.hostname,
            tuple(wish.aliases),
            driver=network.driver,
            user_defined=network.user_defined,
            internal=network.internal,
            priority=wish.priority,
        )
        if not network.subnets:
            return plain
        four = self._address(network, 4, wish.container, wish.ip)
        try:
            six = self._address(network, 6, wish.container, wish.ip6)
        except BaseException:
            if four is not None:
                four[1].release(four[0], wish.container)
            raise
        names = (wish.name, *wish.aliases, wish.container[:12], wish.hostname) if network.user_defined else ()
        mac = wish.mac.lower().replace("-", ":")
        bridged = network.driver == "bridge"
        return Endpoint(
            id=identifier,
            container=wish.container,
            network=network.name,
            network_id=network.id,
            hostname=wish.hostname,
            aliases=tuple(wish.aliases),
            address=four[0] if four else "",
            prefix=four[1].network.prefixlen if four else 0,
            gateway=four[1].way_out if four else "",
            mac=mac or (mac_of(four[0]) if four else mac_for(identifier)),
            mtu=options.mtu or (self._mtu if bridged else 0),
            bridge=device if bridged else "",
            host_interface=f"veth{identifier[:7]}" if bridged else "",
            interface_name=self._interface(wish, options.prefix),
            address6=six[0] if six else "",
            prefix6=six[1].network.prefixlen if six else 0,
            gateway6=six[1].way_out if six else "",
            driver=network.driver,
            parent="" if bridged else device,
            mode="" if bridged else options.mode,
            isolated=bridged and not options.icc,
            internal=network.internal,
            user_defined=network.user_defined,
            priority=wish.priority,
            names=tuple(dict.fromkeys(filter(None, names))),
            link_local=tuple(wish.link_local),
            rate=wish.options.get(RATE) or wish.rate or options.rate,
            egress=";".join(filter(None, (wish.options.get(EGRESS) or wish.egress, options.egress))),
        )

    def _interface(self, wish: SeatWish, prefix: str) -> str:
        taken = {seat.interface_name for seat in self._store.endpoints.get(wish.container, {}).values()}
        wished = wish.options.get(INTERFACE_NAME)
        if wished:
            if wished in taken:
                raise InvalidArgument(f"the interface name {wished} is taken in this container")
            return wished
        number = 0
        while f"{prefix}{number}" in taken:
            number += 1
        return f"{prefix}{number}"

    def _address(
        self, network: Network, version: int, container: str, wished: str
    ) -> tuple[str, Pool] | None:
        pools = [pool for pool in self._of(network) if pool.network.version == version]
        if not pools:
            return None
        if wished:
            pool = next(one for one in pools if ipaddress.ip_address(wished) in one.network)
            return pool.claim(wished), pool
        for pool in pools:
            try:
                return pool.take(container), pool
            except AddressUnavailable:
                if pool is pools[-1]:
                    raise
        return None

    def _of(self, network: Network) -> list[Pool]:
        found = self._pools.get(network.id)
        if found is None:
            found = self._pools[network.id] = [Pool(one) for one in network.subnets]
            members = self._store.members(network.id)
            taken = [address for seat in members for address in (seat.address, seat.address6) if address]
            for pool in found:
                pool.reset(address for address in taken if ipaddress.ip_address(address) in pool.network)
        return found
