"""What Docker refuses in a new network, in its words, and what becomes of the rest.

Decided without I/O: the networks that are there and the prefixes that the host uses come in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wharfie.errors import Forbidden, InvalidArgument, NotFound, NotSupported, listed
from wharfie.network.addresses import AnyNetwork, choose_small, overlap
from wharfie.network.driveroptions import DriverOptions
from wharfie.network.model import BRIDGE_NAME, BUILT_IN, DEFAULT_GATEWAYS, Network, Subnet
from wharfie.network.seating import check_held
from wharfie.support.ids import new_id

DRIVERS = ("bridge", "host", "null", "macvlan")
Pools = Sequence[tuple[AnyNetwork, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A network as somebody asks for it."""

    name: str
    driver: str = ""
    subnets: tuple[Subnet, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ipv4: bool | None = None
    ipv6: bool | None = None
    internal: bool = False
    attachable: bool = False
    scope: str = ""
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] | None = None
    config_only: bool = False
    config_from: str = ""


class PoolOverlap(Forbidden):
    """The subnet is in use."""

    def __init__(self) -> None:
        super().__init__("invalid pool request: Pool overlaps with other one on this address space")


def plan(wish: Wish, present: Iterable[Network], taken: Iterable[AnyNetwork], pools: Pools) -> Network:
    """The network that shall be; raises InvalidArgument, Forbidden, NotFound, AddressUnavailable."""
    driver = _check(wish)
    if wish.config_only:
        return _settings(wish)
    others = [one for one in present if not one.config_only]
    options = DriverOptions.parse(wish.options)
    if driver in ("host", "null"):
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    ipv4 = wish.ipv4 is not False
    ipv6 = wish.ipv6 is True
    if not ipv4 and not ipv6:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    identifier = new_id()
    wished = [one for one in wish.subnets if one.subnet and (ipv6 if one.ipv6 else ipv4)]
    _check_subnets(wish.subnets, ipv6=ipv6)
    for name, address in ((name, address) for one in wished for name, address in one.auxiliary.items()):
        if not address:
            raise InvalidArgument(
                f"non parsable secondary ip address ({name}:) passed for network {wish.name}"
            )
    used = [one.subnet for other in others for one in other.subnets]
    for one in wished:
        if driver != "macvlan" and any(overlap(one.subnet, other) for other in used):
            raise PoolOverlap
    busy = [*used, *map(str, taken), *(one.subnet for one in wished)]
    for version, enabled in ((4, ipv4), (6, ipv6)):
        if enabled and not any(one.ipv6 == (version == 6) for one in wished):
            chosen = choose_small(busy, pools, version)
            bare = next((one for one in wish.subnets if not one.subnet and one.gateway), None)
            wished.append(Subnet(str(chosen), bare.gateway if bare and version == 4 else ""))
    made = Network(
        identifier,
        wish.name,
        driver,
        time.time_ns(),
        tuple(_with_gateway(one) for one in wished),
        dict(wish.options),
        dict(wish.labels),
        ipv4=ipv4,
        ipv6=ipv6,
        internal=wish.internal,
        attachable=wish.attachable,
        ipam_options=None if wish.ipam_options is None else dict(wish.ipam_options),
        config_from=wish.config_from,
    )
    if driver == "bridge":
        _check_bridge(made, others)
    elif options.parent:
        _check_parent(made, options, others)
    check_held(made, options.rate, options.egress)
    return made


def _settings(wish: Wish) -> Network:
    """What is kept for other networks: as it was given, nothing is chosen."""
    _check_subnets(wish.subnets, ipv6=wish.ipv6 is True)
    return Network(
        new_id(),
        wish.name,
        "null",
        time.time_ns(),
        wish.subnets,
        dict(wish.options),
        dict(wish.labels),
        ipv4=wish.ipv4 is not False,
        ipv6=wish.ipv6 is True,
        ipam_driver=wish.ipam_driver or "default",
        ipam_options=None if wish.ipam_options is None else dict(wish.ipam_options),
        config_only=True,
    )


def _check(wish: Wish) -> str:
    if not wish.name.strip():
        raise InvalidArgument("invalid name: name is empty")
    if wish.name in BUILT_IN or wish.name == "default":
        raise Forbidden(f"operation is not permitted on predefined {wish.name} network")
    if ":" in wish.name or "/" in wish.name or "\0" in wish.name:
        raise InvalidArgument(f"invalid network name {wish.name}: it holds a colon, a slash or a NUL")
    driver = wish.driver or "bridge"
    if driver == "overlay" or wish.scope == "swarm":
        raise NotSupported("networks across machines are not supported: this node is not a swarm manager")
    if driver not in DRIVERS:
        raise NotFound(f'plugin "{driver}" not found')
    if wish.scope not in ("", "local"):
        raise InvalidArgument(f"invalid scope {wish.scope}: networks of one machine are local")
    if wish.ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{wish.ipam_driver}" not found')
    return driver


