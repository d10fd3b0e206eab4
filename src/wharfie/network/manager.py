"""The daemon's networks: the built-in ones and those that people made, and who sits in them.

::

    setup()       bridges, addresses, forwarding, firewall; safe to repeat, puts back what somebody removed
    recover(ids)  setup() for a start with containers alive: seats of unknown containers are given up
    create()      a network more: a row, a bridge, a few elements of the firewall's sets
    seat()        an address and a name for the host's side of the veth, in one database write; no kernel
                  work: the monitor makes the interface when it makes the namespace
    disconnect()  the addresses are free; the interfaces died with their namespace
    teardown()    the firewall table, the bridges, and forwarding if it was off before

All of it belongs to the daemon's event loop thread, as the database does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Interface, IPv4Network, ip_network
from typing import TypeVar

from wharfie.errors import Conflict, InvalidArgument
from wharfie.network import configuration, creating, defaultbridge, files, parents, traffic
from wharfie.network.addresses import USER_POOLS, local_pool, parse_bip
from wharfie.network.bridge import REMARK, Bridge, View
from wharfie.network.creating import Pools, Wish
from wharfie.network.departures import Departures
from wharfie.network.driveroptions import DriverOptions
from wharfie.network.firewall import Firewall, FirewallMissing, NetworkRules
from wharfie.network.foreign import Foreign
from wharfie.network.forwarding import Routing
from wharfie.network.model import (
    BUILT_IN,
    Endpoint,
    Mode,
    ModeKind,
    Network,
    NetworkExists,
    NetworkInUse,
    NetworkNotFound,
    NetworkUnavailable,
)
from wharfie.network.porter import Porter
from wharfie.network.ports import Ports
from wharfie.network.publishing import Publishing
from wharfie.network.restrictions import Restrictions
from wharfie.network.seating import Seating, SeatWish, check
from wharfie.network.store import Store
from wharfie.state.db import Database
from wharfie.support.faults import point

DEFAULT_BRIDGE = "wharfie0"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What dockerd's options say about networks."""

    bridge: str = DEFAULT_BRIDGE
    """The default bridge; "none" for no default network."""
    bip: str = ""
    """The bridge's own address with prefix; a free subnet is picked without it."""
    subnet6: str = ""
    """--fixed-cidr-v6: the default bridge speaks IPv6 too."""
    fixed_cidr: str = ""
    """The part of the default bridge's subnet that is given out."""
    default_gateway: str = ""
    """What its containers' default route leads through, instead of the bridge."""
    default_gateway6: str = ""
    mtu: int = 1500
    icc: bool = True
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway: str = ""
    """What ``--add-host name:host-gateway`` stands for; the bridge's address without it."""
    host_binding: str = ""
    """--ip: where ports are published that say nothing."""
    host_rules: bool = False
    """The host's own firewall rules for local ports apply to published ones."""
    firewall: bool = True
    forward: bool = True
    masquerade: bool = True
    pools: Pools = ()
    """default-address-pools; small ones of our own without it."""


