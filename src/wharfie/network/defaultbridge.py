"""The default bridge: which address it has, and what the daemon's options make of its subnets.

Decided without I/O, but for the look at what else the host routes, which is taken only when it is needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_address, ip_network

from wharfie.errors import InvalidArgument
from wharfie.network.addresses import AnyNetwork, choose_subnet
from wharfie.network.driveroptions import HOST_BINDING, ICC, MASQUERADE, MTU
from wharfie.network.model import BRIDGE_NAME, DEFAULT_GATEWAYS, Network, Subnet


def choose_interface(
    present: IPv4Interface | None,
    fixed: IPv4Network | None,
    known: Network,
    others: Iterable[Network],
    foreign: Callable[[], Iterable[AnyNetwork]],
) -> IPv4Interface:
    """Its address with prefix: the one it has, what the options say, the one it had, or a free one.

    ``foreign`` gives what the host has addresses in or routes to.
    """
    if present is not None and (fixed is None or fixed.subnet_of(present.network)):
        return present
    if fixed is not None:
        return IPv4Interface((int(fixed.network_address) + 1, fixed.prefixlen))
    taken = [one for one in foreign() if isinstance(one, IPv4Network)]
    if known.subnet:
        subnet = IPv4Network(known.subnet)
        if not any(subnet.overlaps(network) for network in taken if network.prefixlen):
            return IPv4Interface(f"{known.gateway}/{subnet.prefixlen}")
    taken += [IPv4Network(one.subnet) for network in others for one in network.subnets if not one.ipv6]
    subnet = choose_subnet(taken)
    return IPv4Interface((int(subnet.network_address) + 1, subnet.prefixlen))


def subnets(
    interface: IPv4Interface, *, fixed: str, six: str, gateways: tuple[str, str]
) -> tuple[Subnet, ...]:
    """Its subnets; raises InvalidArgument: the options contradict each other."""
    subnet = interface.network
    if fixed and not IPv4Network(fixed).subnet_of(subnet):
        raise InvalidArgument(f"invalid --fixed-cidr {fixed}: the default bridge's subnet is {subnet}")
    found = [Subnet(str(subnet), str(interface.ip), "" if fixed == str(subnet) else fixed)]
    if six:
        network6 = IPv6Network(six)
        found.append(Subnet(str(network6), str(network6.network_address + 1)))
    for place, address in enumerate(gateways):
        if not address or place >= len(found):
            continue
        one = found[place]
        if ip_address(address) not in ip_network(one.subnet):
            option = "--default-gateway-v6" if place else "--default-gateway"
            raise InvalidArgument(f"invalid {option} {address}: the default bridge's subnet is {one.subnet}")
        found[place] = dataclasses.replace(one, auxiliary={DEFAULT_GATEWAYS[place]: address})
    return tuple(found)


def options(name: str, *, icc: bool, masquerade: bool, binding: str, mtu: int) -> dict[str, str]:
    """What an inspection shows of it, by Docker's names."""
    return {
        "com.docker.network.bridge.default_bridge": "true",
        ICC: str(icc).lower(),
        MASQUERADE: str(masquerade).lower(),
        HOST_BINDING: binding or "0.0.0.0",
        BRIDGE_NAME: name,
        MTU: str(mtu),
    }