def _check_subnets(subnets: Sequence[Subnet], *, ipv6: bool) -> None:
    problems: list[str] = []
    seen: list[AnyNetwork] = []
    for one in subnets:
        if not one.subnet:
            if one.range or one.auxiliary:
                problems.append("invalid subnet : invalid CIDR block notation")
            continue
        try:
            subnet = _prefix(one.subnet)
        except ValueError:
            problems.append(f"invalid subnet {one.subnet}: invalid CIDR block notation")
            continue
        masked = ip_network(subnet.with_prefixlen, strict=False)
        if (
            one.subnet.partition("/")[0] != str(masked.network_address)
            and ip_address(one.subnet.partition("/")[0]) != masked.network_address
        ):
            problems.append(f"invalid subnet {one.subnet}: it should be {masked}")
        if masked.version == 6 and not ipv6:
            continue
        if any(masked.overlaps(other) for other in seen if other.version == masked.version):
            raise PoolOverlap
        seen.append(masked)
        _check_range(one.range, masked, problems)
        _check_inside(one.gateway, masked, "gateway", problems)
        for name, address in one.auxiliary.items():
            _check_inside(address, masked, "auxiliary address", problems, name)
    if problems:
        raise InvalidArgument("invalid network config:\n" + listed(problems))


def _prefix(text: str) -> IPv4Network | IPv6Network:
    if "/" not in text:
        raise ValueError(text)
    return ip_network(text, strict=False)


def _check_range(text: str, subnet: AnyNetwork, problems: list[str]) -> None:
    if not text:
        return
    try:
        found = _prefix(text)
    except ValueError:
        problems.append(f"invalid ip-range {text}: invalid CIDR block notation")
        return
    if found.version != subnet.version:
        problems.append(f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block")
        return
    if found.prefixlen < subnet.prefixlen:
        problems.append(f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}")
    if ip_address(text.partition("/")[0]) != found.network_address:
        problems.append(f"invalid ip-range {text}: it should be {found}")
    elif found.network_address not in subnet:
        problems.append(f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range")


def _check_inside(text: str, subnet: AnyNetwork, what: str, problems: list[str], name: str = "") -> None:
    if not text:
        return
    shown = name or text
    try:
        found = ip_address(text)
    except ValueError:
        problems.append(f"invalid {what} {shown}: invalid address")
        return
    if found.version != subnet.version:
        problems.append(f"invalid {what} {shown}: parent subnet is an IPv{subnet.version} block")
    elif found not in subnet:
        problems.append(f"invalid {what} {shown}: parent subnet {subnet} doesn't contain this address")


def _with_gateway(one: Subnet) -> Subnet:
    """The first address of the subnet (of the range, if there is one) is the gateway's, if none is given."""
    subnet = ip_network(one.subnet)
    taken: set[IPv4Address | IPv6Address] = set()
    if subnet.version == 4 and subnet.prefixlen < subnet.max_prefixlen - 1:
        taken = {subnet.network_address, subnet.broadcast_address}
    if one.gateway:
        gateway = ip_address(one.gateway)
        if gateway in taken:
            raise Forbidden(f"failed to allocate gateway ({gateway}): Address already in use")
    else:
        gateway = _first(subnet, ip_network(one.range) if one.range else subnet)
    taken.add(gateway)
    for name, text in one.auxiliary.items():
        address = ip_address(text)
        if address in taken and name not in DEFAULT_GATEWAYS:
            raise Forbidden(
                f"failed to allocate secondary ip address ({name}:{address}): Address already in use"
            )
        taken.add(address)
    return Subnet(str(subnet), str(gateway), one.range, one.auxiliary)


def _first(subnet: AnyNetwork, part: AnyNetwork) -> IPv4Address | IPv6Address:
    number = int(part.network_address)
    if part.network_address == subnet.network_address:
        number += 1
    found = type(subnet.network_address)(number)
    if found not in subnet or subnet.prefixlen == subnet.max_prefixlen:
        raise InvalidArgument(f"failed to allocate gateway (): no available addresses in {subnet}")
    return found


def _check_bridge(made: Network, others: Sequence[Network]) -> None:
    for other in others:
        if BRIDGE_NAME not in made.options and BRIDGE_NAME not in other.options:
            continue  # named by their ids
        if other.driver == "bridge" and other.name != "bridge" and other.device == made.device:
            raise Forbidden(
                f"cannot create network {made.id} ({made.device}): conflicts with network {other.id} "
                f"({other.device}): networks have same bridge name"
            )


def _check_parent(made: Network, options: DriverOptions, others: Sequence[Network]) -> None:
    for other in others:
        if other.driver != "macvlan":
            continue
        theirs = DriverOptions.parse(other.options)
        if theirs.parent == options.parent and not theirs.mode == options.mode == "bridge":
            raise Forbidden(f"network {other.name} is already using parent interface {options.parent}")