class NetworkManager:
    """All networks and their endpoints."""

    def __init__(
        self,
        db: Database,
        *,
        exec_root: str,
        settings: NetworkSettings | None = None,
        porter: Porter | None = None,
    ) -> None:
        """Nothing is done to the kernel before :meth:`setup`.

        ``exec_root`` is where it is remembered, until the next boot, that forwarding was switched on.

        Raises:
            InvalidArgument: the default bridge's name or address cannot be.
        """
        self.settings = settings = settings or NetworkSettings()
        self._bip = parse_bip(settings.bip) if settings.bip else None
        self.remark = f"{REMARK} for {settings.bridge}"
        self._bridge = Bridge(settings.bridge, self.remark) if settings.bridge != "none" else None
        self._firewall = Firewall(settings.bridge) if settings.firewall else None
        self._routing = Routing(exec_root, wanted=settings.forward)
        self.store = Store(db)
        self.porter = porter or Porter()
        self.departures = Departures()
        self._foreign = Foreign()
        self._seating = Seating(self.store, settings.mtu)
        self.ports = Ports()
        self.publishing = Publishing(
            self.store, self.ports, self._firewall, self.porter, host_rules=settings.host_rules
        )
        self.restrictions = Restrictions(self._firewall, self.porter)
        dns = files.Resolver(settings.dns, settings.dns_search, settings.dns_options)
        self.files = files.Files(dns, lambda: settings.host_gateway or self.gateway)
        self._pools = (*(settings.pools or USER_POOLS), local_pool(self.store.networks["host"].id))
        self._fixed = IPv4Network(settings.fixed_cidr) if settings.fixed_cidr else None
        self._ready = False
        self._changing = asyncio.Lock()
        """While a network goes, nobody makes another one with its device."""

    @property
    def has_bridge(self) -> bool:
        """Whether there is a default bridge; without one its containers have loopback only."""
        return self._bridge is not None

    @property
    def gateway(self) -> str:
        """The default bridge's own address; empty without a bridge."""
        return self.store.networks["bridge"].gateway if self._bridge else ""

    # -- the kernel's side -------------------------------------------------------------------------

    def setup(self) -> None:
        """Make the bridges, their addresses, forwarding and firewall what they should be.

        Raises:
            NetworkUnavailable: the kernel refuses; the message says what, and what to do.
        """
        if self._bridge is not None:
            self._remember_subnets(self._choose_interface(self._bridge))
        self._ready = True
        view: View | None = None
        bridged = [network for network in self.store.networks.values() if self._has_device(network)]
        if len(bridged) > 1:
            view = View.now()
        for network in bridged:
            try:
                self._ensure(network, view)
            except NetworkUnavailable as error:
                if not network.user_defined:
                    raise
                _log.warning("network %s: %s", network.name, error)
        if bridged:
            self._protect(bridged)
        self._rest6()

    def _has_device(self, network: Network) -> bool:
        return network.driver == "bridge" and (network.user_defined or self._bridge is not None)

    def _devices(self) -> set[str]:
        return {self.device(network) for network in self.store.networks.values() if self._has_device(network)}

    def _ensure(self, network: Network, view: View | None = None) -> None:
        seats = self.store.members(network.id)
        mtu = DriverOptions.parse(network.options).mtu or self.settings.mtu
        cidrs = [
            f"{one.gateway}/{ip_network(one.subnet).prefixlen}" for one in network.subnets if one.gateway
        ]
        members = [seat.host_interface for seat in seats if seat.host_interface]
        Bridge(self.device(network), self.remark).ensure(cidrs, mtu, members, view)

    def _protect(self, bridged: Sequence[Network]) -> None:
        """The rules, before anything is forwarded; without them nothing is."""
        if self._firewall is not None:
            self._firewall.networks = {self.device(one): self._rules(one) for one in bridged}
            try:
                self._firewall.install(lone_router=self._routing.lone())
                self.porter.again()
            except FirewallMissing as error:
                _log.warning("containers do not reach the outside: %s", error)
                return
            for warning in self._firewall.warnings():
                _log.warning("%s", warning)
        self._routing.enable(ipv6=any(network.ipv6 for network in bridged))

    def _rules(self, network: Network) -> NetworkRules:
        options = DriverOptions.parse(network.options)
        masquerade = options.masquerade if network.user_defined else self.settings.masquerade
        subnets = tuple(one.subnet for one in network.subnets)
        return NetworkRules(self.device(network), subnets, network.internal, masquerade, options.host_address)

    def recover(self, containers: Collection[str]) -> None:
        """:meth:`setup`, and give up the endpoints of every container that is not in ``containers``."""
        for container in [known for known in self.store.endpoints if known not in containers]:
            self.disconnect(container)
        self.restrictions.adopt(self.store.all())
        self.setup()
        self.publishing.adopt()

    def intact(self) -> bool:
        """Whether firewall and default bridge are as we left them."""
        if not self._ready:
            return True
        if self._bridge is not None and not self._bridge.exists():
            return False
        return self._firewall is None or not self._firewall.networks or self._firewall.intact()

    def repair(self) -> bool:
        """Put back the firewall when somebody flushed it or removed the bridge; whether that was needed."""
        if self.intact():
            return False
        _log.warning("the rules or the bridge of the containers were removed by somebody; putting them back")
        self.setup()
        return True

    def teardown(self) -> None:
        """Remove what :meth:`setup` made; everything is tried, the first failure is raised at the end."""
        problems: list[Exception] = []
        others = False
        if self._firewall is not None:
            others = _attempt(problems, self._firewall.has_siblings) is True
            _attempt(problems, self._firewall.remove)
        for network in self.store.networks.values():
            if self._has_device(network):
                _attempt(problems, Bridge(self.device(network), self.remark).remove)
        if not others:
            _attempt(problems, self._routing.restore)
        if problems:
            raise problems[0]

    # -- networks ----------------------------------------------------------------------------------

    async def create(self, wish: Wish) -> Network:
        """Make a network; raises InvalidArgument, NetworkExists, Forbidden, AddressUnavailable."""
        async with self._changing:
            return await self._create(wish)

    async def _create(self, wish: Wish) -> Network:
        if wish.name in self.store.networks and wish.name not in BUILT_IN:
            raise NetworkExists(wish.name)
        wish = configuration.applied(wish, self.store.networks)
        # only a subnet of our choice must avoid the host's: who names one knows what he does
        chosen = any(not one.subnet for one in wish.subnets) or not wish.subnets or wish.ipv6
        taken = self._foreign.networks(self._devices) if chosen else ()
        network = creating.plan(wish, self.store.networks.values(), taken, self._pools)
        try:
            self.store.write_network(network)
        except sqlite3.IntegrityError:
            raise NetworkExists(wish.name) from None
        point("a network is recorded")
        try:
            self._realise(network)
        except BaseException:
            self.store.delete_network(network)
            await self._undo(network)
            raise
        return network

    def _realise(self, network: Network) -> None:
        if network.config_only:
            return
        if network.driver == "macvlan":
            parents.check(DriverOptions.parse(network.options).parent)
            return
        self._ensure(network)
        self._foreign.add(self.device(network))
        if self._firewall is not None:
            if not self._firewall.networks:
                self._protect([network])
            else:
                self._firewall.add_network(self._rules(network))
        point("a network has its rules")
        self._routing.enable(ipv6=network.ipv6)

    async def _undo(self, network: Network) -> None:
        if network.driver != "bridge":
            return
        device = self.device(network)
        bridge = Bridge(device, self.remark)
        self.publishing.forget_bridge(device)
        try:
            if self._firewall is not None:
                self._firewall.remove_network(device)
        except NetworkUnavailable as error:
            _log.warning("network %s: %s", network.name, error)
        point("a network's rules are gone")
        try:
            await self.departures.done(bridge.remove)
        except OSError as error:
            _log.warning("network %s: %s", network.name, error)
        if bridge.taken():
            # it was there before us and stays: what is on it is the host's
            self._foreign.forget()

    async def remove(self, ref: str) -> Network:
        """Remove a network that is empty; raises NetworkNotFound, NetworkInUse."""
        async with self._changing:
            return await self._remove(self._find(ref))

    async def _remove(self, network: Network) -> Network:
        if network.name in BUILT_IN:
            raise NetworkInUse(f"{network.name} is a pre-defined network and cannot be removed")
        members = self.store.members(network.id)
        if members:
            names = ", ".join(
                f'name:"{self.ports.container_name(seat.container)}" id:"{seat.container[:12]}"'
                for seat in members
            )
            raise NetworkInUse(
                f"error while removing network: network {network.name} has active endpoints ({names})"
            )
        configuration.check_unused(network, self.store.networks.values())
        # the row first: what a crash leaves after it is a bridge of nobody's, which recovery removes
        self.store.delete_network(network)
        point("a network's row is gone")
        self._seating.forget(network)
        await self._undo(network)
        point("a network's bridge is gone")
        self._rest6()
        return network

    def _rest6(self) -> None:
        """Without a network that speaks IPv6, nothing of it is to be forwarded because of us."""
        if not any(network.ipv6 for network in self.store.networks.values()):
            self._routing.rest6()

    def get(self, ref: str) -> Network:
        """A network by name, id or unique prefix of its id; raises NetworkNotFound."""
        return self._described(self._find(ref))

    def device(self, network: Network) -> str:
        """The bridge or parent device of a network."""
        if network.name == "bridge":
            return self._bridge.name if self._bridge else ""
        if network.driver == "macvlan":
            return DriverOptions.parse(network.options).parent
        return network.device if network.driver == "bridge" else ""

    # -- endpoints ---------------------------------------------------------------------------------

    def check(self, ref: str, wish: SeatWish) -> Network:
        """Whether a seat as wished can be; raises NetworkNotFound, InvalidArgument."""
        network = self._find(ref)
        check(network, wish)
        return network

    def seat(self, ref: str, wish: SeatWish) -> Endpoint:
        """Seat a container in a network (a name, an id, or a network mode other than ``container:``).

        A seat it has there already is replaced. Nothing is done to the kernel.

        Raises:
            NetworkNotFound: no such network.
            InvalidArgument: an address for a network that chooses them itself.
            AddressUnavailable: the network is full, or the address is taken.
        """
        network = self._find(ref)
        present = self.store.endpoints.get(wish.container, {}).get(network.id)
        if present is not None:
            self.leave(present)
        if not network.user_defined and (network.driver != "bridge" or self._bridge is None):
            network = dataclasses.replace(network, subnets=())
        endpoint = self._seating.take(network, wish, self.device(network))
        if network.name == "bridge" and not self.settings.icc and endpoint.bridge:
            endpoint = dataclasses.replace(endpoint, isolated=True)
            self.store.replace_endpoint(endpoint)
        if endpoint.user_defined:
            self.porter.seat(endpoint)
        return endpoint

    def mark(self, endpoint: Endpoint, phase: str) -> Endpoint:
        """Note that a seat of a running container is being taken or given up, or ("") is taken; Conflict if
        the container has ended, and its seats with it."""
        present = self.store.endpoints.get(endpoint.container, {}).get(endpoint.network_id)
        if present is None:
            raise Conflict(f"container {endpoint.container} is not running")
        changed = dataclasses.replace(present, phase=phase)
        self.store.replace_endpoint(changed)
        return changed

    def leave(self, endpoint: Endpoint) -> None:
        """Give up one seat; of one that went with its container's end, what was made since goes."""
        present = self.store.endpoints.get(endpoint.container, {}).get(endpoint.network_id)
        self.departures.begin(endpoint)
        if present is not None and present.id == endpoint.id:
            self.publishing.release(present)
            self.restrictions.release(present)
            self.porter.unseat(present)
            self._seating.give_up(present)

    def disconnect(self, container: str) -> None:
        """Give up all seats of a container; nothing happens when it has none."""
        seats = self.endpoints(container)
        if seats:
            with self.store.db.transaction():
                for endpoint in seats:
                    self.leave(endpoint)
            self.porter.forget(container)

    def endpoints(self, container: str) -> list[Endpoint]:
        """The seats of a container, in the order of their interfaces; empty when it is not connected."""
        seats = self.store.endpoints.get(container, {}).values()
        return sorted(seats, key=lambda seat: (len(seat.interface_name), seat.interface_name))

    def limit(self, endpoint: Endpoint) -> None:
        """Hold a running container's interface to its rate; what the kernel cannot do is said."""
        try:
            traffic.limit(endpoint)
        except OSError as error:
            raise NetworkUnavailable(
                f"the rate of {endpoint.interface_name} cannot be set: {error}"
            ) from error

    # -- inside ------------------------------------------------------------------------------------

    def _choose_interface(self, bridge: Bridge) -> IPv4Interface:
        if self._bip is not None:
            return self._bip
        known = self.store.networks["bridge"]
        others = [one for one in self.store.networks.values() if one is not known]
        return defaultbridge.choose_interface(
            bridge.interface(), self._fixed, known, others, lambda: self._foreign.networks(self._devices)
        )

    def _remember_subnets(self, interface: IPv4Interface) -> None:
        known = self.store.networks["bridge"]
        subnets = defaultbridge.subnets(
            interface,
            fixed=self.settings.fixed_cidr,
            six=self.settings.subnet6,
            gateways=(self.settings.default_gateway, self.settings.default_gateway6),
        )
        changed = dataclasses.replace(known, subnets=subnets, ipv6=bool(self.settings.subnet6))
        if changed != known:
            self.store.write_network(changed)
            self._seating.forget(changed)

    def _find(self, ref: str) -> Network:
        if Mode.parse(ref).kind is ModeKind.CONTAINER:
            raise InvalidArgument(f"{ref} is not a network: the container joins another one's")
        if ref in self.store.networks:
            return self.store.networks[ref]
        known = self.store.networks.values()
        matches = [network for network in known if ref and network.id.startswith(ref)]
        if not matches:
            raise NetworkNotFound(ref)
        if len(matches) > 1:
            problem = f"{len(matches)} matches found based on ID prefix"
            raise InvalidArgument(f"network {ref} is ambiguous ({problem})")
        return matches[0]

    def _described(self, network: Network) -> Network:
        options = network.options
        if network.name == "bridge" and self._bridge is not None:
            options = defaultbridge.options(
                self._bridge.name,
                icc=self.settings.icc,
                masquerade=self.settings.masquerade,
                binding=self.settings.host_binding,
                mtu=self.settings.mtu,
            )
        return dataclasses.replace(network, members=tuple(self.store.members(network.id)), options=options)

    def default_binding(self, endpoint: Endpoint | None) -> str:
        """Where ports are published that say nothing: the network's option, else the daemon's."""
        if endpoint is not None:
            network = self.store.networks.get(endpoint.network)
            chosen = DriverOptions.parse(network.options).host_binding if network else ""
            if chosen:
                return chosen
        return self.settings.host_binding

    def list(self) -> list[Network]:
        """All networks."""
        return [self._described(network) for network in self.store.networks.values()]


def _attempt(problems: list[Exception], work: Callable[[], _T]) -> _T | None:
    try:
        return work()
    except Exception as error:
        problems.append(error)
        return None
