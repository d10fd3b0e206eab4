"""The daemon's networks: the default bridge, ``host`` and ``none``, and who sits in them.

::

    setup()       bridge, address, forwarding, firewall; safe to repeat, puts back what somebody removed
    recover(ids)  setup() for a start with containers alive: seats of unknown containers are given up
    connect()     an address and a name for the host's side of the veth, in one database write; no kernel
                  work: the monitor makes the interface when it makes the namespace
    disconnect()  the address is free; the interface died with its namespace
    teardown()    the firewall table, the bridge, and forwarding if it was off before

All of it belongs to the daemon's event loop thread, as the database does.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Interface, IPv4Network
from typing import TypeVar

from wharfie.errors import InvalidArgument
from wharfie.network import files
from wharfie.network.addresses import Pool, choose_subnet, mac_of, parse_bip
from wharfie.network.bridge import Bridge
from wharfie.network.firewall import Firewall, FirewallMissing
from wharfie.network.forwarding import Forwarding
from wharfie.network.model import Endpoint, Mode, ModeKind, Network, NetworkNotFound
from wharfie.network.store import Store
from wharfie.state.db import Database
from wharfie.support.ids import new_id

DEFAULT_BRIDGE = "wharfie0"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class NetworkManager:
    """The default networks and their endpoints."""

    def __init__(
        self,
        db: Database,
        *,
        exec_root: str,
        bridge: str = DEFAULT_BRIDGE,
        bip: str | None = None,
        mtu: int = 1500,
        dns: Sequence[str] = (),
        dns_search: Sequence[str] = (),
        dns_options: Sequence[str] = (),
        host_gateway: str = "",
        firewall: bool = True,
        forward: bool = True,
        masquerade: bool = True,
    ) -> None:
        """Nothing is done to the kernel before :meth:`setup`.

        Args:
            exec_root: where it is remembered, until the next boot, that forwarding was switched on.
            bridge: the default bridge; "none" for no default network.
            bip: the bridge's own address with prefix; a free subnet is picked without it.
            dns, dns_search, dns_options: the daemon's defaults for containers that say nothing.
            host_gateway: what ``--add-host name:host-gateway`` stands for; the bridge's address without it.
            firewall, forward, masquerade: dockerd's --iptables, --ip-forward and --ip-masq.
        Raises:
            InvalidArgument: ``bridge`` or ``bip`` cannot be.
        """
        self._bip = parse_bip(bip) if bip else None
        self._mtu = mtu
        self._dns = files.Resolver(tuple(dns), tuple(dns_search), tuple(dns_options))
        self._host_gateway = host_gateway
        self._forward = forward
        self._bridge: Bridge | None = None
        self._firewall: Firewall | None = None
        self._forwarding = Forwarding(exec_root)
        if bridge != "none":
            self._bridge = Bridge(bridge)
            if firewall:
                self._firewall = Firewall(bridge, masquerade=masquerade)
        self._pool: Pool | None = None
        self._store = Store(db)

    @property
    def has_bridge(self) -> bool:
        """Whether there is a default bridge (no: ``--network bridge`` gives a container loopback only)."""
        return self._bridge is not None

    @property
    def gateway(self) -> str:
        """The bridge's own address; empty without a bridge."""
        return str(self._pool.interface.ip) if self._pool else ""

    # -- the kernel's side -------------------------------------------------------------------------

    def setup(self) -> None:
        """Make the bridge, its address, forwarding and firewall what they should be.

        Raises:
            NetworkUnavailable: the kernel refuses; the message says what, and what to do.
        """
        if self._bridge is None:
            return
        interface = self._choose_interface(self._bridge)
        seats = self._store.endpoints.values()
        self._bridge.ensure(
            interface, self._mtu, [seat.host_interface for seat in seats if seat.host_interface]
        )
        if self._pool is None or self._pool.interface != interface:
            self._pool = Pool(interface)
            self._pool.reset(self._store.addresses())
        self._remember_subnet(interface)
        if self._protect(interface.network) and self._forward:
            self._forwarding.enable()

    def _protect(self, subnet: IPv4Network) -> bool:
        """The rules, before anything is forwarded; False when this machine cannot have them."""
        if self._firewall is None:
            return True
        try:
            self._firewall.install(subnet, lone_router=self._forward and self._forwarding.ours())
        except FirewallMissing as error:
            _log.warning("containers do not reach the outside: %s", error)
            return False
        for warning in self._firewall.warnings():
            _log.warning("%s", warning)
        return True

    def recover(self, containers: Collection[str]) -> None:
        """:meth:`setup`, and give up the endpoints of every container that is not in ``containers``."""
        for container in [known for known in self._store.endpoints if known not in containers]:
            self.disconnect(container)
        self.setup()

    def repair(self) -> bool:
        """Put back the firewall when somebody flushed it or removed the bridge; whether that was needed."""
        if self._bridge is None or self._pool is None:
            return False
        if self._bridge.exists() and (self._firewall is None or self._firewall.intact()):
            return False
        _log.warning(
            "the rules or the bridge of %s were removed by somebody; putting them back", self._bridge.name
        )
        self.setup()
        return True

    def teardown(self) -> None:
        """Remove what :meth:`setup` made; everything is tried, the first failure is raised at the end."""
        problems: list[Exception] = []
        others = False
        if self._firewall is not None:
            others = _attempt(problems, self._firewall.has_siblings) is True
            _attempt(problems, self._firewall.remove)
        if self._bridge is not None:
            _attempt(problems, self._bridge.remove)
        if not others:
            _attempt(problems, self._forwarding.restore)
        if problems:
            raise problems[0]

    # -- endpoints ---------------------------------------------------------------------------------

    def connect(
        self,
        container_id: str,
        network: str,
        *,
        hostname: str = "",
        aliases: Sequence[str] = (),
        ip: str | None = None,
        mac: str | None = None,
    ) -> Endpoint:
        """Seat a container in a network (a name, an id, or a network mode other than ``container:``).

        A seat it has there already is replaced. Nothing is done to the kernel.

        Raises:
            NetworkNotFound: no such network.
            InvalidArgument: an address for a network that chooses them itself.
            AddressUnavailable: the network is full.
        """
        known = self._find(network)
        if ip:
            raise InvalidArgument(
                "invalid config for network bridge: user specified IP address is supported on user defined "
                "networks only"
            )
        self.disconnect(container_id)
        if known.driver == "bridge" and self._pool is not None:
            return self._seat_on_bridge(container_id, known, hostname, tuple(aliases), mac)
        endpoint = Endpoint(new_id(), container_id, known.name, known.id, hostname, tuple(aliases))
        self._store.write_endpoint(endpoint)
        return endpoint

    def disconnect(self, container_id: str) -> None:
        """Give up all seats of a container; nothing happens when it has none."""
        endpoint = self._store.endpoints.get(container_id)
        if endpoint is None:
            return
        if endpoint.address and self._pool is not None:
            self._pool.release(endpoint.address, container_id)
        self._store.delete_endpoint(container_id)

    def endpoints(self, container_id: str) -> list[Endpoint]:
        """The seats of a container; empty when it is not connected."""
        endpoint = self._store.endpoints.get(container_id)
        return [endpoint] if endpoint else []

    # -- what a container reads --------------------------------------------------------------------

    def hosts_file(
        self,
        *,
        hostname: str,
        domainname: str = "",
        endpoints: Sequence[Endpoint] = (),
        extra_hosts: Sequence[str] = (),
        host_network: bool = False,
    ) -> bytes:
        """The content of /etc/hosts; ``extra_hosts`` are "name:address", the address may be ``host-gateway``.

        Raises:
            InvalidArgument: an entry of ``extra_hosts`` is malformed.
        """
        gateway = self._host_gateway or self.gateway
        return files.hosts(
            hostname=hostname,
            domainname=domainname,
            addresses=[endpoint.address for endpoint in endpoints if endpoint.address],
            extra=files.parse_extra_hosts(extra_hosts, gateway),
            base=files.read_host_file("/etc/hosts") if host_network else None,
        )

    def resolv_conf(
        self,
        *,
        dns: Sequence[str] = (),
        dns_search: Sequence[str] = (),
        dns_options: Sequence[str] = (),
        host_network: bool = False,
    ) -> bytes:
        """The content of /etc/resolv.conf: the container's wishes, else the daemon's, else the host's."""
        wishes = files.Resolver(
            tuple(dns) or self._dns.servers,
            tuple(dns_search) or self._dns.search,
            tuple(dns_options) or self._dns.options,
        )
        return files.resolv_conf(
            files.host_resolver(host_network=host_network), wishes, host_network=host_network
        )

    def hostname_file(self, hostname: str) -> bytes:
        """The content of /etc/hostname."""
        return f"{hostname}\n".encode()

    # -- what people see ---------------------------------------------------------------------------

    def get(self, ref: str) -> Network:
        """A network by name, id or unique prefix of its id; raises NetworkNotFound."""
        return self._described(self._find(ref))

    # -- inside ------------------------------------------------------------------------------------

    def _choose_interface(self, bridge: Bridge) -> IPv4Interface:
        if self._bip is not None:
            return self._bip
        present = bridge.interface()
        if present is not None:
            return present
        taken = bridge.foreign_networks()
        known = self._store.networks["bridge"]
        if known.subnet:
            subnet = IPv4Network(known.subnet)
            if not any(subnet.overlaps(network) for network in taken if network.prefixlen):
                return IPv4Interface(f"{known.gateway}/{subnet.prefixlen}")
        subnet = choose_subnet(taken)
        return IPv4Interface((int(subnet.network_address) + 1, subnet.prefixlen))

    def _remember_subnet(self, interface: IPv4Interface) -> None:
        known = self._store.networks["bridge"]
        changed = dataclasses.replace(known, subnet=str(interface.network), gateway=str(interface.ip))
        if changed != known:
            self._store.write_network(changed)

    def _find(self, ref: str) -> Network:
        mode = Mode.parse(ref)
        if mode.kind is ModeKind.CONTAINER:
            raise InvalidArgument(f"{ref} is not a network: the container joins another one's")
        if mode.name in self._store.networks:
            return self._store.networks[mode.name]
        matches = [
            network
            for network in self._store.networks.values()
            if len(ref) >= 3 and network.id.startswith(ref)
        ]
        if len(matches) != 1:
            raise NetworkNotFound(ref)
        return matches[0]

    def _seat_on_bridge(
        self, container: str, network: Network, hostname: str, aliases: tuple[str, ...], mac: str | None
    ) -> Endpoint:
        assert self._pool is not None
        assert self._bridge is not None
        last: sqlite3.IntegrityError
        for _attempt in (1, 2):
            address = self._pool.take(container)
            identifier = new_id()
            endpoint = Endpoint(
                id=identifier,
                container=container,
                network=network.name,
                network_id=network.id,
                hostname=hostname,
                aliases=aliases,
                address=address,
                prefix=self._pool.interface.network.prefixlen,
                gateway=str(self._pool.interface.ip),
                mac=mac or mac_of(address),
                mtu=self._mtu,
                bridge=self._bridge.name,
                host_interface=f"veth{identifier[:7]}",
            )
            try:
                self._store.write_endpoint(endpoint)
                return endpoint
            except sqlite3.IntegrityError as error:
                # a rolled back transaction left memory ahead of the database: look again, once
                last = error
                self._store.reload()
                self._store.delete_endpoint(container)
                self._pool.reset(self._store.addresses())
        raise last

    def _described(self, network: Network) -> Network:
        members = tuple(e for e in self._store.endpoints.values() if e.network_id == network.id)
        options = {}
        if network.driver == "bridge" and self._bridge is not None:
            options = {
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": "true",
                "com.docker.network.bridge.enable_ip_masquerade": "true",
                "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
                "com.docker.network.bridge.name": self._bridge.name,
                "com.docker.network.driver.mtu": str(self._mtu),
            }
        return dataclasses.replace(network, members=members, options=options)

    def list(self) -> list[Network]:
        """All networks."""
        return [self._described(network) for network in self._store.networks.values()]


def _attempt(problems: list[Exception], work: Callable[[], _T]) -> _T | None:
    try:
        return work()
    except Exception as error:
        problems.append(error)
        return None
